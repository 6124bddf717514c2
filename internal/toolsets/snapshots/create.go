package snapshots

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type createIn struct {
	VMID        pve.VMID `json:"vmid"`
	Snapname    string   `json:"snapname" jsonschema:"such as before-upgrade"`
	Description string   `json:"description,omitzero" jsonschema:"a note"`
	RAM         bool     `json:"vmstate,omitzero" jsonschema:"with the RAM of a running VM"`
	change.WaitArgument
}

type createOut struct {
	change.Answer
	VMID     pve.VMID    `json:"vmid,omitzero"`
	Node     string      `json:"node,omitzero"`
	Snapshot snapshotRow `json:"snapshot,omitzero"`
}

func createSnapshot() tool.Tool {
	return change.New(change.Spec[createIn, createIn, createOut]{
		Name:  "pve_create_snapshot",
		Title: "Take a snapshot of a guest",
		Doc:   "Take a snapshot of a guest, with its RAM if wanted.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":104,"snapname":"before-upgrade","description":"before the upgrade"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Snapshot"),
		},
		Plan: planCreate,
		Start: func(ctx context.Context, c *tool.Call, in *createIn) (change.Job, error) {
			snapshot := pve.NewSnapshot{Name: in.Snapname, Description: in.Description, VMState: in.RAM}
			_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) { return c.PVE.CreateSnapshot(ctx, g, snapshot) })
			return change.Job{UPID: upid}, err
		},
		Finish: func(ctx context.Context, c *tool.Call, in createIn, end change.End) (createOut, error) {
			g, list, err := read(ctx, c, in.VMID)
			out := createOut{VMID: in.VMID, Node: g.Node}
			switch s, ok := named(list, in.Snapname); {
			case ok:
				out.Snapshot = rowOf(c, s)
				if s.State.Value != "" && end.Status.Succeeded() {
					out.SetOutcome(tool.Failed, "Delete it with pve_delete_snapshot.", "PVE's task succeeded, but the snapshot %s of %v is incomplete (%s).", s.Name, g, s.State.Value)
				}
			case err == nil && end.Status.Succeeded():
				out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %v has no snapshot %s.", g, in.Snapname)
			}
			return out, err
		},
	})
}

// nameRE is PVE's rule for names of snapshots; current and pending are its own.
var nameRE = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_-]{1,39}$`)

func checkName(name string) error {
	if !nameRE.MatchString(name) || name == pve.Current || strings.EqualFold(name, "pending") {
		return tool.BadArgument("snapname", fmt.Sprintf("is %q; it takes a letter, then letters, digits, - and _, 2 to 40 in all, and neither current nor pending", render.Text(name, 60)))
	}
	return nil
}

func named(list []pve.Snapshot, name string) (pve.Snapshot, bool) {
	i := slices.IndexFunc(list, func(s pve.Snapshot) bool { return s.Name == name })
	if i < 0 {
		return pve.Snapshot{}, false
	}
	return list[i], true
}

// names lists the names of snapshots.
func names(list []pve.Snapshot) []string {
	var out []string
	for _, s := range list {
		if s.Name != pve.Current {
			out = append(out, s.Name)
		}
	}
	return out
}

func planCreate(ctx context.Context, c *tool.Call, in createIn) (change.Plan, createIn, error) {
	if err := checkName(in.Snapname); err != nil {
		return change.Plan{}, in, err
	}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	switch {
	case s.Template.Value:
		return change.Plan{}, in, explain.Refusal("Clone it, and snapshot the clone.", "%v is a template, of which there are no snapshots.", g)
	case in.RAM && g.Kind == pve.LXC:
		return change.Plan{}, in, tool.BadArgument("vmstate", "is for VMs only")
	case in.RAM && s.Status != "running":
		return change.Plan{}, in, explain.Refusal("Leave vmstate out.", "%v is %s, so there is no RAM to keep.", g, s.State())
	}
	if err := explain.Unlocked(g, s.Lock.Value); err != nil {
		return change.Plan{}, in, err
	}
	g, list, err := read(ctx, c, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	if _, taken := named(list, in.Snapname); taken {
		return change.Plan{}, in, explain.Refusal("Choose another name; there are "+render.List(names(list))+".", "%v has a snapshot %s already.", g, in.Snapname)
	}
	config, err := c.PVE.GuestConfig(ctx, g)
	if err != nil {
		return change.Plan{}, in, err
	}
	if owners, _ := c.ForeignVolumes(ctx, g, config.Values); len(owners) > 0 {
		if err := c.CheckTarget(ctx, change.GuestTarget(http.MethodPost, g, "/snapshot")); err != nil {
			return change.Plan{}, in, err
		}
		return change.Plan{}, in, explain.Refusal("Snapshot that guest, or take the volume off this one.",
			"%v has a volume of %s, of which it would be a snapshot, too; nothing was sent.", g, c.GuestLabel(ctx, pve.VMID(owners[0])))
	}
	_, f, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (pve.Feature, error) { return c.PVE.Feature(ctx, g, "snapshot", "") })
	if err != nil {
		return change.Plan{}, in, err
	}
	if !f.Has.Value {
		return change.Plan{}, in, explain.Refusal("Back it up instead with pve_create_backup, or move its disks to a storage that can (ZFS, LVM-thin, Ceph, qcow2 files).",
			"The storage of %v cannot make snapshots of all its disks.", g)
	}
	return change.Plan{Subject: policy.Guest(in.VMID), About: fmt.Sprintf("Snapshot %s of %v (%s)", in.Snapname, g, render.Text(s.Name.Value, 60))}, in, nil
}
