package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// The types of storages whose volumes are files, of any format, and of those that hold raw
// volumes alone.
var (
	fileTypes = []string{"dir", "nfs", "cifs", "btrfs", "glusterfs"}
	rawTypes  = []string{"zfspool", "lvmthin", "rbd", "zfs", "iscsi", "iscsidirect"}
)

// planCopy plans a move to another storage.
func (p *movePlan) planCopy(ctx context.Context, c *tool.Call) error {
	if p.disk.Bus == "unused" {
		return explain.Refusal(fmt.Sprintf("Attach it first: pve_update_guest_config sets a free key to %s. Or give it to another guest with target_vmid.", render.Text(p.Original.String(), 200)),
			"%s of %s is detached, and PVE copies only disks that are attached. Nothing was sent.", p.Disk, p.Who)
	}
	if p.Guest.Kind == pve.LXC && p.Format != "" {
		return tool.BadArgument("format", "is for VMs; the storage decides how it keeps a container's volume")
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(stores, func(s cluster.Store) bool {
		return s.Storage.Value == p.Original.Storage && slices.Contains(s.Nodes, p.Guest.Node)
	})
	p.Shared = i >= 0 && stores[i].Shared.Value
	st, err := p.findStore(stores)
	if err != nil {
		return err
	}
	if p.Storage == p.Original.Storage && (p.Format == "" || p.Format == cmp.Or(p.Formatted, "raw")) {
		p.There = true
		return nil
	}
	if err := cluster.RequirePrivilege(p.perms, "/storage/"+p.Storage, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	for _, check := range []func() error{p.checkState, p.checkFormat(st), p.checkSnapshots} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := p.checkRoom(ctx, c, st); err != nil {
		return err
	}
	p.sayWhere(st)
	p.sayReplication(ctx, c, stores, st)
	if p.Delete {
		return p.checkUsers(ctx, c)
	}
	return nil
}

// content is what the storage must take.
func (p *movePlan) content() string {
	if p.Guest.Kind == pve.LXC {
		return "rootdir"
	}
	return "images"
}

// findStore finds the storage as the guest's node has it.
func (p *movePlan) findStore(stores []cluster.Store) (cluster.Store, error) {
	var seen *cluster.Store
	var fit []cluster.Store
	for _, s := range stores {
		fits := s.Holds(p.content()) && s.UsableOn(p.Guest.Node)
		switch {
		case s.Storage.Value != p.Storage:
		case fits:
			return s, nil
		case seen == nil || slices.Contains(s.Nodes, p.Guest.Node):
			seen = &s
		}
		if fits {
			fit = append(fit, s)
		}
	}
	next := "No storage of that node takes it that this token can see."
	if fit != nil {
		next = "These take it: " + render.List(cluster.StoreNames(fit)) + "."
	}
	name := render.Text(p.Storage, 60)
	switch {
	case seen == nil:
		return cluster.Store{}, explain.Refusal(next, "There is no storage %q, or it is disabled, or this token may not see it. Nothing was sent.", name)
	case !seen.Holds(p.content()):
		return cluster.Store{}, explain.Refusal(next, "The storage %s is not for disks of %ss (its content lacks %s). Nothing was sent.", name, p.Guest.Kind.Noun(), p.content())
	}
	return cluster.Store{}, explain.Refusal(next, "The storage %s is not on %s, or not available there. Nothing was sent.", name, p.Guest.Node)
}

// checkState returns an error if the guest's state forbids a copy.
func (p *movePlan) checkState() error {
	down := fmt.Sprintf(`Shut it down first: pve_guest_power {"vmid":%v,"action":"shutdown"}.`, p.VMID)
	runs := p.status.Status != "stopped"
	switch {
	case runs && p.Guest.Kind == pve.LXC:
		return explain.Refusal(down, "%s is %s, and PVE copies a container's volume only while it is stopped. Nothing was sent.", p.Who, p.status.State())
	case runs && p.disk.Bus == "tpmstate":
		return explain.Refusal(down, "%s is %s, and PVE copies the state of its TPM only while it is stopped. Nothing was sent.", p.Who, p.status.State())
	case runs && p.disk.IsCloudInit():
		return explain.Refusal(down, "%s is %s, and its cloud-init drive can only be made anew elsewhere while it is stopped. Nothing was sent.", p.Who, p.status.State())
	}
	return nil
}

// checkFormat returns what checks whether the storage has the format, and says what the format
// means there.
func (p *movePlan) checkFormat(st cluster.Store) func() error {
	return func() error {
		kind := st.PluginType.Value
		wanted := cmp.Or(p.Format, p.Formatted, "raw")
		switch {
		case p.Format != "" && p.Format != "raw" && slices.Contains(rawTypes, kind):
			return explain.Refusal("Leave format out: it becomes raw there. These take qcow2: storages of files, such as dir, nfs and cifs.",
				"The storage %s (%s) keeps raw disks alone, not %s. Nothing was sent.", render.Text(p.Storage, 60), kind, p.Format)
		case p.Guest.Kind == pve.LXC || p.disk.Bus == "tpmstate" || p.disk.IsCloudInit():
			return nil
		case slices.Contains(rawTypes, kind) && p.Formatted != "" && p.Formatted != "raw":
			p.say("it becomes raw on %s, from %s", render.Text(p.Storage, 60), p.Formatted)
		case kind != "btrfs" && slices.Contains(fileTypes, kind) && wanted == "raw":
			p.say("it is raw on %s, of which PVE makes no snapshots; with format: qcow2 it does", render.Text(p.Storage, 60))
		}
		return nil
	}
}

// checkSnapshots returns an error if the original cannot be deleted, or snapshots need it.
func (p *movePlan) checkSnapshots() error {
	switch {
	case p.Delete && p.config.Values["protection"] == "1":
		return explain.Refusal("Leave delete out, or lift the protection first with pve_update_guest_config: set {\"protection\": 0}.",
			"%s is protected, so PVE would not delete the original. Nothing was sent.", p.Who)
	case p.snapshots == nil:
	case p.Delete:
		return explain.Refusal(fmt.Sprintf(`Leave delete out, or delete the snapshots first: pve_delete_snapshot {"vmid":%v,"snapname":%q}.`, p.VMID, p.snapshots[0]),
			"Snapshots of %s need the original %s: %s. Nothing was sent.", p.Who, render.Text(p.Original.String(), 200), render.List(p.snapshots))
	default:
		p.say("its snapshots stay on the original, and not on the copy: a rollback to %s goes back to the original", render.List(p.snapshots))
	}
	return nil
}

// checkRoom returns an error if the copy does not fit, and says if it may not.
func (p *movePlan) checkRoom(ctx context.Context, c *tool.Call, st cluster.Store) error {
	name := render.Text(p.Storage, 60)
	if st.MaxDisk.Value == 0 {
		p.say("how much room %s has is not known", name)
		return nil
	}
	free := newguest.Free(st)
	full := func(needs int64, why string) error {
		return explain.Refusal("Make room there, or name another storage: pve_list_storage shows what is free.",
			"%s has %s free, and the copy needs %s%s. Nothing was sent.", name, render.Bytes(free), render.Bytes(needs), why)
	}
	if free >= p.Size {
		return nil
	}
	thick, err := p.takesAll(ctx, c, st)
	if err != nil {
		return err
	}
	if thick {
		return full(p.Size, ": disks take their whole size there")
	}
	info, err := c.PVE.VolumeInfo(ctx, p.Guest.Node, p.Original)
	if err != nil {
		p.say("%s has %s free, and the disk has %s: whether what is in it fits is not known (%s)", name, render.Bytes(free), render.Bytes(p.Size), c.Explain(err).What)
		return nil
	}
	if used := info.Used.Value; used > free && used < p.Size { // what takes all says nothing of what is in it
		return full(used, ", which is what the original takes now")
	}
	p.say("%s has %s free, and the disk may grow to %s: the storage can run full", name, render.Bytes(free), render.Bytes(p.Size))
	return nil
}

// takesAll reports whether a disk takes its whole size on the storage at once.
func (p *movePlan) takesAll(ctx context.Context, c *tool.Call, st cluster.Store) (bool, error) {
	kind := st.PluginType.Value
	isFile := slices.Contains(fileTypes, kind)
	switch {
	case kind == "lvm":
		return true, nil
	case kind == "zfspool" && p.Guest.Kind == pve.LXC, kind != "zfspool" && kind != "zfs" && !isFile:
		return false, nil
	}
	all, err := c.PVE.StorageConfigs(ctx)
	i := slices.IndexFunc(all, func(s pve.StorageConfig) bool { return s.Storage == p.Storage })
	switch {
	case err != nil || i < 0:
		return false, err
	case isFile:
		how := string(all[i].Extra["preallocation"])
		return strings.Contains(how, "full") || strings.Contains(how, "falloc"), nil
	}
	return !all[i].Sparse.Value, nil
}

// sayWhere says what it means that the disk is on that storage.
func (p *movePlan) sayWhere(st cluster.Store) {
	if strings.Contains(p.Original.Name, "/") && strings.Contains(p.Original.Name, "base") {
		p.say("it is a linked clone, and the copy is a full one")
	}
	if p.Shared && !st.Shared.Value {
		text := fmt.Sprintf("%s is on %s alone: to migrate it, its disk has to be copied", render.Text(p.Storage, 60), p.Guest.Node)
		if p.status.HA.Managed.Value {
			text = fmt.Sprintf("it is managed by HA, which cannot start it elsewhere if %s fails: %s is there alone", p.Guest.Node, render.Text(p.Storage, 60))
		}
		p.say("%s", text)
	}
}

// sayReplication says that a disk is no longer replicated, which PVE does on ZFS alone.
func (p *movePlan) sayReplication(ctx context.Context, c *tool.Call, stores []cluster.Store, st cluster.Store) {
	if cluster.StorageType(stores, p.Original.Storage) != "zfspool" || st.PluginType.Value == "zfspool" {
		return
	}
	jobs, err := c.PVE.Replications(ctx, p.Guest)
	switch {
	case err != nil:
		p.say("whether it is replicated, which PVE can on ZFS alone, is not known: %s", c.Explain(err).What)
	case len(jobs) > 0:
		p.say("it is replicated to %s, which fails with a disk on %s: PVE replicates ZFS alone", render.Text(jobs[0].Target.Or("another node"), 60), render.Text(p.Storage, 60))
	}
}

// checkUsers returns an error if something else needs the original.
func (p *movePlan) checkUsers(ctx context.Context, c *tool.Call) error {
	uses, err := usesOf(ctx, c, p.perms, []pve.VolID{p.Original})
	if err != nil {
		return err
	}
	for _, u := range uses.of[p.Original] {
		if u.guest.VMID != p.VMID || u.key != p.Disk {
			return explain.Refusal("Leave delete out: then the original stays.", "The original %s has another user: %v. Nothing was sent.", render.Text(p.Original.String(), 200), u)
		}
	}
	if len(uses.notes) > 0 {
		p.say("another use of the original that cannot be seen is not excluded: %s", render.Text(strings.Join(uses.notes, "; "), 400))
	}
	list, err := c.PVE.Content(ctx, p.Guest.Node, p.Original.Storage, pve.VolumeFilter{})
	if err != nil {
		return err
	}
	if clones := clonesOn(list, p.Original); clones != nil {
		return explain.Refusal("Leave delete out: then the original stays.", "Linked clones need the original %s: %s. Nothing was sent.", render.Text(p.Original.String(), 200), render.List(clones))
	}
	return nil
}
