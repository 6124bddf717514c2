package provision

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// use is a place where a guest's configuration names a volume.
type use struct {
	guest    pve.GuestRef
	name     string // of the guest
	template bool
	key      string
	snapshot string // in whose configuration it is, "" for the present one
	waits    bool   // it is so from the next start on
}

// String says what uses the volume.
func (u use) String() string {
	label := fmt.Sprintf("%v (%s)", u.guest, render.Text(u.name, 60))
	if u.template {
		label = "the template " + label
	}
	switch {
	case u.snapshot != "":
		return fmt.Sprintf("%s has it in its snapshot %s as %s", label, render.Text(u.snapshot, 40), u.key)
	case u.waits:
		return fmt.Sprintf("%s gets it as %s at its next start", label, u.key)
	}
	return fmt.Sprintf("%s has it as %s", label, u.key)
}

// detached reports whether the volume is only kept for the guest, which does not see it.
func (u use) detached() bool {
	return u.snapshot == "" && !u.waits && strings.HasPrefix(u.key, "unused") && !u.template
}

// uses are the places where guests name volumes.
type uses struct {
	of    map[pve.VolID][]use
	read  []pve.VMID // the guests that were looked at
	notes []string   // what was not seen
}

// usesOf finds the places where the guests that the token sees name volumes, in what is in
// force, in what waits for the next start, and in snapshots.
func usesOf(ctx context.Context, c *tool.Call, perms pve.Permissions, ids []pve.VolID) (uses, error) {
	all, err := c.List(ctx, "vm")
	if err != nil {
		return uses{}, err
	}
	var guests []pve.Resource
	for _, r := range all.Resources() {
		if r.IsGuest() {
			guests = append(guests, r)
		}
	}
	label := func(r pve.Resource) string { return r.Ref().String() }
	got, notes, err := cluster.Ask(c.View, guests, label, func(r pve.Resource) ([]naming, error) { return namings(ctx, c, r.Ref()) })
	if err != nil && len(guests) > 0 {
		return uses{}, err
	}
	switch all, except := perms.Below("/vms", "VM.Audit"); {
	case !all:
		notes = append(notes, "guests on which this token lacks VM.Audit are not seen")
	case len(except) > 0:
		notes = append(notes, "this token lacks VM.Audit on "+render.Text(render.List(except), 200))
	}
	out := uses{of: map[pve.VolID][]use{}, notes: notes}
	for _, g := range got {
		out.read = append(out.read, g.From.VMID)
		for _, n := range g.Value {
			if slices.Contains(ids, n.volume) {
				n.use.guest, n.use.name, n.use.template = g.From.Ref(), g.From.Name.Value, g.From.Template.Value
				out.of[n.volume] = append(out.of[n.volume], n.use)
			}
		}
	}
	return out, nil
}

// naming is a volume that a configuration names.
type naming struct {
	volume pve.VolID
	use    use
}

// namings lists the volumes that a guest names.
func namings(ctx context.Context, c *tool.Call, g pve.GuestRef) ([]naming, error) {
	var out []naming
	add := func(value string, u use) {
		for _, id := range volumesIn(value) {
			out = append(out, naming{id, u})
		}
	}
	pending, err := c.PVE.Pending(ctx, g)
	if err != nil {
		return nil, err
	}
	for _, p := range pending {
		if p.Value.Value == p.Pending.Value {
			p.Pending.Value = ""
		}
		add(p.Value.Value, use{key: p.Key})
		add(p.Pending.Value, use{key: p.Key, waits: true})
	}
	snapshots, err := c.PVE.Snapshots(ctx, g)
	if err != nil {
		return nil, err
	}
	for _, s := range snapshots {
		if s.Name == pve.Current {
			continue
		}
		config, err := c.PVE.SnapshotConfig(ctx, g, s.Name)
		if err != nil {
			return nil, err
		}
		for key, value := range config.Values {
			add(value, use{key: key, snapshot: s.Name})
		}
	}
	return out, nil
}

// volumesIn returns the volumes that a value of a configuration names: disks, CDs, files for
// cloud-init, and scripts.
func volumesIn(value string) []pve.VolID {
	var out []pve.VolID
	for _, part := range strings.Split(value, ",") {
		if _, after, keyed := strings.Cut(part, "="); keyed {
			part = after
		}
		if id, err := pve.ParseVolID(strings.TrimSpace(part)); err == nil {
			out = append(out, id)
		}
	}
	return out
}

// clonesOn lists the volumes of a storage that are linked clones of one of its volumes.
func clonesOn(volumes []pve.Volume, base pve.VolID) []string {
	file := path.Base(base.Name)
	var out []string
	for _, v := range volumes {
		parent, _, _ := strings.Cut(v.Parent.Value, "@")
		if v.VolID != base && (parent != "" && path.Base(parent) == file || strings.HasPrefix(v.VolID.Name, base.Name+"/")) {
			out = append(out, render.Text(v.VolID.String(), 100))
		}
	}
	return out
}

// ownerOf returns the guest whose volume it is, 0 for none. ok is false if that is not known.
func ownerOf(v pve.Volume) (id pve.VMID, ok bool) {
	if v.VMID.Set {
		return pve.VMID(v.VMID.Value), true
	}
	owner, ok := apischema.VolumeOwner(v.VolID.String())
	return pve.VMID(owner), ok
}
