package pvesim

import (
	"fmt"
	"strconv"
	"strings"
)

// version is a version of PVE.
type version struct {
	text         string
	major, minor int
}

func parseVersion(s string) version {
	v := version{text: s}
	parts := strings.SplitN(s, ".", 3)
	v.major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		v.minor, _ = strconv.Atoi(parts[1])
	}
	return v
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

func (v version) release() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

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

// repoID stands for the commit that a release was built from.
func (v version) repoID() string { return fmt.Sprintf("%016x", hash(v.text)) }

func getVersion(c *call) (any, error) {
	v := c.node.version
	return map[string]any{"version": v.text, "release": v.release(), "repoid": v.repoID()}, nil
}
