package api

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// index ranks endpoints by how well they answer a question, by BM25 over weighted fields.
type index struct {
	docs   []doc
	rarity map[string]float64 // of a term
}

// doc is an endpoint as it is ranked.
type doc struct {
	endpoint *apischema.Endpoint
	terms    map[string]float64 // how much of each is in it, by weight of the field
	pairs    map[[2]string]bool // terms that follow each other
	length   float64
	purpose  []string // the terms of what it is for
	place    place
}

// place is what an endpoint is about, by its path alone.
type place struct {
	guest, ct, node, isIndex, internal, old, inside, bulk, vnet bool
}

// The weights of the fields of an endpoint.
const (
	ofPurpose     = 3.0
	ofWords       = 2.0
	ofPath        = 1.6
	ofParams      = 0.35
	ofDescription = 0.5
	ofInner       = 0.4
)

// newIndex makes an index of endpoints. describe returns the description that a node has of
// an endpoint, or "".
func newIndex(endpoints []*apischema.Endpoint, describe func(key string) string) *index {
	x := &index{rarity: map[string]float64{}}
	for _, ep := range endpoints {
		x.docs = append(x.docs, docOf(ep, describe(ep.Method+" "+ep.Path)))
	}
	for _, d := range x.docs {
		for term := range d.terms {
			x.rarity[term]++
		}
	}
	for term, n := range x.rarity {
		x.rarity[term] = math.Log(1 + (float64(len(x.docs))-n+0.5)/(n+0.5))
	}
	return x
}

func docOf(ep *apischema.Endpoint, description string) doc {
	p := purposes()[ep.Method+" "+ep.Path]
	d := doc{endpoint: ep, terms: map[string]float64{}, pairs: map[[2]string]bool{}, place: placeOf(ep, p)}
	add := func(weight float64, text string) {
		seen, last := map[string]bool{}, ""
		for _, term := range termsOf(text) {
			if weight > ofPath {
				d.pairs[[2]string{last, term}] = true
			}
			last = term
			if !seen[term] { // repetition says nothing here
				d.terms[term] += weight
				d.length += weight
			}
			seen[term] = true
		}
	}
	add(ofPurpose, p.text)
	d.purpose = slices.DeleteFunc(termsOf(p.text), func(term string) bool { return slices.Contains(generic, term) || slices.Contains(common, term) })
	add(ofWords, p.words)
	var fixed []string
	for part := range strings.SplitSeq(ep.Path, "/") {
		fixed = append(fixed, strings.Trim(part, "{}"))
	}
	add(ofPath, strings.Join(fixed, " "))
	for name := range ep.Params {
		add(ofParams, strings.TrimSuffix(name, "[n]"))
	}
	for _, schema := range ep.Params {
		d.extra(schema)
	}
	if ep.Method == http.MethodGet && ep.Returns != nil {
		d.extra(ep.Returns)
	}
	add(ofDescription, description)
	return d
}

// extra adds what a schema has in it: names of properties, and the words of enumerations.
func (d *doc) extra(s *apischema.Schema) {
	note := func(text string) {
		for _, term := range termsOf(strings.TrimSuffix(text, "[n]")) {
			if d.terms[term] == 0 {
				d.terms[term] = ofInner
			}
		}
	}
	for _, word := range s.Enum {
		note(word)
	}
	if s.Items != nil {
		d.extra(s.Items)
	}
	for name, inner := range s.Properties {
		note(name)
		d.extra(inner)
	}
	if s.Format != nil {
		for name, inner := range s.Format.Keys {
			note(name)
			d.extra(inner)
		}
	}
}

func placeOf(ep *apischema.Endpoint, p purpose) place {
	return place{
		guest:    strings.Contains(ep.Path, "/{vmid}"),
		ct:       strings.HasPrefix(ep.Path, "/nodes/{node}/lxc"),
		node:     strings.HasPrefix(ep.Path, "/nodes/{node}/") && !strings.Contains(ep.Path, "/qemu") && !strings.Contains(ep.Path, "/lxc"),
		isIndex:  strings.HasPrefix(p.text, "List parts of") || strings.HasPrefix(p.text, "Parts of") || strings.HasPrefix(p.text, "List kinds of"),
		internal: strings.HasPrefix(p.text, "Internal") || strings.HasPrefix(p.text, "Nothing"),
		old:      strings.HasSuffix(p.text, "(old form)"),
		inside:   strings.Contains(ep.Path, "/agent"),
		vnet:     strings.Contains(ep.Path, "/{vnet}/firewall"),
		bulk:     strings.Contains(ep.Path, "/bulk-action/") || strings.HasSuffix(ep.Path, "all") && strings.HasPrefix(ep.Path, "/nodes/{node}/"),
	}
}

// ranked is an endpoint that was found.
type ranked struct {
	endpoint *apischema.Endpoint
	score    float64
	twin     *apischema.Endpoint // the same of a container, or of a VM
	values   apischema.Values    // of a path that was asked for, where it says what it is about
}

// rank returns the endpoints that have something of a question, the best ones first. If VMs and
// containers have the same endpoint, one of the two is in the result.
func (x *index) rank(question string) []ranked {
	q := queryOf(question, x.rarity)
	var out []ranked
	for _, d := range x.docs {
		if score := q.score(d, x.rarity); score > 0 {
			out = append(out, ranked{endpoint: d.endpoint, score: score})
		}
	}
	slices.SortStableFunc(out, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(len(a.endpoint.Path), len(b.endpoint.Path)), cmp.Compare(a.endpoint.Path, b.endpoint.Path))
	})
	return mergeKinds(out)
}

// mergeKinds keeps the better one of the same endpoint for VMs and for containers, and notes
// the other.
func mergeKinds(all []ranked) []ranked {
	var out []ranked
	at := map[string]int{}
	for _, r := range all {
		key := r.endpoint.Method + " " + strings.Replace(r.endpoint.Path, "/nodes/{node}/lxc", "/nodes/{node}/qemu", 1)
		if i, is := at[key]; is {
			out[i].twin = r.endpoint
			continue
		}
		at[key] = len(out)
		out = append(out, r)
	}
	return out
}

// query is a question, prepared to be compared with endpoints.
type query struct {
	terms                         map[string]float64 // by how much they count
	order                         []string           // the terms as they follow each other
	methods                       map[string]float64 // that the question sounds like
	ct, vm, guest, node, everyone bool
	inside, all                   bool
}

// The constants of BM25.
const (
	saturation = 1.2
	byLength   = 0.2
	meanLength = 40.0
	likeness   = 0.6 // of a word that is used for another
	inOrder    = 0.8 // words that follow each other in both
	wholly     = 0.5 // how much it matters that all words are met
	precisely  = 0.3 // how much it matters that all of the purpose is asked for
	ofVerb     = 0.3
)

func (q query) score(d doc, rarity map[string]float64) float64 {
	sum, all, met := 0.0, 0.0, 0.0
	norm := saturation * (1 - byLength + byLength*d.length/meanLength)
	for _, term := range q.order {
		weight := q.terms[term]
		best := weight * rarity[term] * tf(d.terms[term], norm)
		for _, other := range alike()[term] {
			best = max(best, likeness*weight*rarity[other]*tf(d.terms[other], norm))
		}
		sum += best
		all += weight
		if best > 0 {
			met += weight
		}
	}
	if sum == 0 {
		return 0
	}
	for i := 1; i < len(q.order); i++ {
		if d.pairs[[2]string{q.order[i-1], q.order[i]}] {
			sum += inOrder * min(rarity[q.order[i-1]], rarity[q.order[i]])
		}
	}
	named := 1.0
	if len(d.purpose) > 0 {
		const enough = 3 // of a long purpose
		named = 0
		for _, term := range d.purpose {
			if q.has(term) {
				named += 1 / float64(min(enough, len(d.purpose)))
			}
		}
		named = min(1, named)
	}
	return sum * (1 - wholly + wholly*met/all) * (1 - precisely + precisely*named) * q.fits(d)
}

// has reports whether a question has a term, or one that is used for it.
func (q query) has(term string) bool {
	return q.terms[term] > 0 || slices.ContainsFunc(alike()[term], func(other string) bool { return q.terms[other] > 0 })
}

func tf(n, norm float64) float64 { return n * (saturation + 1) / (n + norm) }

// fits is how well an endpoint suits a question beside its words.
func (q query) fits(d doc) float64 {
	f := cmp.Or(q.methods[d.endpoint.Method], 1)
	switch {
	case d.place.internal:
		f *= 0.3
	case d.place.isIndex:
		f *= 0.45
	case d.place.old:
		f *= 0.9
	case d.endpoint.Method == "GET" && strings.HasSuffix(d.endpoint.Path, "}"):
		f *= 0.93 // a question about one thing comes after the list
	}
	switch {
	case d.place.ct && q.vm && !q.ct:
		f *= 0.8
	case d.place.ct && !q.ct:
		f *= 0.97
	}
	if q.ct && !d.place.ct && strings.HasPrefix(d.endpoint.Path, "/nodes/{node}/qemu") {
		f *= 0.8
	}
	if last := d.endpoint.Path[strings.LastIndexByte(d.endpoint.Path, '/')+1:]; q.terms[stem(last)] > 0 {
		f *= 1.15 // the path itself is called so
	}
	isGuest := q.guest || q.vm || q.ct
	switch {
	case q.everyone && (d.place.guest || d.place.node):
		f *= 0.75
	case q.node && d.place.node && (!isGuest || q.all):
		f *= 1.2
	case isGuest && !q.all && d.place.guest:
		f *= 1.3
	case isGuest && !q.node && strings.Contains(d.endpoint.Path, "/firewall"):
		f *= 0.8
	}
	if d.place.bulk && q.all {
		f *= 1.3
	} else if d.place.bulk {
		f *= 0.85
	}
	if d.place.vnet && q.terms["vnet"] == 0 && q.terms["sdn"] == 0 {
		f *= 0.8 // a virtual network has few of what others have
	}
	if d.place.inside && !q.inside {
		f *= 0.9
	}
	return f
}

// queryOf prepares a question. Words that no endpoint has are names, or mean nothing.
func queryOf(question string, known map[string]float64) query {
	q := query{terms: map[string]float64{}, methods: methodsOf(question)}
	for word := range strings.FieldsSeq(strings.ToLower(question)) {
		if hasDigit(word) && strings.ContainsFunc(word, unicode.IsLetter) && !strings.HasPrefix(word, "pve") && known[stem(word)] == 0 {
			q.guest = true // web1, db-1
		}
	}
	words := wordsOf(question)
	for i := range len(words) - 1 { // time zone, lets encrypt
		if both := words[i] + words[i+1]; len(both) > 5 && known[stem(both)] > 0 {
			words = append(words, both)
		}
	}
	for _, word := range words {
		switch {
		case slices.Contains([]string{"container", "containers", "ct", "lxc", "cts"}, word):
			q.ct = true
		case slices.Contains([]string{"vm", "vms", "qemu", "kvm", "machine"}, word):
			q.vm = true
		case slices.Contains([]string{"guest", "guests", "template"}, word):
			q.guest = true
		case slices.Contains([]string{"host", "hosts", "node", "nodes", "server", "hypervisor"}, word), strings.HasPrefix(word, "pve") && hasDigit(word):
			q.node = true
		case slices.Contains([]string{"cluster", "datacenter", "everywhere", "whole", "global", "globally"}, word):
			q.everyone = true
		case slices.Contains([]string{"all", "every", "everything", "each"}, word):
			q.all = true
		case slices.Contains([]string{"inside", "agent", "within"}, word):
			q.inside = true
		}
		if slices.Contains(noise, word) {
			continue
		}
		term := stem(word)
		weight := 1.0
		if slices.Contains(generic, word) {
			weight = ofVerb
		}
		if rarityOf(term, known) == 0 {
			if term = nearest(term, known); term == "" {
				continue
			}
		}
		if q.terms[term] == 0 {
			q.order = append(q.order, term)
		}
		q.terms[term] = max(q.terms[term], weight)
	}
	return q
}

// rarityOf is the rarity of a term, or of one that is used for it; 0 if no endpoint has either.
func rarityOf(term string, known map[string]float64) float64 {
	best := known[term]
	for _, other := range alike()[term] {
		best = max(best, known[other])
	}
	return best
}

// nearest is the known term that is most like a misspelt one, or "".
func nearest(term string, known map[string]float64) string {
	if len(term) < 5 {
		return ""
	}
	best := ""
	for other := range known {
		if within := misspelt(term); distance(term, other, within) <= within && (best == "" || known[other] < known[best] || known[other] == known[best] && other < best) {
			best = other
		}
	}
	return best
}

// misspelt is how many letters of a term may be wrong.
func misspelt(term string) int {
	if len(term) < 8 {
		return 1
	}
	return 2
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }
