package policy

// Classified is what the table says of an endpoint.
type Classified struct {
	Method, Path, Subject, Why string
	// Reads, Destroys, Access and Never say of which class it is.
	Reads, Destroys, Access, Never bool
}

// Table returns all rows.
func Table() []Classified {
	var out []Classified
	for _, e := range endpoints() {
		out = append(out, Classified{e.method, e.path, e.subject, e.why, e.class <= showsSecrets, e.class == destroys, e.class == changesAccess, e.class == never})
	}
	return out
}

// Details returns the endpoints of which more is known, by method and path.
func Details() (keys []string) {
	for key := range details() {
		keys = append(keys, key)
	}
	return keys
}
