package api

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// checkPath refuses a path that PVE, or a proxy before it, could read differently from how it
// is written, and shows the right form.
func checkPath(path string) error {
	right, why := path, ""
	note := func(problem string) {
		if why == "" {
			why = problem
		}
	}
	if u, err := url.Parse(right); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		note("it is a URL")
		right = strings.TrimPrefix(right, u.Scheme+"://"+u.Host)
	}
	right, fragment, hasFragment := strings.Cut(right, "#")
	if hasFragment {
		note("it has the fragment " + render.Text("#"+fragment, 60))
	}
	right, query, hasQuery := strings.Cut(right, "?")
	if hasQuery {
		note("it has a query; parameters go into params")
	}
	if strings.Contains(right, "%") {
		note("it is URL-encoded")
		if plain, err := url.PathUnescape(right); err == nil {
			right = plain
		}
	}
	if rest, ok := strings.CutPrefix(right, "/api2"); ok {
		note("it begins below /api2/json")
		for _, format := range []string{"/json", "/extjs"} {
			rest = strings.TrimPrefix(rest, format)
		}
		right = rest
	}
	var elems []string
	for elem := range strings.SplitSeq(right, "/") {
		if elem == "." || elem == ".." {
			note("it has dots in it")
		}
		if elem != "" && elem != "." && elem != ".." {
			elems = append(elems, strings.TrimSpace(elem))
		}
	}
	right = "/" + strings.Join(elems, "/")
	switch {
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }):
		note("it has white space, control characters or backslashes in it")
	case right != path:
		note("its slashes are not single ones between the elements, with one at the start")
	}
	if why == "" {
		return nil
	}
	next := fmt.Sprintf("The right form is path: %q", render.Text(right, 200))
	if params := paramsOf(query); params != "" {
		next += ", params: " + params
	}
	return explain.Refusal(next+".", "Nothing was sent: the path %q is not taken, because %s.", render.Text(path, 120), why)
}

// paramsOf writes a query as the argument params.
func paramsOf(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil || len(values) == 0 {
		return ""
	}
	var out []string
	for key := range values {
		out = append(out, fmt.Sprintf("%q: %q", render.Text(key, 40), render.Text(values.Get(key), 60)))
	}
	slices.Sort(out)
	return "{" + strings.Join(out, ", ") + "}"
}

// noEndpoint explains that PVE has no such endpoint. It names the other methods of the path or,
// if there are none, the three nearest paths.
func noEndpoint(known *apischema.API, version, method, path string) error {
	what := fmt.Sprintf("Nothing was sent: PVE %s has no endpoint %s %s.", version, method, render.Text(path, 120))
	if methods := methodsAt(known, path); len(methods) > 0 {
		return &explain.Explanation{What: what, Next: fmt.Sprintf("There %s only %s.", isOrAre(len(methods)), render.List(methods))}
	}
	if pair := other(known, method, path); pair != "" {
		return &explain.Explanation{What: what, Next: pair}
	}
	var near []string
	for _, ep := range nearestPaths(known, method, path, 3) {
		near = append(near, ep.Path)
	}
	return &explain.Explanation{What: what, Next: "The nearest are " + render.List(near) + "; pve_api_search finds others."}
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// methodsAt are the methods of a path, each with the path.
func methodsAt(known *apischema.API, path string) (out []string) {
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		if ep, _, ok := known.Find(method, path); ok {
			out = append(out, method+" "+ep.Path)
		}
	}
	return out
}

// other names the other major version of PVE that has an endpoint, in a sentence.
func other(known *apischema.API, method, path string) string {
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			continue
		}
		if ep, _, ok := api.Find(method, path); ok && known.Endpoint(method, ep.Path) == nil {
			return fmt.Sprintf("PVE %d has it; this node does not.", major)
		}
	}
	return ""
}

// nearestPaths are the endpoints of a method whose paths are the most like a path.
func nearestPaths(known *apischema.API, method, path string, most int) []*apischema.Endpoint {
	given := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	type near struct {
		endpoint *apischema.Endpoint
		cost     int
	}
	var all []near
	for _, ep := range known.Endpoints() {
		if ep.Method == method {
			all = append(all, near{ep, pathCost(given, strings.Split(ep.Path, "/")[1:])})
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.cost, b.cost) })
	var out []*apischema.Endpoint
	for _, n := range all[:min(most, len(all))] {
		out = append(out, n.endpoint)
	}
	return out
}

// The costs of making one path of another.
const (
	costOfElement  = 8 // left out, or too many
	costOfTemplate = 2 // a placeholder, which takes anything
)

// pathCost is how unlike a path is to a template: elements may be missing, too many, or
// misspelt.
func pathCost(given, template []string) int {
	row := make([]int, len(template)+1)
	for j := range row {
		row[j] = j * costOfElement
		if j > 0 && template[j-1] == "{node}" {
			row[j] -= costOfElement / 2
		}
	}
	for _, elem := range given {
		last := row
		row = make([]int, len(template)+1)
		row[0] = last[0] + costOfElement
		for j, want := range template {
			replaced := last[j] + costOfTemplate
			if !strings.HasPrefix(want, "{") {
				replaced = last[j] + min(2*distance(elem, want, 3), costOfElement-1)
				if elem == want {
					replaced = last[j]
				} else if distance(elem, want, 3) > 3 {
					replaced = last[j] + 2*costOfElement
				}
			}
			missing := row[j] + costOfElement
			if want == "{node}" {
				missing -= costOfElement / 2 // it is forgotten most often
			}
			row[j+1] = min(replaced, missing, last[j+1]+costOfElement)
		}
	}
	return row[len(template)]
}
