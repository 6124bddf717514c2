package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Impact says what is lost if a subject is changed for good, and what depends on it.
func (v *View) Impact(ctx context.Context, s policy.Subject) ([]string, error) {
	switch s.Kind {
	case policy.GuestKind:
		g, status, err := v.Live(ctx, pve.VMID(s.VMID()))
		if err != nil {
			return nil, err
		}
		return v.GuestImpact(ctx, g, status)
	case policy.NodeKind:
		guests, err := v.guestsOn(ctx, s.ID)
		if err != nil || guests == nil {
			return nil, err
		}
		return []string{fmt.Sprintf("%d guests are on %s: %s", len(guests), s.ID, render.List(guests))}, nil
	case policy.StorageKind, policy.JobKind, policy.PoolKind:
		is, err := v.configured(ctx, s)
		if err != nil {
			return nil, err
		}
		return []string{fmt.Sprintf("%v is now: %s", s, render.Text(render.VisibleJSON(exactjson.Encode(is)), 1000))}, nil
	}
	return nil, nil
}

// GuestImpact is [View.Impact] for a guest: its state, every disk with its size, snapshots,
// newest backup, HA, replication and protection. It also says what it cannot see.
func (v *View) GuestImpact(ctx context.Context, g pve.GuestRef, s pve.GuestStatus) ([]string, error) {
	config, err := v.PVE.CurrentConfig(ctx, g) // with the disks whose removal waits
	if err != nil {
		return nil, err
	}
	snapshots, err := v.PVE.Snapshots(ctx, g)
	if err != nil {
		return nil, err
	}
	out := []string{fmt.Sprintf("%v (%s) on %s is %s", g, render.Text(s.Name.Value, 60), g.Node, s.State())}
	for _, d := range config.Disks(g.Kind) {
		if d.IsCDROM() {
			continue
		}
		if kept := v.ReasonKept(ctx, g.VMID, d); kept != "" {
			out = append(out, fmt.Sprintf("disk %s: %s: %s", d.Key, render.Text(d.Source, 100), kept))
			continue
		}
		size := "of unknown size"
		if d.Size.Set {
			size = render.Bytes(d.Size.Value)
		}
		out = append(out, fmt.Sprintf("disk %s: %s, %s", d.Key, render.Text(d.Volume.String(), 100), size))
	}
	out = append(out, snapshotNames(snapshots), v.newestBackup(ctx, g))
	if s.HA.Managed.Value {
		out = append(out, "it is managed by HA, which keeps it "+render.Text(s.HA.State.Or("as it is"), 20))
	}
	jobs, err := v.PVE.Replications(ctx, g)
	switch {
	case err != nil:
		out = append(out, "whether it is replicated cannot be seen: "+v.Explain(err).What)
	case len(jobs) > 0:
		v.assurances = append(v.assurances, Assurance{Guest: g})
		out = append(out, fmt.Sprintf("it is replicated to %s", render.Text(jobs[0].Target.Or("another node"), 60)))
	}
	if config.Values["protection"] == "1" {
		out = append(out, "PVE protects it against removal")
	}
	if s.Template.Value {
		out = append(out, v.linkedClones(ctx, g, config)...)
	}
	return out, nil
}

// ReasonKept says why PVE does not destroy the volume of a disk together with the guest or the
// disk, "" if PVE does.
func (v *View) ReasonKept(ctx context.Context, id pve.VMID, d pve.Disk) string {
	owner, known := d.Owner()
	switch {
	case d.IsCDROM() && !d.IsCloudInit():
		return "it is a CD"
	case known && owner != 0 && owner != id:
		return "it belongs to " + v.GuestLabel(ctx, owner)
	case d.Volume.Storage == "":
		return "it is a device or a folder of the node"
	case known && owner == 0:
		return "it belongs to no guest"
	}
	return ""
}

// linkedClones names the guests whose disks build on a template's, and says where clones
// live without it.
func (v *View) linkedClones(ctx context.Context, g pve.GuestRef, config pve.GuestConfig) []string {
	unseen := func(err error) []string {
		return []string{"whether there are linked clones of it cannot be seen: " + v.Explain(err).What}
	}
	stores, err := v.Stores(ctx)
	if err != nil {
		return unseen(err)
	}
	var keep, free []string // storages
	for _, d := range config.Disks(g.Kind) {
		list := &keep
		if !pve.KeepsBase(StorageType(stores, d.Volume.Storage), d.Volume) {
			list = &free
		}
		if !d.IsCDROM() && d.Volume.Storage != "" && !slices.Contains(*list, d.Volume.Storage) {
			*list = append(*list, d.Volume.Storage)
		}
	}
	var clones, out []string
	for _, storage := range keep {
		volumes, err := v.PVE.Content(ctx, g.Node, storage, pve.VolumeFilter{})
		if err != nil {
			return unseen(err)
		}
		clones = append(clones, clonesIn(volumes, g)...)
	}
	switch {
	case clones != nil:
		slices.Sort(clones)
		out = append(out, "linked clones of it need its disks: "+strings.Join(slices.Compact(clones), ", "))
	case keep != nil || free == nil:
		out = append(out, "no linked clone of it can be seen")
	}
	for _, storage := range free {
		out = append(out, fmt.Sprintf("linked clones of it on %s (%s) are not known as such to PVE, and live on without it", render.Text(storage, 60), StorageType(stores, storage)))
	}
	return out
}

// clonesIn are the ids of the guests that have linked clones of a template's volumes.
func clonesIn(volumes []pve.Volume, template pve.GuestRef) (out []string) {
	base := fmt.Sprintf("base-%v-", template.VMID)
	if template.Kind == pve.LXC {
		base = fmt.Sprintf("basevol-%v-", template.VMID)
	}
	for _, v := range volumes {
		if v.VMID.Value != int64(template.VMID) && strings.Contains(v.Parent.Value+"\n"+v.VolID.Name, base) {
			out = append(out, fmt.Sprint(v.VMID.Value))
		}
	}
	return out
}

func snapshotNames(snapshots []pve.Snapshot) string {
	var names []string
	for _, snap := range snapshots {
		if snap.Name != pve.Current {
			names = append(names, render.Text(snap.Name, 40))
		}
	}
	if names == nil {
		return "it has no snapshots"
	}
	slices.Sort(names)
	return "its snapshots: " + strings.Join(names, ", ")
}

// newestBackup says how old the newest backup is that the token can see.
func (v *View) newestBackup(ctx context.Context, g pve.GuestRef) string {
	unknown := func(err error) string { return "whether there is a backup cannot be seen: " + v.Explain(err).What }
	stores, err := v.Stores(ctx)
	if err != nil {
		return unknown(err)
	}
	stores = StoresFor("backup", stores)
	got, notes, err := v.Volumes(ctx, stores, pve.VolumeFilter{Content: "backup", VMID: g.VMID})
	if err != nil {
		return unknown(err)
	}
	var newest pve.Volume
	var node string
	for _, s := range got {
		for _, vol := range s.Value {
			if vol.CTime.Value > newest.CTime.Value {
				newest, node = vol, s.From.Ready[0]
			}
		}
	}
	if newest.CTime.Value > 0 {
		v.assurances = append(v.assurances, Assurance{g, node, newest.VolID.String()})
		age := v.Ago(time.Unix(newest.CTime.Value, 0)).Round(time.Minute)
		return fmt.Sprintf("its newest backup is %s old: %s", render.Duration(age), render.Text(newest.VolID.String(), 200))
	}
	perms, err := v.PVE.Permissions(ctx)
	if err != nil {
		return unknown(err)
	}
	if notes = append(notes, hiddenBackups(perms, g, got)...); len(notes) > 0 {
		return "no backup of it can be seen: " + render.Text(strings.Join(notes, "; "), 600)
	}
	return "there is no backup of it"
}

// hiddenBackups says where backups of a guest may be that the token does not see.
func hiddenBackups(perms pve.Permissions, g pve.GuestRef, seen []Response[Store, []pve.Volume]) []string {
	var notes []string
	for _, s := range seen {
		if !perms.Has("/storage/"+s.From.Storage.Value, "Datastore.AllocateSpace") {
			notes = append(notes, "backups on "+s.From.Storage.Value+" are not visible to this token")
		}
	}
	if all, _ := perms.Below("/storage", "Datastore.Audit"); !all {
		notes = append(notes, "there may be storages that this token cannot see")
	}
	if !perms.Has("/vms/"+g.VMID.String(), "VM.Backup") {
		notes = append(notes, "its backups are not visible to this token (VM.Backup)")
	}
	return notes
}
