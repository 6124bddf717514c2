package policy

import (
	"net/http"
	"net/url"
	"strings"
)

// Endpoint is what the guard's table says of an endpoint, for callers that want to know before
// they send a request. The guard itself does not use it.
type Endpoint struct {
	// Risk is that of the request, as far as its parameters show it.
	Risk Risk
	// Secret means that the answer may contain secrets.
	Secret bool
	// Varies means that parameters can raise or lower the risk.
	Varies bool
	// Subject is what is changed: a kind, and names of parameters in braces.
	Subject string
	// Why says what a request does to it.
	Why string
	// MakesSecret names the field of the answer with a secret that PVE makes, such as
	// config.encryption-key; "" for none.
	MakesSecret string
	// Never says why no request is sent, "" if some may be.
	Never string
}

// IsPlainRead reports whether a request only reads, within the node or cluster.
func (e Endpoint) IsPlainRead() bool { return e.Never == "" && e.Risk == Read }

// Describe returns what the table says of a request, by the elements of its path. ok is
// false where it has no row: the guard refuses such a request.
func Describe(method string, path []string, params url.Values) (e Endpoint, ok bool) {
	row := known().find(method, path)
	if row == nil {
		return Endpoint{}, false
	}
	e = Endpoint{
		Risk: row.class.risk(), Secret: row.class == showsSecrets, Varies: row.isDestructive != nil || row.onlyReads != nil,
		Subject: row.subject, Why: row.why, Never: row.never(),
	}
	r := request{method: method, elems: path, params: params}
	if row.makesSecret != nil {
		e.MakesSecret = row.makesSecret(r)
	}
	switch {
	case method != http.MethodGet:
		e.Risk = row.riskOf(r, row.effectOf(r))
	case row.onlyReads != nil && row.onlyReads(r):
		e.Risk = Read
	}
	return e, true
}

// PathOf returns the path of a request as the table has it, with * in place of every name, and ""
// if the table has no row for it.
func PathOf(method string, path []string) string {
	row, r := known().find(method, path), request{method: method, elems: path}
	if row == nil {
		return ""
	}
	return row.target(r)
}

// TargetOf returns the target of a request, with all that the request changes, for a consent
// to it. whole is false if nobody can consent to it, because it does not say what it changes.
func TargetOf(method string, path []string, params url.Values) (t Target, whole bool) {
	row, r := known().find(method, path), request{method: method, elems: path, params: params}
	if row == nil {
		return Target{}, false
	}
	changes := row.effectOf(r)
	t = Target{Method: method, Path: row.target(r)}
	if row.from != nil {
		t.Snapshot = row.from(r)
	}
	all := changes.all()
	if len(all) == 0 {
		return t, false
	}
	t.Subject, t.Also = all[0], append(all[1:], Guests(Owners(changes.named))...)
	return t, changes.known && changes.complete
}

// viewerPath is the page on which a node shows its API without login.
const viewerPath = "/pve-docs/api-viewer/apidoc.js"

// readsViewer reports whether a request only reads the description of a node's API: it has no
// query, body or token.
func readsViewer(req *http.Request) bool {
	path := req.URL.EscapedPath()
	return req.Method == http.MethodGet && req.Body == nil && req.URL.RawQuery == "" && req.Header.Get("Authorization") == "" &&
		strings.HasSuffix(path, viewerPath) && !strings.Contains(path, "/api2/")
}
