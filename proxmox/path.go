package proxmox

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Path is a path below /api2/json whose elements are escaped.
type Path struct {
	text string
	err  error
}

// Join makes a path of unescaped elements. PVE unescapes a path before it splits it, and
// so may a proxy. So only a volume id and an IP network may have slashes, and no part between
// them may be empty, or a step up. A request to a path with a wrong element fails with what is
// wrong with it.
func Join(elems ...string) Path {
	var b strings.Builder
	for _, e := range elems {
		if strings.Contains(e, "/") && !isVolume(e) && !isNetwork(e) {
			return Path{err: fmt.Errorf("path %q: %q cannot be an element of a path", elems, e)}
		}
		for part := range strings.SplitSeq(e, "/") {
			if part == "" || part == "." || part == ".." {
				return Path{err: fmt.Errorf("path %q: %q cannot be an element of a path", elems, e)}
			}
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return Path{text: b.String()}
}

func (p Path) String() string { return p.text }

// isVolume reports whether an element can be the id of a volume, STORAGE:NAME.
func isVolume(e string) bool {
	storage, name, ok := strings.Cut(e, ":")
	return ok && storage != "" && name != "" && !strings.ContainsAny(storage, "/ ")
}

// isNetwork reports whether an element is an IP network, such as 10.0.0.0/8.
func isNetwork(e string) bool {
	_, err := netip.ParsePrefix(e)
	return err == nil
}
