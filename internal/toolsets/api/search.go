package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

type searchIn struct {
	Query  string `json:"query" jsonschema:"what to do or know, in words; or a path"`
	Method string `json:"method,omitzero" enum:"GET,POST,PUT,DELETE" jsonschema:"only this"`
}

type searchOut struct {
	Endpoints []found  `json:"endpoints" cut:"end"`
	Total     int      `json:"total" jsonschema:"that have something of the query"`
	LeftOut   int      `json:"left_out,omitzero"`
	More      string   `json:"more,omitzero"`
	Version   string   `json:"version" jsonschema:"of PVE"`
	Notes     []string `json:"notes,omitzero"`
}

// found is an endpoint as it is shown.
type found struct {
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Also     string   `json:"also,omitzero" jsonschema:"the same of a container, or of a VM"`
	For      string   `json:"for,omitzero"`
	Required []string `json:"required,omitzero" jsonschema:"parameters beside those in path"`
	Optional []string `json:"optional,omitzero"`
	Needs    string   `json:"needs" jsonschema:"privileges"`
	Held     string   `json:"held,omitzero" jsonschema:"by this token: yes, no, on some; left out: PVE decides"`
	Risk     string   `json:"risk"`
	Why      string   `json:"why,omitzero" jsonschema:"of the risk"`
	Off      string   `json:"off,omitzero" jsonschema:"why this server does not send it"`
	Better   string   `json:"better,omitzero" jsonschema:"tool that does this, and more safely"`
}

func search() tool.Tool {
	return tool.Read(tool.Spec[searchIn, searchOut]{
		Name:  "pve_api_search",
		Title: "Find an API path",
		Doc:   "Find the API call for anything that has no tool of its own (Ceph, DNS, metrics, notifications, ...): path, parameters, privileges and risk.",
		Examples: []tool.Example{
			{Arguments: `{"query":"open port 443 for a VM"}`},
			{Arguments: `{"query":"/cluster/backup/{id}","method":"PUT"}`},
		},
		Run: runSearch,
	})
}

func runSearch(ctx context.Context, c *tool.Call, in searchIn) (searchOut, error) {
	d, err := apiOf(ctx, c, "")
	if err != nil {
		return searchOut{}, err
	}
	d = d.asShown(ctx, c)
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return searchOut{}, err
	}
	all := d.find(c, in.Query)
	if in.Method != "" {
		all = slices.DeleteFunc(all, func(r ranked) bool { return r.endpoint.Method != in.Method })
	}
	out := searchOut{Endpoints: []found{}, Total: len(all), Version: d.version}
	if len(all) == 0 {
		out.Notes = append(out.Notes, "no endpoint has anything of it; say in other words what it is about, such as firewall, backup, storage, user")
		return out, nil
	}
	shown := all[:min(mostEndpoints, len(all))]
	if strings.HasPrefix(in.Query, "/") && len(all) > 0 && exact(shown[0], in.Query) && in.Method != "" {
		shown = shown[:1]
	}
	out.fill(c, d, perms, shown)
	if out.LeftOut = len(all) - len(out.Endpoints); out.LeftOut > 0 {
		out.More = "other words, method, or a path: one with its method shows every parameter"
	}
	return out, nil
}

// find returns endpoints for words, or for a path or the start of one.
func (d described) find(c *tool.Call, query string) []ranked {
	query = strings.TrimSpace(query)
	if !strings.HasPrefix(query, "/") {
		return d.indexed(c).rank(query)
	}
	path := strings.TrimSuffix(query, "/")
	var out []ranked
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		if ep, values, ok := d.Find(method, path); ok {
			if strings.Contains(path, "{") {
				values = nil
			}
			out = append(out, ranked{endpoint: ep, values: values})
		}
	}
	var below []ranked
	for _, ep := range d.Endpoints() {
		if strings.HasPrefix(ep.Path, path+"/") {
			below = append(below, ranked{endpoint: ep})
		}
	}
	slices.SortStableFunc(below, func(a, b ranked) int {
		return strings.Count(a.endpoint.Path, "/") - strings.Count(b.endpoint.Path, "/")
	})
	if out = append(out, below...); len(out) > 0 {
		return out
	}
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		for _, ep := range nearestPaths(d.API, method, path, 2) {
			out = append(out, ranked{endpoint: ep})
		}
	}
	return out
}

func exact(r ranked, query string) bool {
	return len(strings.Split(r.endpoint.Path, "/")) == len(strings.Split(strings.TrimSuffix(query, "/"), "/"))
}

// mostEndpoints is how many endpoints an answer has at most.
const mostEndpoints = 8

// mostFound is how many bytes an answer has at most.
const mostFound = 4000

// The details of parameters that an answer may have room for, from the most on.
const (
	allTypes = iota
	typesOfRequired
	namesAlone
	noOptional
)

// fill shows endpoints with as many details as there is room for, and as many of them.
func (out *searchOut) fill(c *tool.Call, d described, perms pve.Permissions, all []ranked) {
	first := typesOfRequired
	if len(all) == 1 {
		first = allTypes
	}
	for n := len(all); n > 0; n-- {
		for detail := first; detail <= noOptional; detail++ {
			out.Endpoints = nil
			for _, r := range all[:n] {
				out.Endpoints = append(out.Endpoints, d.show(c, perms, r, detail))
			}
			if size(out) <= mostFound-200 || n == 1 && detail == noOptional { // room for what is left out
				return
			}
		}
	}
}

// show is an endpoint as it is shown.
func (d described) show(c *tool.Call, perms pve.Permissions, r ranked, detail int) found {
	ep := r.endpoint
	f := found{
		Method: ep.Method, Path: ep.Path, For: purposes()[ep.Method+" "+ep.Path].text, Needs: privilegesText(ep),
		Held: map[held]string{holds: "yes", onSome: "on some", lacksAll: "no"}[heldBy(perms, ep)],
	}
	if r.values != nil && f.Held == "on some" {
		f.Held = "yes"
		if lacks := missing(perms, ep, r.values); lacks != "" {
			f.Held = "no: " + lacks + " is missing"
		}
	}
	if r.twin != nil {
		f.Also = r.twin.Path
	}
	if text := d.texts[ep.Method+" "+ep.Path].Endpoint; text != "" && (f.For == "" || detail == allTypes) {
		f.For = strings.TrimPrefix(f.For+"; "+render.Text(text, 200), "; ")
	}
	f.Required, f.Optional = d.paramLines(ep, detail)
	if f.Risk, f.Why, f.Off = d.risk(c, ep); f.Off == "" { // else the tool is off as well
		f.Better = betters()[ep.Method+" "+ep.Path]
	}
	return f
}

// risk says what an endpoint can do by the guard's table, and why this server sends nothing
// to it.
func (d described) risk(c *tool.Call, ep *apischema.Endpoint) (risk, why, off string) {
	row, ok := policy.Describe(ep.Method, strings.Split(ep.Path, "/")[1:], nil)
	switch {
	case !ok || !d.knows(ep):
		return "unknown", "", "this server does not know what it does"
	case row.Never != "":
		return row.Risk.String(), "", row.Never
	}
	risk = row.Risk.String()
	if row.Varies && row.Risk < policy.Destructive {
		risk += ", destructive by some parameters"
	}
	return risk, row.Why, c.RefusalOf(row.Risk)
}

// paramLines are the parameters of an endpoint beside those in its path, the required ones
// apart.
func (d described) paramLines(ep *apischema.Endpoint, detail int) (required, optional []string) {
	for _, name := range slices.Sorted(maps.Keys(ep.Params)) {
		s := ep.Params[name]
		if strings.Contains(ep.Path, "{"+name+"}") || name == "skiplock" { // which is never sent
			continue
		}
		line := name
		if detail == allTypes || detail == typesOfRequired && !s.Optional {
			line += ": " + typeText(s)
		}
		if s.Optional {
			optional = append(optional, line)
		} else {
			required = append(required, line)
		}
	}
	if most := []int{80, 40, 12, 0}[detail]; len(optional) > most {
		over := len(optional) - most
		optional = append(optional[:most:most], fmt.Sprintf("%d more", over))
	}
	return required, optional
}
