package pvesim

import (
	"fmt"
	"strconv"
	"strings"
)

// version is a version of PVE, such as 9.0.11 or 7.4-3.
type version struct {
	text                string
	major, minor, patch int
}

func parseVersion(s string) version {
	v := version{text: s}
	parts := strings.FieldsFunc(s+".0.0", func(r rune) bool { return r == '.' || r == '-' })
	v.major, _ = strconv.Atoi(parts[0])
	v.minor, _ = strconv.Atoi(parts[1])
	v.patch, _ = strconv.Atoi(parts[2])
	return v
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

func (v version) release() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// schema is the major version whose API description holds. For PVE 7, that of 8 is
// used.
func (v version) schema() int {
	if v.major == 7 {
		return 8
	}
	return v.major
}

// since are endpoints and parameters that came with a minor version of PVE.
var since = map[string][2]int{
	"GET /nodes/{node}/lxc/{vmid}/interfaces":                      {8, 1},
	"POST /nodes/{node}/suspendall":                                {8, 1},
	"POST /nodes/{node}/lxc/{vmid}/status/stop overrule-shutdown":  {8, 2},
	"POST /nodes/{node}/qemu/{vmid}/status/stop overrule-shutdown": {8, 2},
	"POST /nodes/{node}/vzdump fleecing":                           {8, 2},
	"POST /nodes/{node}/vzdump pbs-change-detection-mode":          {8, 3},
	"GET /cluster/metrics/export":                                  {8, 3},
	"GET /nodes/{node}/storage/{storage}/import-metadata":          {8, 2},
	"POST /nodes/{node}/vzdump notification-mode":                  {8, 1},
	"GET /nodes/{node}/storage/{storage}/identity":                 {9, 2},
	"GET /cluster/bulk-action":                                     {9, 1},
	"GET /cluster/bulk-action/guest":                               {9, 1},
	"POST /cluster/bulk-action/guest/start":                        {9, 1},
	"POST /cluster/bulk-action/guest/shutdown":                     {9, 1},
	"POST /cluster/bulk-action/guest/suspend":                      {9, 1},
	"POST /cluster/bulk-action/guest/migrate":                      {9, 1},
}

// tooNew refuses what the node's version of PVE does not have yet.
func (c *call) tooNew() error {
	key := c.ep.Method + " " + c.ep.Path
	if v, ok := since[key]; ok && !c.node.version.atLeast(v[0], v[1]) {
		return notImplemented(c.req.Method, c.record.Path)
	}
	for name := range c.params {
		if v, ok := since[key+" "+name]; ok && !c.node.version.atLeast(v[0], v[1]) {
			return badParam(name, "property is not defined in schema and the schema does not allow additional properties")
		}
	}
	return nil
}

// qemu is the version of QEMU that came with a version of PVE.
func (v version) qemu() string {
	switch {
	case v.atLeast(9, 2):
		return "11.0.0"
	case v.atLeast(9, 0):
		return "10.0.2"
	case v.atLeast(8, 0):
		return "9.2.0"
	}
	return "7.2.0"
}

// machine is the version of the newest machine type of that QEMU.
func (v version) machine() string { return v.qemu()[:strings.LastIndex(v.qemu(), ".")] }

// repoID represents the commit that a release was built from.
func (v version) repoID() string { return fmt.Sprintf("%016x", hash(v.text)) }

func getVersion(c *call) (any, error) {
	v := c.node.version
	return map[string]any{"version": v.text, "release": v.release(), "repoid": v.repoID()}, nil
}
