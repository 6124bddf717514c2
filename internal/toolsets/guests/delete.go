package guests

import (
	"context"
	"errors"
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
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type deleteIn struct {
	VMID         pve.VMID `json:"vmid"`
	Purge        bool     `json:"purge,omitzero" jsonschema:"from jobs, HA and replication too"`
	Unreferenced bool     `json:"destroy_unreferenced_disks,omitzero" jsonschema:"also disks missing in its configuration"`
	change.ConfirmArgument
	change.WaitArgument
	change.PlanArguments
}

type deleteState struct {
	deleteIn
	Node     string   `json:"node"`
	Storages []string `json:"storages"` // that have its volumes
}

type deleteOut struct {
	change.Answer
	VMID    pve.VMID `json:"vmid,omitzero"`
	Deleted bool     `json:"deleted,omitzero"`
}

func deleteGuest() tool.Tool {
	return change.New(change.Spec[deleteIn, deleteState, deleteOut]{
		Name:  "pve_delete_guest",
		Title: "Delete a guest and its disks",
		Doc:   "Delete or destroy a stopped guest with all its disks and snapshots, for good. Backups stay.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":204,"confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk:  func(deleteIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Allocate"),
			tool.On(tool.OnStorage, "Datastore.Audit", "Datastore.AllocateSpace").Else("whether volumes of it are left is not seen"),
		},
		Plan:   planDelete,
		Start:  startDelete,
		Finish: finishDelete,
	})
}

func planDelete(ctx context.Context, c *tool.Call, given deleteIn) (change.Plan, deleteState, error) {
	in := deleteState{deleteIn: given}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	name := render.Text(s.Name.Value, 60)
	switch {
	case s.Status != "stopped":
		return change.Plan{}, in, explain.Refusal("Shut it down first with pve_guest_power.", "%v (%s) is %s; only a stopped guest can be deleted.", g, name, s.State())
	case s.Lock.Value != "" && s.Lock.Value != "suspended":
		return change.Plan{}, in, explain.Unlocked(g, s.Lock.Value)
	case s.HA.Managed.Value && !in.Purge:
		return change.Plan{}, in, explain.Refusal("With purge: true it is removed from HA, replication and backup jobs too.", "%v (%s) is managed by HA, so PVE does not delete it.", g, name)
	}
	g, config, err := c.CurrentConfig(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	if config.Values["protection"] == "1" {
		return change.Plan{}, in, explain.Refusal("If it may go, clear that first: pve_update_guest_config, delete: protection.", "%v (%s) is protected against removal.", g, name)
	}
	in.Node, in.Storages = g.Node, storagesOf(g, config)
	target := change.GuestTarget(http.MethodDelete, g, "")
	target.Snapshot = policy.AllSnapshots
	return change.Plan{
		Subject: policy.Guest(in.VMID), About: fmt.Sprintf("Deletion of %v (%s) on %s", g, name, g.Node),
		Target: target, Names: []string{in.VMID.String(), name},
		Consequences: in.losses(ctx, c, g, config),
	}, in, nil
}

// losses lists what is lost with a guest, apart from what its configuration shows.
func (in *deleteIn) losses(ctx context.Context, c *tool.Call, g pve.GuestRef, config pve.GuestConfig) []string {
	out := []string{"the guest, all its disks and its snapshots are destroyed; its backups stay"}
	for _, d := range config.Disks(g.Kind) {
		if kept := c.ReasonKept(ctx, in.VMID, d); kept != "" && !d.IsCDROM() {
			out = append(out, fmt.Sprintf("%s (%s) is only detached: %s", d.Key, render.Text(d.Source, 100), kept))
		}
	}
	if in.Unreferenced {
		out = append(out, fmt.Sprintf("every other disk of the id %v on any storage is destroyed, too", in.VMID))
	}
	if config.Values["lock"] == "suspended" {
		out = append(out, "its suspended state is lost")
	}
	if in.Purge {
		out = append(out, "it is removed from backup jobs, HA and replication")
	}
	return out
}

func startDelete(ctx context.Context, c *tool.Call, in *deleteState) (change.Job, error) {
	deletion := pve.Deletion{Purge: in.Purge, Unreferenced: in.Unreferenced}
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.DeleteGuest(ctx, g, deletion)
	})
	return change.Job{UPID: upid}, err
}

// storagesOf are the storages of a configuration's volumes.
func storagesOf(g pve.GuestRef, config pve.GuestConfig) []string {
	var out []string
	for _, d := range config.Disks(g.Kind) {
		if name := d.Volume.Storage; name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// finishDelete checks that the guest and its volumes are gone.
func finishDelete(ctx context.Context, c *tool.Call, in deleteState, end change.End) (deleteOut, error) {
	out := deleteOut{VMID: in.VMID}
	g, s, err := readDeleted(ctx, c, in.VMID, end)
	var none *pve.NoGuestError
	switch {
	case errors.As(err, &none), pve.Elsewhere(err): // a list may still have it
		out.Deleted = true
	case err != nil:
		return out, err
	case end.Status.Succeeded():
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %v is still there: it is %s on %s.", g, s.State(), g.Node)
		return out, nil
	default:
		return out, nil
	}
	var stores []cluster.Store
	for _, name := range in.Storages {
		stores = append(stores, cluster.StoreOn(in.Node, name))
	}
	switch left, unseen := leftVolumes(ctx, c, stores, in.VMID); {
	case len(left) > 0:
		out.SetOutcome(tool.Warnings, "An administrator removes them on the node: pvesm free VOLUME.",
			"The guest %v is deleted, but volumes of it are left: %s.", in.VMID, render.List(left))
	case unseen != "":
		out.Message = fmt.Sprintf("The guest %v is deleted. Volumes of it may be left, which cannot be checked: %s", in.VMID, unseen)
	}
	return out, nil
}

// readDeleted asks for a guest after its deletion. If the task succeeded, the guest was deleted
// and cannot be on another node.
func readDeleted(ctx context.Context, c *tool.Call, id pve.VMID, end change.End) (pve.GuestRef, pve.GuestStatus, error) {
	g, err := c.Guest(ctx, id)
	if err != nil || !end.Status.Succeeded() {
		return c.Live(ctx, id)
	}
	s, err := c.PVE.GuestStatus(ctx, g.Ref())
	return g.Ref(), s, err
}

// leftVolumes lists the volumes of a guest on stores. unseen says why they cannot be listed.
func leftVolumes(ctx context.Context, c *tool.Call, stores []cluster.Store, id pve.VMID) (volumes []string, unseen string) {
	got, notes, err := c.Volumes(ctx, stores, pve.VolumeFilter{VMID: id})
	for _, s := range got {
		for _, v := range s.Value {
			if v.VMID.Value == int64(id) && (v.Content == "images" || v.Content == "rootdir") {
				volumes = append(volumes, render.Text(v.VolID.String(), 100))
			}
		}
	}
	switch {
	case err != nil:
		unseen = c.Explain(err).What
	case len(notes) > 0:
		unseen = strings.Join(notes, "; ")
	}
	return volumes, unseen
}
