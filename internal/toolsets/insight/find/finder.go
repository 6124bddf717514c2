package find

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// finder looks at guests, in the order of their ids.
type finder struct {
	*survey.Survey
	in     in
	wanted wanted

	stores []cluster.Store // of the storage that is asked for
	all    int             // guests that are to be looked at, those before the offset included
	guests []*guest        // that are looked at, and not ruled out so far
	next   int             // the offset of the first guest that there was no time for; 0 if there was for all
	vnets  map[string]int64
	// macReported says that no configuration has the MAC address, so that the guests are asked
	// whether they do.
	macReported bool
	ipam        map[pve.VMID][]netip.Addr // what SDN has given out
	notes       []string
}

// guest is what is known of a guest.
type guest struct {
	pve.Resource
	at     int    // its place among all, from 0
	status string // unknown if its node does not answer
	places []place
	// interfaces are those that the running guest reports.
	interfaces []pve.Interface
	where      []string
	addresses  []string
}

// place is a configuration of a guest: the one in force, what waits for its next start, or
// that of a snapshot.
type place struct {
	label  string // before what is found there, such as "snapshot prepatch: "
	kind   pve.Kind
	values map[string]string
	whole  bool // a key that is absent has its default
}

func nameOf(g *guest) string { return cluster.GuestName(g.Resource) }

// choose decides which guests are looked at.
func (f *finder) choose(ctx context.Context) error {
	list, changed, err := f.Resources(ctx)
	if err != nil {
		return err
	}
	all := list.Resources()
	if f.wanted.storage != "" {
		if err := f.findStores(all); err != nil {
			return err
		}
	}
	offline := map[string]bool{}
	var guests []pve.Resource
	for _, r := range all {
		if now, ok := changed[r.VMID]; ok && r.IsGuest() {
			r = now
		}
		switch {
		case r.Type == "node" && r.Status.Value != "online":
			offline[r.Node.Value] = true
		case r.IsGuest():
			guests = append(guests, r)
		}
	}
	f.unseenGuests()
	if f.in.Guests != "" {
		if guests, err = selection.Choose(f.in.Guests, guests); err != nil {
			return err
		}
	}
	slices.SortFunc(guests, func(a, b pve.Resource) int { return cmp.Compare(a.VMID, b.VMID) })
	guests = slices.DeleteFunc(guests, f.cannotMatch)
	f.all = len(guests)
	for i, r := range guests {
		switch {
		case i < f.in.Offset:
		case offline[r.Node.Value]:
			f.NotSeen("configuration", cluster.GuestName(r), "its node is offline")
		default:
			f.guests = append(f.guests, &guest{Resource: r, at: i, status: r.State()})
		}
	}
	return nil
}

// unseenGuests says what the token cannot see.
func (f *finder) unseenGuests() {
	if !f.May("guests", "", "VM.Audit", "/vms") {
		return
	}
	f.ReadGaps("guests")
	_, except := f.Permissions.Below("/vms", "VM.Audit")
	for _, path := range except {
		f.May("guests", "", "VM.Audit", path)
	}
}

// cannotMatch rules guests out that need not be looked at.
func (f *finder) cannotMatch(r pve.Resource) bool {
	if f.wanted.noAgent && r.Type != string(pve.QEMU) {
		return true
	}
	return f.stores != nil && !slices.ContainsFunc(f.stores, func(s cluster.Store) bool { return slices.Contains(s.Nodes, r.Node.Value) })
}

// readConfigs reads the configuration of each guest, and those of its snapshots if these
// count.
func (f *finder) readConfigs(ctx context.Context) {
	if f.wanted.vlan != 0 {
		f.vnets = map[string]int64{}
		nets, _ := survey.One(f.Survey, "SDN vnets", f.PVE.VNets)
		for _, n := range nets {
			f.vnets[n.Name] = n.Tag.Value
		}
	}
	got := survey.Ask(f.Survey, "configuration", f.guests, nameOf, func(ctx context.Context, g *guest) ([]place, error) {
		values, err := f.PVE.Pending(ctx, g.Ref())
		return placesIn(g.Ref().Kind, values), err
	})
	if f.Expired() && len(got) < len(f.guests) {
		f.next = f.in.Offset
		if len(got) > 0 {
			f.next = got[len(got)-1].From.at + 1
		}
	}
	f.guests = f.guests[:0:0]
	for _, a := range got {
		a.From.places = a.Value
		f.guests = append(f.guests, a.From)
	}
	if f.wanted.inSnapshots() {
		f.readSnapshots(ctx)
	}
}

// placesIn makes places of a configuration and what waits in it.
func placesIn(kind pve.Kind, values []pve.PendingValue) []place {
	now := place{kind: kind, values: map[string]string{}, whole: true}
	next := place{label: "pending: ", kind: kind, values: map[string]string{}}
	for _, v := range values {
		if v.Value.Set {
			now.values[v.Key] = v.Value.Value
		}
		if v.Pending.Set && v.Pending != v.Value {
			next.values[v.Key] = v.Pending.Value
		}
	}
	if len(next.values) == 0 {
		return []place{now}
	}
	return []place{now, next}
}

// mostSnapshots is how many configurations of snapshots a call reads.
const mostSnapshots = 400

// snapshotOf is a snapshot of a guest.
type snapshotOf struct {
	*guest
	name string
}

// readSnapshots reads the configurations of snapshots: they name volumes and images that
// are in use as long as there is the snapshot.
func (f *finder) readSnapshots(ctx context.Context) {
	lists := survey.Ask(f.Survey, "snapshots", f.guests, nameOf, func(ctx context.Context, g *guest) ([]pve.Snapshot, error) {
		return f.PVE.Snapshots(ctx, g.Ref())
	})
	var all []snapshotOf
	for _, l := range lists {
		for _, s := range l.Value {
			if s.Name != pve.Current {
				all = append(all, snapshotOf{l.From, s.Name})
			}
		}
	}
	for _, s := range all[min(mostSnapshots, len(all)):] {
		f.NotSeen("snapshots", nameOf(s.guest), fmt.Sprintf("of %d snapshots %d are read; narrow the search with guests", len(all), mostSnapshots))
	}
	name := func(s snapshotOf) string { return nameOf(s.guest) }
	got := survey.Ask(f.Survey, "snapshots", all[:min(mostSnapshots, len(all))], name, func(ctx context.Context, s snapshotOf) (pve.GuestConfig, error) {
		return f.PVE.SnapshotConfig(ctx, s.Ref(), s.name)
	})
	for _, a := range got {
		g := a.From.guest
		g.places = append(g.places, place{label: "snapshot " + render.Text(a.From.name, 40) + ": ", kind: g.Ref().Kind, values: a.Value.Values})
	}
}
