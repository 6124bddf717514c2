package pve

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// ResourceList is a list of resources as of a time. It may be that of other callers as
// well: nothing in it can be changed.
type ResourceList struct {
	asOf time.Time
	rows []Row
}

// AsOf is when PVE was asked: at most [ResourcesAge] before the list was returned, and after
// the last write that the client had made by then.
func (l *ResourceList) AsOf() time.Time { return l.asOf }

// Rows yields the rows of the list in PVE's order, which means nothing.
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

// of returns the rows of a kind, as PVE lists them for it.
func (l *ResourceList) of(kind string) *ResourceList {
	var rows []Row
	for _, r := range l.rows {
		if r.kind == kind || kind == "vm" && r.IsGuest() {
			rows = append(rows, r)
		}
	}
	return &ResourceList{l.asOf, rows}
}

// Guest finds the row of a guest.
func (l *ResourceList) Guest(id VMID) (row *Row, ok bool) {
	i := slices.IndexFunc(l.rows, func(r Row) bool { return r.vmid == id && r.IsGuest() })
	if i < 0 {
		return nil, false
	}
	return &l.rows[i], true
}

// Row is a resource that is not decoded yet: its methods decode what they return, and
// [Row.Resource] decodes it all. It is for long lists: a caller with ten thousand rows
// mostly needs a few fields of all, or all fields of a few. [ResourceList.Resources] is
// simpler.
type Row struct {
	object []byte // as PVE has written it; or null
	vmid   VMID
	kind   string
	at     [columns]span // where in object the columns are
}

// span is the place of a value in an object; the zero span means that it has none.
type span struct{ from, to uint32 }

// The columns of lists of guests.
const (
	cNode = iota
	cStatus
	cLock
	cName
	cPool
	cTags
	cHAState
	cTemplate
	cUptime
	cCPU
	cMem
	cMaxMem
	cDisk
	cMaxDisk
	cNetIn
	cNetOut
	columns
)

// rowsIn takes a list of objects apart that is valid JSON. There may be nulls.
func rowsIn(data []byte) ([]Row, error) {
	if data = jsonscan.Trim(data); data[0] != '[' {
		return nil, fmt.Errorf("%.40q where a list was expected", data)
	}
	var out []Row
	for i := jsonscan.Inside(data, 0); data[i] != ']'; {
		out = append(out, Row{})
		end := out[len(out)-1].read(data, i)
		if data[i] != '{' && data[i] != 'n' {
			return nil, fmt.Errorf("%.40q where an object was expected", data[i:end])
		}
		if cap(out) < 2 { // how many there may be, so that the list need not grow again and again
			out = slices.Grow(out, len(data)/(end-i)*5/4)
		}
		i = jsonscan.Following(data, end)
	}
	return out, nil
}

// read reads the row that begins at start, and returns where it ends. It goes once over
// an object.
func (r *Row) read(b []byte, start int) (end int) {
	if b[start] != '{' {
		end = jsonscan.ValueEnd(b, start)
		r.object = b[start:end]
		return end
	}
	i := jsonscan.Inside(b, start)
	for b[i] != '}' {
		m := jsonscan.MemberAt(b, i)
		if b[m.From] != 'n' { // null
			r.note(b, start, m)
		}
		i = jsonscan.Following(b, m.To)
	}
	r.object = b[start : i+1]
	return i + 1
}

// note notes a member of the object that begins at start. What counts is what lenient.Decode
// takes: of several values the last one, unless it is null or of no use.
func (r *Row) note(b []byte, start int, m jsonscan.Member) {
	column := 0
	switch string(m.Key(b)) {
	case "type":
		r.setKind(b[m.From:m.To])
		return
	case "vmid":
		_ = r.vmid.UnmarshalJSON(b[m.From:m.To])
		return
	case "node":
		column = cNode
	case "status":
		column = cStatus
	case "lock":
		column = cLock
	case "name":
		column = cName
	case "pool":
		column = cPool
	case "tags":
		column = cTags
	case "hastate":
		column = cHAState
	case "template":
		column = cTemplate
	case "uptime":
		column = cUptime
	case "cpu":
		column = cCPU
	case "mem":
		column = cMem
	case "maxmem":
		column = cMaxMem
	case "disk":
		column = cDisk
	case "maxdisk":
		column = cMaxDisk
	case "netin":
		column = cNetIn
	case "netout":
		column = cNetOut
	default:
		return
	}
	r.at[column] = span{uint32(m.From - start), uint32(m.To - start)}
}

// setKind has the usual kinds at hand.
func (r *Row) setKind(value []byte) {
	switch string(value) {
	case `"qemu"`:
		r.kind = string(QEMU)
	case `"lxc"`:
		r.kind = string(LXC)
	default:
		_ = lenient.DecodeValue(value, &r.kind)
	}
}

// value decodes a column; a list or an object in it is as good as nothing.
func value[T string | int64 | float64 | bool](r *Row, column int) (v lenient.Opt[T]) {
	if at := r.at[column]; at.to > 0 {
		_ = v.UnmarshalJSON(r.object[at.from:at.to])
	}
	return v
}

// VMID is the id of a guest, 0 of what is none.
func (r *Row) VMID() VMID { return r.vmid }

// Type is the kind of the resource: node, qemu, lxc, storage, pool, sdn or network.
func (r *Row) Type() string { return r.kind }

// Node is the node that the resource is on, or that it is.
func (r *Row) Node() string { return value[string](r, cNode).Value }

// Status is PVE's word for the state of the resource; see [Row.State] for a guest.
func (r *Row) Status() string { return value[string](r, cStatus).Value }

// Name is the name of a guest.
func (r *Row) Name() string { return value[string](r, cName).Value }

// Pool is the pool of a guest or a storage, or the one that the resource is.
func (r *Row) Pool() string { return value[string](r, cPool).Value }

// TagList returns the tags of a guest.
func (r *Row) TagList() []string { return SplitTags(value[string](r, cTags).Value) }

// IsGuest is [Resource.IsGuest].
func (r *Row) IsGuest() bool { return r.kind == string(QEMU) || r.kind == string(LXC) }

// State is [Resource.State].
func (r *Row) State() string {
	return stateOf(value[string](r, cStatus).Or("unknown"), value[string](r, cLock).Value)
}

// Use decodes what changes without anybody changing the guest, and its lock: Lock, HAState,
// Template, Uptime, CPU, Mem, MaxMem, Disk, MaxDisk, NetIn and NetOut. The other fields stay
// zero.
func (r *Row) Use() Resource {
	return Resource{
		Lock: value[string](r, cLock), HAState: value[string](r, cHAState), Template: value[bool](r, cTemplate),
		Uptime: value[int64](r, cUptime), CPU: value[float64](r, cCPU),
		Mem: value[int64](r, cMem), MaxMem: value[int64](r, cMaxMem), Disk: value[int64](r, cDisk), MaxDisk: value[int64](r, cMaxDisk),
		NetIn: value[int64](r, cNetIn), NetOut: value[int64](r, cNetOut),
	}
}

// Resource decodes the row.
func (r *Row) Resource() (out Resource) {
	_ = out.UnmarshalJSON(r.object) // which refuses only what is no object
	return out
}

// Decoded decodes some rows of a list, many of them on all CPUs.
func Decoded(rows []*Row) []Resource {
	const together = 500 // on one CPU, before another one is worth its while
	out := make([]Resource, len(rows))
	size := max(together, (len(rows)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for from := 0; from < len(rows); from += size {
		all.Go(func() {
			for i := from; i < min(from+size, len(rows)); i++ {
				out[i] = rows[i].Resource()
			}
		})
	}
	all.Wait()
	return out
}
