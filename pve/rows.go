package pve

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ResourceList is a list of resources as of a time. It may be that of other callers as
// well: nothing in it can be changed.
type ResourceList struct {
	// AsOf is when PVE was asked: at most [ResourcesAge] ago, and after the client's last
	// write.
	AsOf time.Time
	rows []Row
}

// Rows goes over the rows of the list as PVE has sorted them, which is not at all.
func (l *ResourceList) Rows() iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		for i := range l.rows {
			if !yield(&l.rows[i]) {
				return
			}
		}
	}
}

// Resources decodes all rows.
func (l *ResourceList) Resources() []Resource { return Decoded(slices.Collect(l.Rows())) }

// Guest finds the row of a guest.
func (l *ResourceList) Guest(id VMID) (row *Row, ok bool) {
	i := slices.IndexFunc(l.rows, func(r Row) bool { return r.vmid == id && r.IsGuest() })
	if i < 0 {
		return nil, false
	}
	return &l.rows[i], true
}

// Row is a resource as PVE has written it, and what lists are filtered and sorted by: most
// who read a list of ten thousand want to know all about a few of them, or of one.
type Row struct {
	object                               []byte // or null
	vmid                                 VMID
	kind                                 string
	node, status, lock, name, pool, tags span
}

// span says where a value stands in an object; the zero span is of none.
type span struct{ from, to uint32 }

// rowsIn takes a list of objects apart that is valid JSON. There may be nulls.
func rowsIn(data []byte) ([]Row, error) {
	if data = trimmed(data); data[0] != '[' {
		return nil, fmt.Errorf("%.40q where a list was expected", data)
	}
	var out []Row
	for i := inside(data, 0); data[i] != ']'; {
		out = append(out, Row{})
		end := out[len(out)-1].read(data, i)
		if data[i] != '{' && data[i] != 'n' {
			return nil, fmt.Errorf("%.40q where an object was expected", data[i:end])
		}
		if cap(out) < 2 { // how many there may be, so that the list need not grow again and again
			out = slices.Grow(out, len(data)/(end-i)*5/4)
		}
		i = following(data, end)
	}
	return out, nil
}

// read reads the row that begins at start, and returns where it ends. It goes once over
// an object.
func (r *Row) read(b []byte, start int) (end int) {
	if b[start] != '{' {
		end = valueEnd(b, start)
		r.object = b[start:end]
		return end
	}
	i := inside(b, start)
	for b[i] != '}' {
		m := memberAt(b, i)
		if b[m.from] != 'n' { // null
			r.note(b, start, m)
		}
		i = following(b, m.to)
	}
	r.object = b[start : i+1]
	return i + 1
}

// note notes a member of the object that begins at start. What counts is what decodeObject
// takes: of several values the last one, unless it is null or of no use.
func (r *Row) note(b []byte, start int, m member) {
	at := span{uint32(m.from - start), uint32(m.to - start)}
	switch string(m.key(b)) {
	case "type":
		r.setKind(b[m.from:m.to])
	case "vmid":
		_ = r.vmid.UnmarshalJSON(b[m.from:m.to])
	case "node":
		r.node = at
	case "status":
		r.status = at
	case "lock":
		r.lock = at
	case "name":
		r.name = at
	case "pool":
		r.pool = at
	case "tags":
		r.tags = at
	}
}

// setKind has the usual kinds at hand.
func (r *Row) setKind(value []byte) {
	switch string(value) {
	case `"qemu"`:
		r.kind = string(QEMU)
	case `"lxc"`:
		r.kind = string(LXC)
	default:
		_ = decodeField(value, &r.kind)
	}
}

// text is a value of the object as text.
func (r *Row) text(at span) (text Opt[string]) {
	if at.to > 0 {
		_ = text.UnmarshalJSON(r.object[at.from:at.to]) // a list is as good as nothing
	}
	return text
}

// VMID is the id of a guest, 0 of what is none.
func (r *Row) VMID() VMID { return r.vmid }

// Type is the kind of the resource: node, qemu, lxc, storage, pool, sdn or network.
func (r *Row) Type() string { return r.kind }

// Node is the node that the resource is on, or that it is.
func (r *Row) Node() string { return r.text(r.node).Value }

// Status is PVE's word for the state of the resource; see [Row.State] for a guest.
func (r *Row) Status() string { return r.text(r.status).Value }

// Name is the name of a guest.
func (r *Row) Name() string { return r.text(r.name).Value }

// Pool is the pool of a guest or a storage, or the one that the resource is.
func (r *Row) Pool() string { return r.text(r.pool).Value }

// TagList returns the tags of a guest.
func (r *Row) TagList() []string { return SplitTags(r.text(r.tags).Value) }

// IsGuest is [Resource.IsGuest].
func (r *Row) IsGuest() bool { return r.kind == string(QEMU) || r.kind == string(LXC) }

// State is [Resource.State].
func (r *Row) State() string { return stateOf(r.text(r.status).Or("unknown"), r.text(r.lock).Value) }

// Resource decodes the row.
func (r *Row) Resource() (out Resource) {
	_ = out.UnmarshalJSON(r.object) // which refuses only what is no object
	return out
}

// Decoded decodes rows, or only those fields of them that are named, as PVE names them.
func Decoded(rows []*Row, fields ...string) []Resource {
	out := make([]Resource, len(rows))
	decode := func(i int) { out[i] = rows[i].Resource() }
	if len(fields) > 0 {
		plan := maps.Clone(planOf(reflect.TypeFor[Resource]()))
		maps.DeleteFunc(plan, func(name string, _ field) bool { return !slices.Contains(fields, name) })
		decode = func(i int) { decodeSome(rows[i].object, reflect.ValueOf(&out[i]).Elem(), plan) }
	}
	onAllCPUs(len(out), decode)
	return out
}

// onAllCPUs does something that takes microseconds for the numbers below n.
func onAllCPUs(n int, do func(int)) {
	const together = 500 // on one CPU, before another one is worth its while
	size := max(together, (n+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var others sync.WaitGroup
	for from := size; from < n; from += size {
		others.Go(func() {
			for i := from; i < min(from+size, n); i++ {
				do(i)
			}
		})
	}
	for i := range min(size, n) {
		do(i)
	}
	others.Wait()
}
