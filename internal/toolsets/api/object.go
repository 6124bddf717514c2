package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// object is what a request changes, where PVE shows it: as it was before.
type object struct {
	Elements []string `json:"elements"` // of its path; nil if PVE shows none
	Before   fields   `json:"before"`   // nil if there was none
	Given    []string `json:"given"`    // the settings that the request sets or removes
	Secret   bool     `json:"secret"`   // the guard's table expects secrets in it
	// Undo restores the object, except for the settings in New. It is nil if nothing does.
	Undo *tool.NextCall `json:"undo"`
	New  []string       `json:"new"` // settings that were not there before
	// Unsets says that the request of Undo can remove settings.
	Unsets bool `json:"unsets"`
	// Position says that the object is a rule, by its position; Shifts, that another one has
	// the position afterwards.
	Position bool `json:"position"`
	Shifts   bool `json:"shifts"`
}

// fields are those of an object, as PVE shows them.
type fields map[string]any

// UnmarshalJSON keeps numbers as they are written, so that they compare.
func (f *fields) UnmarshalJSON(data []byte) error {
	return exactjson.Unmarshal(data, (*map[string]any)(f))
}

// objectOf finds what a request changes, and reads it as it is.
func objectOf(ctx context.Context, c *tool.Call, req request) (object, error) {
	var o object
	for _, elems := range [][]string{childOf(req), req.elements} {
		row, ok := policy.Describe(http.MethodGet, elems, nil)
		if elems == nil || !ok || !row.IsPlainRead() {
			continue
		}
		if ep, _, ok := req.known.Find(http.MethodGet, "/"+strings.Join(elems, "/")); !ok || isList(ep) {
			continue
		}
		before, err := readObject(ctx, c, elems)
		var refused *proxmox.Error
		switch {
		case proxmox.IsAbsent(err) && errors.As(err, &refused) && changesNamed(req) && slices.Equal(elems, req.elements):
			return object{}, explain.Refusal("", "Nothing was sent: there is no such thing to change. PVE says: %s.", saidBy(refused))
		case proxmox.IsAbsent(err):
		case errors.As(err, &refused) && !refused.NodeUnreachable(): // more can be changed than seen
			return object{}, nil
		case err != nil:
			return object{}, err
		}
		o = object{Elements: elems, Secret: row.Secret, Before: before, Given: givenIn(req), Position: strings.HasSuffix(req.endpoint.Path, "/{pos}")}
		o.Shifts = o.Position && (req.method == http.MethodDelete || req.form.Has("moveto"))
		break
	}
	if o.Elements != nil {
		o.keepSettings(req)
		o.prepareUndo(req)
	}
	return o, nil
}

func isList(ep *apischema.Endpoint) bool { return ep.Returns != nil && ep.Returns.Type == "array" }

// childOf is the path of the object that a request to a collection makes or changes: that
// which one of its parameters names. The position of a rule is none: it shifts.
func childOf(req request) []string {
	for _, ep := range req.known.Endpoints() {
		name, isChild := strings.CutPrefix(ep.Path, req.endpoint.Path+"/{")
		name = strings.TrimSuffix(name, "}")
		if ep.Method != http.MethodGet || !isChild || strings.Contains(name, "/") || name == "pos" {
			continue
		}
		if value, _ := req.values[name].(string); value != "" && (name == "cidr" || !strings.Contains(value, "/")) {
			return append(slices.Clone(req.elements), value)
		}
	}
	return nil
}

// givenIn are the settings that a request sets or removes.
func givenIn(req request) []string {
	out := append(removed(req), req.typed...)
	for _, name := range slices.Sorted(maps.Keys(req.form)) {
		if name != "digest" && (name != "delete" || !removesSettings(req)) {
			out = append(out, name)
		}
	}
	return out
}

// changesNamed reports whether a request changes or removes an object that its path names.
func changesNamed(req request) bool {
	return req.method != http.MethodPost && strings.HasSuffix(req.endpoint.Path, "}")
}

// saidBy is a refusal of PVE in its own words.
func saidBy(e *proxmox.Error) string {
	words := strings.TrimSpace(e.Message)
	if problems := e.Refused(); problems != "" {
		words += " " + problems
	}
	return strings.TrimRight(render.Text(words, 300), " .")
}

// readObject reads an object.
func readObject(ctx context.Context, c *tool.Call, elems []string) (fields, error) {
	ans, err := c.PVE.Do(ctx, http.MethodGet, proxmox.Join(elems...), nil)
	if err != nil {
		return nil, err
	}
	var value any
	err = exactjson.Unmarshal(ans.Data, &value)
	out, _ := value.(map[string]any)
	return out, err
}

// readAfter reads the object as it is afterwards, nil if there is none.
func (o object) readAfter(ctx context.Context, c *tool.Call) (fields, error) {
	if o.Shifts {
		return nil, nil
	}
	after, err := readObject(ctx, c, o.Elements)
	if proxmox.IsAbsent(err) {
		return nil, nil
	}
	return after, err
}

// digestOfList is the digest that the entries of a list have, "" if they have none.
func digestOfList(ctx context.Context, c *tool.Call, req request) string {
	row, ok := policy.Describe(http.MethodGet, req.elements, nil)
	if !ok || !row.IsPlainRead() || req.known.Endpoint(http.MethodGet, req.endpoint.Path) == nil {
		return ""
	}
	rows, err := proxmox.Get[[]map[string]any](ctx, c.PVE.Client, proxmox.Join(req.elements...), nil)
	if err != nil || len(rows) == 0 {
		return ""
	}
	digest, _ := rows[0]["digest"].(string)
	return digest
}

// keepSettings leaves of the former state what can be set: the rest may change by itself.
func (o *object) keepSettings(req request) {
	var settings []*apischema.Endpoint
	parent := req.endpoint.Path[:strings.LastIndex(req.endpoint.Path, "/")]
	for _, path := range []string{req.endpoint.Path, parent} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			if ep := req.known.Endpoint(method, path); ep != nil && ep.Path != parent || ep != nil && req.method == http.MethodDelete {
				settings = append(settings, ep)
			}
		}
	}
	maps.DeleteFunc(o.Before, func(name string, _ any) bool {
		return name != "digest" && !slices.ContainsFunc(settings, func(ep *apischema.Endpoint) bool { return req.known.Param(ep, name) != nil })
	})
}

// prepareUndo finds the request that makes the object as it was.
func (o *object) prepareUndo(req request) {
	path, made := "/"+strings.Join(o.Elements, "/"), o.Before == nil
	switch {
	case made && req.method == http.MethodPost && mayBeSent(req, http.MethodDelete, o.Elements):
		o.Undo = undoBy(http.MethodDelete, path)
	case !made && req.method != http.MethodDelete && slices.Equal(o.Elements, req.elements):
		o.prepareFormer(req, undoBy(req.method, path))
	}
}

func undoBy(method, path string) *tool.NextCall {
	return &tool.NextCall{Tool: "pve_api_change", Arguments: map[string]any{"method": method, "path": path}}
}

// mayBeSent reports whether an endpoint exists, and the table lets requests to it pass.
func mayBeSent(req request, method string, elems []string) bool {
	_, _, exists := req.known.Find(method, "/"+strings.Join(elems, "/"))
	row, ok := policy.Describe(method, elems, nil)
	return exists && ok && row.Never == ""
}

// prepareFormer makes a request that sets the former values of what the request sets. There is
// none if one of them is a secret, or cannot be written as PVE takes it.
func (o *object) prepareFormer(req request, u *tool.NextCall) {
	former := params{}
	cl := cleaner{secret: o.Secret, masked: map[string]bool{}}
	for _, name := range o.Given {
		value, was := o.Before[name]
		switch {
		case !was && !slices.Contains(removed(req), name):
			o.New = append(o.New, name)
		case was && !reflect.DeepEqual(cl.clean(name, value), value):
			return
		case was:
			former[name] = settingOf(value)
		}
	}
	if len(former) == 0 && len(o.New) == 0 {
		return
	}
	values, err := former.values()
	if err != nil {
		return
	}
	for name, value := range req.values {
		if strings.Contains(req.endpoint.Path, "{"+name+"}") {
			values[name] = value
		}
	}
	if _, err := checkParams(req.known, req.endpoint, values); err != nil {
		return
	}
	if o.Undo, o.Unsets = u, removesSettings(req); len(former) > 0 {
		o.Undo.Arguments["params"] = former
	}
}

// settingOf is a value as PVE takes it: an object that it shows is a property string to it.
func settingOf(value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		parts = append(parts, fmt.Sprintf("%s=%v", key, object[key]))
	}
	return strings.Join(parts, ",")
}

// differences are the fields that were given or have changed, as they were and as they are.
func (o object) differences(after fields, cl cleaner) (was, is map[string]any) {
	cl.secret = o.Secret
	shown := func(name string) bool {
		if name == "digest" {
			return false
		}
		_, known := o.Before[name]
		return o.Before == nil || slices.Contains(o.Given, name) || known && !reflect.DeepEqual(o.Before[name], after[name])
	}
	pick := func(all fields) map[string]any {
		out := map[string]any{}
		for name, value := range all {
			if shown(name) {
				out[name], _ = fit(cl.clean(name, value), mostShownData)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return pick(o.Before), pick(after)
}

// takeBack is the call that makes the object as it was, nil if there is none, or nothing to
// take back.
func (o object) takeBack(after fields) *tool.NextCall {
	if o.Undo == nil || after == nil {
		return nil
	}
	same := o.Before != nil
	var added []string
	for _, name := range o.Given {
		_, is := after[name]
		isNew := slices.Contains(o.New, name)
		switch {
		case isNew && is && !o.Unsets, isNew && !is: // PVE may have it, and not show it
			return nil
		case isNew:
			added = append(added, name)
		}
		same = same && reflect.DeepEqual(o.Before[name], after[name])
	}
	if same {
		return nil
	}
	u := &tool.NextCall{Tool: o.Undo.Tool, Arguments: maps.Clone(o.Undo.Arguments)}
	if len(added) > 0 {
		u.Arguments["unset"] = added
	}
	if digest, ok := after["digest"].(string); ok && o.Position {
		u.Arguments["digest"] = digest
	}
	return u
}
