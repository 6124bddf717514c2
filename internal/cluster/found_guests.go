package cluster

import (
	"maps"
	"slices"

	"github.com/pve-mcp/pve-mcp/pve"
)

// foundGuests are the guests that a view has found. A change of a hundred guests makes a view
// for each, and each of them knows all guests of the cluster: what comes from lists is shared.
type foundGuests struct {
	listed map[pve.VMID]*pve.Resource // never changed, but replaced
	// single are those that were looked for one by one, and count more. The zero value is one
	// that is to be looked for again.
	single map[pve.VMID]pve.Resource
}

func newFoundGuests() foundGuests { return foundGuests{single: map[pve.VMID]pve.Resource{}} }

// fork returns what the view of another goroutine knows, which changes nothing here.
func (f *foundGuests) fork() foundGuests { return foundGuests{f.listed, maps.Clone(f.single)} }

func (f *foundGuests) find(id pve.VMID) (g pve.Resource, ok bool) {
	if g, ok := f.single[id]; ok {
		return g, g.VMID == id
	}
	if g, ok := f.listed[id]; ok {
		return *g, true
	}
	return pve.Resource{}, false
}

func (f *foundGuests) add(id pve.VMID, g pve.Resource) { f.single[id] = g }

func (f *foundGuests) addList(list []pve.Resource) {
	list = slices.Clone(list)
	all := make(map[pve.VMID]*pve.Resource, len(list)+len(f.listed))
	maps.Copy(all, f.listed)
	for i := range list {
		all[list[i].VMID] = &list[i]
		delete(f.single, list[i].VMID)
	}
	f.listed = all
}

func (f *foundGuests) forget(id pve.VMID) { f.single[id] = pve.Resource{} }
