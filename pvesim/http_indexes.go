package pvesim

import (
	"slices"
	"strings"
)

// indexes are the paths that list what is below them, with the field that names it.
var indexes = map[string]string{
	"/access":                                       "subdir",
	"/cluster":                                      "name",
	"/cluster/firewall":                             "name",
	"/cluster/ha":                                   "id",
	"/cluster/ha/status":                            "name",
	"/cluster/jobs":                                 "subdir",
	"/cluster/metrics":                              "name",
	"/nodes/{node}":                                 "name",
	"/nodes/{node}/apt":                             "id",
	"/nodes/{node}/capabilities":                    "name",
	"/nodes/{node}/capabilities/qemu":               "name",
	"/nodes/{node}/certificates":                    "name",
	"/nodes/{node}/disks":                           "name",
	"/nodes/{node}/firewall":                        "name",
	"/nodes/{node}/lxc/{vmid}":                      "subdir",
	"/nodes/{node}/lxc/{vmid}/firewall":             "name",
	"/nodes/{node}/lxc/{vmid}/snapshot/{snapname}":  "cmd",
	"/nodes/{node}/lxc/{vmid}/status":               "subdir",
	"/nodes/{node}/qemu/{vmid}":                     "subdir",
	"/nodes/{node}/qemu/{vmid}/agent":               "name",
	"/nodes/{node}/qemu/{vmid}/firewall":            "name",
	"/nodes/{node}/qemu/{vmid}/snapshot/{snapname}": "cmd",
	"/nodes/{node}/qemu/{vmid}/status":              "subdir",
	"/nodes/{node}/services/{service}":              "subdir",
	"/nodes/{node}/storage/{storage}":               "subdir",
	"/nodes/{node}/tasks/{upid}":                    "name",
}

// indexRows answer for the indexes.
func indexRows() map[string]func(*call) (any, error) {
	out := map[string]func(*call) (any, error){}
	for path, field := range indexes {
		out["GET "+path] = func(c *call) (any, error) { return c.below(path, field), nil }
	}
	return out
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
