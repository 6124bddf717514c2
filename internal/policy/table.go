package policy

import (
	"slices"
	"strings"
	"sync"
)

// row describes an endpoint.
type row struct {
	endpoint
	detail
}

// target is the path of a request to the endpoint, as a [Target] has it.
func (e row) target(r request) string {
	var out strings.Builder
	for i, part := range strings.Split(e.path, "/")[1:] {
		switch {
		case strings.HasPrefix(part, "{"):
			part = "*"
		case strings.Contains(part, "|"):
			part = r.at(i)
		}
		out.WriteString("/" + part)
	}
	return out.String()
}

// never says why no request to the endpoint is sent, "" if some may be.
func (e row) never() string {
	if e.class == never {
		return e.why
	}
	return ""
}

// table finds endpoints by the elements of a path.
type table struct {
	next map[string]*table
	any  *table          // for an element that the path does not fix
	rows map[string]*row // by method, of a path that ends here
	rest map[string]*row // by method, of a path that ends with a volume, whose name may have slashes
}

// known is the table of all endpoints. Anything else is refused.
var known = sync.OnceValue(func() *table {
	root, all := &table{}, details()
	for _, e := range endpoints() {
		e := &row{e, all[e.method+" "+e.path]}
		vm, ct := strings.ReplaceAll(e.path, "qemu|lxc", "qemu"), strings.ReplaceAll(e.path, "qemu|lxc", "lxc")
		root.add(strings.Split(vm, "/")[1:], e)
		if ct != vm {
			root.add(strings.Split(ct, "/")[1:], e)
		}
	}
	return root
})

func endpoints() []endpoint {
	return slices.Concat(accessEndpoints, clusterEndpoints, haEndpoints, networkEndpoints, nodeEndpoints, storageEndpoints, guestEndpoints)
}

func (t *table) add(path []string, e *row) {
	for _, part := range path {
		if part == "{volume}" {
			if t.rest == nil {
				t.rest = map[string]*row{}
			}
			t.rest[e.method] = e
			return
		}
		if strings.HasPrefix(part, "{") {
			if t.any == nil {
				t.any = &table{}
			}
			t = t.any
			continue
		}
		if t.next[part] == nil {
			if t.next == nil {
				t.next = map[string]*table{}
			}
			t.next[part] = &table{}
		}
		t = t.next[part]
	}
	if t.rows == nil {
		t.rows = map[string]*row{}
	}
	t.rows[e.method] = e
}

// find returns the row of a request, nil for none.
func (t *table) find(method string, elems []string) *row {
	if t == nil {
		return nil
	}
	if len(elems) == 0 {
		return t.rows[method]
	}
	if found := t.next[elems[0]].find(method, elems[1:]); found != nil {
		return found
	}
	if found := t.any.find(method, elems[1:]); found != nil {
		return found
	}
	return t.rest[method]
}
