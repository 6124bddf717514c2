package guests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
)

type deleteIn struct {
	VMID         pve.VMID `json:"vmid"`
	Purge        bool     `json:"purge,omitzero" jsonschema:"from jobs, HA and replication too"`
	Unreferenced bool     `json:"destroy_unreferenced_disks,omitzero"`
	tool.Confirms
	tool.Waits
}

type deleteOut struct {
	tool.Changed
	VMID    pve.VMID `json:"vmid,omitzero"`
	Deleted bool     `json:"deleted,omitzero"`
}

var deleteGuest = tool.Change(tool.ChangeSpec[deleteIn, deleteOut]{
	Name:  "pve_delete_guest",
	Title: "Delete a guest and its disks",
	Doc:   "Deletes a stopped guest with all its disks and snapshots, for good. Backups stay.",
	Worst: guard.Destructive,
	Risk:  func(deleteIn) guard.Risk { return guard.Destructive },
	Needs: []tool.Need{
		tool.On(tool.OnGuest, "VM.Audit"),
		tool.On(tool.OnGuest, "VM.Allocate"),
	},
	Plan:   planDelete,
	Start:  startDelete,
	Finish: finishDelete,
})

func planDelete(ctx context.Context, c *tool.Call, in *deleteIn) (tool.Plan, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return tool.Plan{}, err
	}
	config, err := c.PVE.GuestConfig(ctx, g, nil)
	if err != nil {
		return tool.Plan{}, err
	}
	name := render.Text(s.Name.Value, 60)
	switch {
	case s.Status != "stopped":
		return tool.Plan{}, explain.Refusal("Shut it down first with pve_guest_power.", "%v (%s) is %s; only a stopped guest can be deleted.", g, name, s.State())
	case s.Lock.Value != "" && s.Lock.Value != "suspended":
		return tool.Plan{}, explain.Unlocked(g, s.Lock.Value)
	case config.Values["protection"] == "1":
		return tool.Plan{}, explain.Refusal("Whoever set it may clear it: pve_update_guest_config, delete: protection.", "%v (%s) is protected against removal.", g, name)
	case s.HA.Managed.Value && !in.Purge:
		return tool.Plan{}, explain.Refusal("With purge: true it is removed from HA, replication and backup jobs too.", "%v (%s) is managed by HA, so PVE does not delete it.", g, name)
	}
	plan := tool.Plan{Guest: in.VMID, About: fmt.Sprintf("Deletion of %v (%s) on %s", g, name, g.Node)}
	plan.Target, plan.Names = tool.Target(http.MethodDelete, g, ""), []string{in.VMID.String(), name}
	plan.Consequences, err = losses(ctx, c, g, config, in.Purge)
	return plan, err
}

// losses says what goes with a guest.
func losses(ctx context.Context, c *tool.Call, g pve.GuestRef, config pve.GuestConfig, purge bool) ([]string, error) {
	out := []string{fmt.Sprintf("%v (%s) on %s is deleted with its configuration", g, render.Text(nameIn(config), 60), g.Node)}
	for _, d := range config.Disks(g.Kind) {
		if !d.IsCDROM() && d.Volume.Storage != "" {
			size := "unknown size"
			if d.Size.Set {
				size = render.Bytes(d.Size.Value)
			}
			out = append(out, fmt.Sprintf("disk %s is destroyed: %s, %s", d.Key, render.Text(d.Volume.String(), 100), size))
		}
	}
	snapshots, err := c.PVE.Snapshots(ctx, g)
	if err != nil {
		return nil, err
	}
	if n := len(snapshots) - 1; n > 0 {
		out = append(out, fmt.Sprintf("%d snapshot(s) go with it", n))
	}
	if purge {
		out = append(out, "it is removed from backup jobs, HA and replication")
	}
	return append(out, "its backups stay"), nil
}

func startDelete(ctx context.Context, c *tool.Call, in *deleteIn) (tool.Job, error) {
	params := url.Values{}
	if in.Purge {
		params.Set("purge", "1")
	}
	if in.Unreferenced {
		params.Set("destroy-unreferenced-disks", "1")
	}
	_, upid, err := tool.AtGuest(ctx, c, in.VMID, func(g pve.GuestRef) (pve.UPID, error) {
		return c.PVE.DeleteGuest(ctx, g, params)
	})
	return tool.Job{UPID: upid}, err
}

// finishDelete looks whether the guest is gone.
func finishDelete(ctx context.Context, c *tool.Call, in deleteIn, _ tool.End) (deleteOut, error) {
	_, _, err := c.Live(ctx, in.VMID)
	var none *pve.NoGuestError
	if errors.As(err, &none) {
		return deleteOut{VMID: in.VMID, Deleted: true}, nil
	}
	return deleteOut{VMID: in.VMID}, err
}
