package pve

import (
	"fmt"
	"net/url"
	"strings"
)

// path is a path below /api2/json whose elements are escaped.
type path struct {
	text string
	err  error
}

// join makes a path of unescaped elements. PVE unescapes a path before it splits it, and
// so may a proxy. So nothing but a volume id may have slashes, and no part between them
// may be a step up, or nothing.
func join(elems ...string) path {
	var b strings.Builder
	for _, e := range elems {
		if _, err := ParseVolID(e); err != nil && strings.Contains(e, "/") {
			return path{err: fmt.Errorf("path %q: %q cannot be an element of a path", elems, e)}
		}
		for part := range strings.SplitSeq(e, "/") {
			if part == "" || part == "." || part == ".." {
				return path{err: fmt.Errorf("path %q: %q cannot be an element of a path", elems, e)}
			}
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return path{text: b.String()}
}

func (p path) String() string { return p.text }
