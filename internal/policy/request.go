package policy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// request is a request as PVE reads it.
type request struct {
	method string
	elems  []string // of the path below /api2/json
	params url.Values
}

// at returns an element of the path, or "".
func (r request) at(i int) string {
	if i >= len(r.elems) {
		return ""
	}
	return r.elems[i]
}

// guest returns where the guest in the path is.
func (r request) guest() (w Where, ok bool) {
	if r.at(0) != "nodes" || r.at(2) != "qemu" && r.at(2) != "lxc" {
		return w, false
	}
	id, err := vmid(r.at(3))
	return Where{Node: r.at(1), Kind: r.at(2), VMID: id}, err == nil
}

// on reports whether a boolean parameter is set. A value that is not a boolean counts as set.
func (r request) on(key string) bool { return r.params.Get(key) != "" && r.params.Get(key) != "0" }

// splitPath returns the elements of an escaped path. PVE unescapes a path before it splits it,
// and skips empty elements. A proxy before it resolves a step up. So everything that the client
// would write differently is refused, and reason says why.
func splitPath(escaped string) (elems []string, reason string) {
	const odd = "its path is not in the form in which it would be read"
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return nil, odd
	}
	for text := range strings.SplitSeq(rest, "/") {
		elem, err := url.PathUnescape(text)
		if err != nil || url.PathEscape(elem) != text || slices.Contains(strings.Split(elem, "/"), "") || !plain(elem) {
			return nil, odd
		}
		isVolume := len(elems) == 5 && elems[0] == "nodes" && elems[2] == "storage" && elems[4] == "content"
		isNetwork := len(elems) > 3 && elems[len(elems)-2] == "ipset"
		if strings.Contains(elem, "/") && !isVolume && !isNetwork {
			return nil, odd
		}
		if slices.ContainsFunc(strings.Split(elem, "/"), func(part string) bool { return part == "." || part == ".." }) {
			return nil, odd
		}
		elems = append(elems, elem)
	}
	return elems, ""
}

// plain reports whether a text is UTF-8 without control characters.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// readParams reads query and form of a request to an endpoint, and leaves the body as it is.
// reason says why they are refused: PVE would read them differently.
func readParams(req *http.Request, r request, e *row) (params url.Values, reason string, err error) {
	texts := []string{req.URL.RawQuery}
	if req.Body != nil {
		body, err := readBody(req)
		if err != nil {
			return nil, "", err
		}
		texts = append(texts, body)
	}
	params = url.Values{}
	for _, text := range texts {
		form, err := url.ParseQuery(text)
		if err != nil || form.Encode() != text {
			return nil, oddParams, nil // the error's text may have secrets
		}
		for key, values := range form {
			params[key] = append(params[key], values...)
		}
	}
	if reason := e.unreadable(r, params); reason != "" {
		return nil, reason, nil
	}
	return params, "", nil
}

// oddParams refuses parameters that PVE might read differently.
const oddParams = "its parameters are not in the form in which they would be read"

// unreadable returns why parameters are refused, or "". One may be no text.
func (e *row) unreadable(r request, params url.Values) string {
	for key, values := range params {
		isText := func(v string) bool { return !strings.Contains(v, "\x00") }
		if e != nil && e.isEnvironment != nil && e.isEnvironment(r, key) {
			isText = environmentRE.MatchString
		}
		if !plain(key) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) || !isText(v) }) {
			return "a parameter is no text"
		}
	}
	return ""
}

// environmentRE matches the environment of a container: variables with NUL between them. PVE
// writes each on a line of the container's file, so a line break would be a line of its own.
var environmentRE = lazyregexp.New(`^\w+=[^\x00-\x08\x0a-\x1f\x7f]*(?:\x00\w+=[^\x00-\x08\x0a-\x1f\x7f]*)*$`)

func readBody(req *http.Request) (string, error) {
	if req.GetBody == nil {
		return "", errors.New("the body cannot be read twice")
	}
	body, err := req.GetBody()
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	return string(data), err
}

// repeated returns a parameter that is given more than once although PVE does not read it as a
// list, or "". PVE would take one of the values.
func (e row) repeated(params url.Values) string {
	for key, values := range params {
		if len(values) > 1 && !e.takesList(key) {
			return key
		}
	}
	return ""
}

// takesList reports whether a parameter is a list to every version of PVE that has it.
func (e row) takesList(key string) bool {
	found := false
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			return false
		}
		for _, kind := range []string{"qemu", "lxc"} {
			ep := api.Endpoint(e.method, strings.ReplaceAll(e.path, "qemu|lxc", kind))
			if ep == nil {
				continue
			}
			if s := api.Param(ep, key); s != nil {
				if s.Type != "array" {
					return false
				}
				found = true
			}
		}
	}
	return found
}
