// Package reading reads from a cluster what a placement of guests needs to know.
package reading

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Facts are what is known of a cluster for a placement.
type Facts struct {
	Nodes  []pve.Resource // by name
	Guests []pve.Resource // that the token sees, by id
	HA     HA
	// Blind says what could not be read, in a sentence each.
	Blind []string

	stores  []cluster.Store
	resting map[string]bool // nodes in maintenance
	bridges map[string]map[string]bool
	needs   map[pve.VMID]needs
}

// needs are what the configuration of a guest says of what it needs.
type needs struct {
	storages []string
	copied   map[string]int64
	bridges  []string
	macs     []string
}

// Read reads what concerns the whole cluster: its lists and the configuration of HA.
func Read(ctx context.Context, v *cluster.View) (*Facts, error) {
	f := &Facts{bridges: map[string]map[string]bool{}, needs: map[pve.VMID]needs{}}
	all, err := v.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, r := range all.Resources() {
		if r.IsGuest() {
			f.Guests = append(f.Guests, r)
		}
	}
	slices.SortFunc(f.Guests, func(a, b pve.Resource) int { return int(a.VMID) - int(b.VMID) })
	if f.Nodes, err = v.Nodes(ctx); err != nil {
		return nil, err
	}
	if f.stores, err = v.Stores(ctx); err != nil {
		return nil, err
	}
	if f.resting, err = v.NodesInMaintenance(ctx); err != nil {
		return nil, err
	}
	if f.HA, err = ReadHA(ctx, v); err != nil {
		f.Blind = append(f.Blind, "The configuration of HA cannot be seen: "+v.Explain(err).What)
	}
	return f, nil
}

// Guest returns a guest of the list; ok is false if there is none that the token sees.
func (f *Facts) Guest(id pve.VMID) (g pve.Resource, ok bool) {
	i, ok := slices.BinarySearchFunc(f.Guests, id, func(g pve.Resource, id pve.VMID) int { return cmp.Compare(g.VMID, id) })
	if !ok {
		return pve.Resource{VMID: id}, false
	}
	return f.Guests[i], true
}

// ReadNeeds reads the configurations of some guests, and the networks of the nodes on which they
// are and to which they could go. Without it, only memory and processors of a guest are known.
func (f *Facts) ReadNeeds(ctx context.Context, v *cluster.View, guests []pve.Resource, nodes []string) {
	got, notes, err := cluster.Ask(v, nodes, func(n string) string { return "the networks of " + n }, func(n string) ([]pve.Network, error) { return v.PVE.Bridges(ctx, n) })
	for _, r := range got {
		if len(r.Value) > 0 { // none may be visible
			f.bridges[r.From] = map[string]bool{}
			for _, n := range r.Value {
				f.bridges[r.From][n.Iface] = true
			}
		}
	}
	f.noteBlind(v, notes, err)
	configs, notes, err := cluster.Ask(v, guests, cluster.GuestName, func(g pve.Resource) (pve.GuestConfig, error) {
		return v.PVE.CurrentConfig(ctx, g.Ref())
	})
	for _, r := range configs {
		f.needs[r.From.VMID] = f.needsOf(r.From, r.Value)
	}
	f.noteBlind(v, notes, err)
}

func (f *Facts) noteBlind(v *cluster.View, notes []string, err error) {
	if err != nil {
		notes = []string{v.Explain(err).What}
	}
	f.Blind = append(f.Blind, render.Few(notes, 3)...)
}

// needsOf reads what a guest needs of its node. What the token does not see on the node on which
// the guest is now is not looked for elsewhere.
func (f *Facts) needsOf(g pve.Resource, config pve.GuestConfig) needs {
	out := needs{copied: map[string]int64{}}
	for _, d := range config.Disks(pve.Kind(g.Type)) {
		store, has := f.storeOn(g.Node.Value, d.Volume.Storage)
		if d.IsCDROM() || !has {
			continue
		}
		if name := d.Volume.Storage; !slices.Contains(out.storages, name) {
			out.storages = append(out.storages, name)
		}
		if !store.Shared.Value {
			out.copied[d.Volume.Storage] += d.Size.Value
		}
	}
	for _, n := range config.NICs(pve.Kind(g.Type)) {
		out.macs = append(out.macs, n.MAC)
		if f.bridges[g.Node.Value][n.Bridge] && !slices.Contains(out.bridges, n.Bridge) {
			out.bridges = append(out.bridges, n.Bridge)
		}
	}
	return out
}

func (f *Facts) storeOn(node, storage string) (cluster.Store, bool) {
	i := slices.IndexFunc(f.stores, func(s cluster.Store) bool { return s.Storage.Value == storage && slices.Contains(s.Nodes, node) })
	if i < 0 {
		return cluster.Store{}, false
	}
	return f.stores[i], true
}

// CopiedBytes returns how many bytes of a guest's disks are on storages of its node alone, as
// far as [Facts.ReadNeeds] was asked.
func (f *Facts) CopiedBytes(id pve.VMID) (sum int64) {
	for _, bytes := range f.needs[id].copied {
		sum += bytes
	}
	return sum
}

// MACs returns the addresses of a guest's network interfaces, as far as [Facts.ReadNeeds] was
// asked.
func (f *Facts) MACs(id pve.VMID) []string { return f.needs[id].macs }

// Board returns the cluster as it is, to move guests on. Closed says of a node why it takes no
// guest, "" if it does; it may be nil.
func (f *Facts) Board(closed func(node string) string) *placement.Board {
	var nodes []placement.Node
	for _, n := range f.Nodes {
		nodes = append(nodes, f.node(n, closed))
	}
	var guests []placement.Guest
	for _, g := range f.Guests {
		guests = append(guests, f.guest(g))
	}
	return placement.NewBoard(nodes, guests, f.HA.Rules)
}

func (f *Facts) node(n pve.Resource, closed func(string) string) placement.Node {
	name := n.Node.Value
	out := placement.Node{
		Name: name, Memory: n.MaxMem.Value, Used: n.Mem.Value, Cores: n.MaxCPU.Value, Busy: n.CPU.Value * n.MaxCPU.Value, Bridges: f.bridges[name],
	}
	for _, s := range f.stores {
		if out.Storages == nil {
			out.Storages = map[string]int64{}
		}
		if s.UsableOn(name) {
			out.Storages[s.Storage.Value] = max(0, s.MaxDisk.Value-s.Disk.Value)
		}
	}
	switch {
	case n.Status.Value != "online":
		out.Closed = "is " + n.Status.Or("unknown")
	case f.resting[name]:
		out.Closed = "is in HA maintenance"
	case closed != nil:
		out.Closed = closed(name)
	}
	return out
}

// IsOn reports whether a guest may take memory of its node. The list of the cluster also calls a
// VM paused or prelaunch, and unknown if its node does not report.
func IsOn(g pve.Resource) bool { return g.Status.Value != "stopped" }

// Knows reports whether it is known which disks and how much memory a guest has, as far as
// [Facts.ReadNeeds] was asked.
func (f *Facts) Knows(id pve.VMID) bool {
	g, _ := f.Guest(id)
	_, read := f.needs[id]
	return read && g.MaxMem.Value > 0
}

// guest is what a guest takes. A VM may come to use all of its memory; that of a container is a
// limit, and all that is known of one that HA is about to start.
func (f *Facts) guest(g pve.Resource) placement.Guest {
	need := f.needs[g.VMID]
	out := placement.Guest{ID: g.VMID, Name: cluster.GuestName(g), Node: g.Node.Value, Storages: need.storages, Copied: need.copied, Bridges: need.bridges}
	if !IsOn(g) && !f.HA.Wants(g.VMID) {
		return out
	}
	out.Memory, out.Busy = g.Mem.Value, g.CPU.Value*g.MaxCPU.Value
	if g.Type == string(pve.QEMU) || g.Status.Value != "running" {
		out.Memory = max(g.MaxMem.Value, g.MemHost.Value)
	}
	return out
}

// MemoryOf says in a few words how much memory of a node is in use.
func MemoryOf(n placement.Node) string {
	if n.Memory == 0 {
		return "memory not known"
	}
	return fmt.Sprintf("memory %.0f %%", 100*n.MemoryShare())
}
