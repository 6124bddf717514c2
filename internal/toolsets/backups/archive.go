package backups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// kinds match the name of an archive by the kind of its guest: first in a directory, then on a
// backup server.
var (
	archiveRE = lazyregexp.New(`(?:^|/)vzdump-(qemu|lxc)-(\d+)-`)
	serverRE  = lazyregexp.New(`^backup/(vm|ct)/(\d+)/`)
)

// archive returns the kind and id of the guest in a backup, by its name.
func archive(v pve.VolID) (kind pve.Kind, id pve.VMID, ok bool) {
	m := archiveRE.FindStringSubmatch(v.Name)
	if m == nil {
		m = serverRE.FindStringSubmatch(v.Name)
	}
	if m == nil {
		return "", 0, false
	}
	id, err := pve.ParseVMID(m[2])
	kind = map[string]pve.Kind{"qemu": pve.QEMU, "vm": pve.QEMU, "lxc": pve.LXC, "ct": pve.LXC}[m[1]]
	return kind, id, err == nil
}

// overwrites checks the guest that is to be replaced, and lists what is lost.
func (in *restoreState) overwrites(ctx context.Context, c *tool.Call) ([]string, error) {
	g, s, err := c.Live(ctx, in.VMID)
	var none *pve.NoGuestError
	if errors.As(err, &none) {
		return nil, explain.Refusal("Leave overwrite out.", "There is no guest %v that this token may see, so there is nothing to overwrite.", in.VMID)
	}
	if err != nil {
		return nil, err
	}
	config, err := c.PVE.GuestConfig(ctx, g)
	if err != nil {
		return nil, err
	}
	name := render.Text(s.Name.Value, 60)
	if err := explain.Unlocked(g, s.Lock.Value); err != nil {
		return nil, err
	}
	switch {
	case g.Kind != in.Kind:
		return nil, explain.Refusal("Restore it under another id.", "%v (%s) is not of the backup's kind, so it cannot be overwritten.", g, name)
	case s.Status != "stopped":
		return nil, explain.Refusal("Shut it down first with pve_guest_power.", "%v (%s) is %s; only a stopped guest can be overwritten.", g, name, s.State())
	case config.Values["protection"] == "1":
		return nil, explain.Refusal("Restore it under another id.", "%v (%s) is protected against removal.", g, name)
	case in.Node != "" && in.Node != g.Node:
		return nil, tool.BadArgument("node", fmt.Sprintf("is %q, and the guest to overwrite is on %s", render.Text(in.Node, 60), g.Node))
	}
	in.Node, in.Old = g.Node, replacedBy(g.Kind, config)
	out := []string{fmt.Sprintf("%v (%s) on %s is replaced by the backup: its configuration, disks and snapshots are lost", g, name, g.Node)}
	if g.Kind == pve.QEMU {
		out = append(out, "a disk whose slot is empty in the backup is kept as an unused disk")
	}
	return out, nil
}

// place chooses the node of the guest and, for a container, the storage.
func (in *restoreState) place(ctx context.Context, c *tool.Call, perms pve.Permissions) error {
	if in.Node != "" {
		if _, err := c.OnlineNode(ctx, in.Node); err != nil {
			return err
		}
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return err
	}
	with, err := in.reaching(stores)
	if err != nil {
		return err
	}
	ready, err := in.find(ctx, c, perms, with)
	if err != nil {
		return err
	}
	if in.Node == "" {
		in.Node = ready[0]
		if g, err := c.Guest(ctx, in.Original); err == nil && slices.Contains(ready, g.Node.Value) {
			in.Node = g.Node.Value
		}
	}
	if in.Kind == pve.QEMU || in.Storage != "" {
		return nil
	}
	here := slices.DeleteFunc(stores, func(s cluster.Store) bool { return !slices.Contains(s.Nodes, in.Node) })
	in.Storage, err = only(here, in.Node, "rootdir", "containers")
	return err
}

// reaching are the stores that may have the archive. If a node is named, they are as that node
// sees them.
func (in *restoreState) reaching(stores []cluster.Store) ([]cluster.Store, error) {
	var with []cluster.Store
	var nodes []string
	for _, s := range stores {
		if s.Storage.Value != in.Archive.Storage {
			continue
		}
		nodes = append(nodes, s.Nodes...)
		if in.Node == "" || slices.Contains(s.Nodes, in.Node) {
			with = append(with, s)
		}
	}
	switch name := render.Text(in.Archive.Storage, 60); {
	case nodes == nil && in.Node == "":
		return nil, explain.Refusal("Name the node.", "There is no storage %s, or it is disabled, or this token may not see it.", name)
	case nodes == nil: // PVE will say
		with = []cluster.Store{{Resource: pve.Resource{Storage: lenient.Some(in.Archive.Storage)}}}
	case with == nil:
		return nil, explain.Refusal("These have it: "+render.List(nodes)+".", "%s does not have the storage %s.", in.Node, name)
	}
	if in.Node != "" {
		with[0].Node, with[0].Ready = lenient.Some(in.Node), []string{in.Node}
	}
	return with, nil
}

// find returns the nodes that have the archive.
func (in *restoreState) find(ctx context.Context, c *tool.Call, perms pve.Permissions, with []cluster.Store) ([]string, error) {
	var ready []string
	for _, s := range with {
		ready = append(ready, s.Ready...)
	}
	got, notes, err := c.Volumes(ctx, with, pve.VolumeFilter{Content: "backup", VMID: in.Original})
	for _, s := range got {
		if slices.ContainsFunc(s.Value, func(v pve.Volume) bool { return v.VolID == in.Archive }) {
			return s.From.Ready, nil
		}
	}
	if err != nil && !proxmox.IsDenied(err) {
		return nil, err
	}
	hidden := cluster.RequirePrivilege(perms, "/storage/"+in.Archive.Storage, "Datastore.AllocateSpace")
	if hidden == nil {
		hidden = cluster.RequirePrivilege(perms, "/vms/"+in.Original.String(), "VM.Backup")
	}
	switch own := in.VMID == in.Original; {
	case hidden != nil && own && ready != nil: // a token may restore a guest's own backups without seeing them
		return ready, nil
	case hidden != nil:
		return nil, hidden
	}
	next := strings.Join(append(notes, "pve_list_backups has those that there are."), "; ")
	return nil, explain.Refusal(next, "There is no backup %s.", render.Text(in.Archive.String(), 200))
}
