package pvesim

import (
	"slices"
	"strings"
)

// index answers with what is below a path, by the field that names it.
func index(field string) handler {
	return func(c *call) (any, error) { return c.below(c.ep.Path, field), nil }
}

// below names what is one step below a path, whatever it is about.
func (c *call) below(path, field string) []any {
	var names []string
	for _, ep := range c.api().Endpoints() {
		rest, ok := strings.CutPrefix(ep.Path, path+"/")
		if name, _, _ := strings.Cut(rest, "/"); ok && !strings.HasPrefix(name, "{") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := []any{}
	for _, name := range slices.Compact(names) {
		out = append(out, map[string]any{field: name})
	}
	return out
}
