package api

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// params are those of a call: text, numbers, booleans, and lists of them.
type params map[string]any

// UnmarshalJSON keeps numbers as they are written.
func (p *params) UnmarshalJSON(data []byte) error {
	return exactjson.Unmarshal(data, (*map[string]any)(p))
}

// values returns the parameters as PVE takes them in a form, or an error for those that it
// cannot take.
func (p params) values() (out apischema.Values, problem error) {
	out = apischema.Values{}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		value, ok := plain(p[name])
		if !ok {
			return nil, explain.Refusal(`Write it as PVE does, such as "virtio,bridge=vmbr0" or ["a","b"].`,
				"Nothing was sent: the parameter %q is an object, or a list of lists.", render.Text(name, 60))
		}
		if value != nil {
			out[name] = value
		}
	}
	return out, nil
}

// plain is a value in a form: text, a list of texts, or nil for none.
func plain(value any) (out any, ok bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case []any:
		list := []any{}
		for _, e := range v {
			text, ok := plain(e)
			if _, isText := text.(string); !ok || !isText {
				return nil, false
			}
			list = append(list, text)
		}
		return list, true
	}
	text, ok := tool.PlainText(value)
	return text, ok
}

// checkParams checks parameters against PVE's own description, and returns them as they are
// sent. The error has PVE's words, and a right example for each parameter.
func checkParams(known *apischema.API, ep *apischema.Endpoint, given apischema.Values) (url.Values, error) {
	checked, err := known.Validate(ep, given)
	var refused *apischema.ParamError
	if errors.As(err, &refused) {
		return nil, refusedParams(known, ep, refused.Errors)
	}
	for name, value := range checked {
		if list, isList := value.([]any); isList && known.Param(ep, name) == nil {
			checked[name] = joined(list)
		}
	}
	if problems := checkCode(known, ep, checked); len(problems) > 0 {
		return nil, refusedParams(known, ep, problems)
	}
	form := url.Values{}
	for name, value := range checked {
		if strings.Contains(ep.Path, "{"+name+"}") {
			continue
		}
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, e := range list {
			form.Add(name, fmt.Sprint(e))
		}
	}
	return form, err
}

// joined is the text of a list, as the parameters have it that PVE's description lacks: those
// of HA rules, which depend on the type.
func joined(list []any) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = fmt.Sprint(e)
	}
	return strings.Join(texts, ",")
}

// noTask is PVE's message for an invalid id of a task.
const noTask = "unable to parse worker upid"

// refusedParams explains which parameters PVE would refuse, in its own words.
func refusedParams(known *apischema.API, ep *apischema.Endpoint, problems map[string]string) error {
	var lines, right []string
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		line := fmt.Sprintf("%s: %s", render.Text(name, 60), render.Text(strings.ReplaceAll(problems[name], "\n", " "), 500))
		schema := known.Param(ep, strings.SplitN(strings.SplitN(name, ".", 2)[0], "[", 2)[0])
		if schema == nil {
			if near := nearestParam(ep, name); near != "" {
				line += fmt.Sprintf(" (did you mean %s?)", near)
			}
		} else {
			right = append(right, fmt.Sprintf("%s: %s", render.Text(name, 60), example(name, schema)))
		}
		lines = append(lines, line)
	}
	e := &explain.Explanation{What: "Nothing was sent: Parameter verification failed. " + strings.Join(render.Few(lines, 8), "; ")}
	e.What = strings.TrimRight(e.What, " .") + "."
	if len(right) > 0 {
		e.Next = "Right would be " + strings.Join(render.Few(right, 8), "; ") + "."
	} else {
		e.Next = "It takes " + paramNames(ep) + "."
	}
	return e
}

// nearestParam is the parameter of an endpoint that a name is most like, or "".
func nearestParam(ep *apischema.Endpoint, name string) string {
	best, least := "", 3
	for _, own := range slices.Sorted(maps.Keys(ep.Params)) {
		d := distance(strings.ReplaceAll(name, "_", "-"), strings.TrimSuffix(own, "[n]"), 3)
		if d < least {
			best, least = own, d
		}
	}
	return best
}

func paramNames(ep *apischema.Endpoint) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(ep.Params)) {
		if !strings.Contains(ep.Path, "{"+name+"}") {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0 && !ep.Closed:
		return "parameters that PVE's own description does not name"
	case len(names) == 0:
		return "no parameters"
	}
	return render.List(names)
}
