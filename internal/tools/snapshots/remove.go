package snapshots

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
)

type rollbackIn struct {
	VMID     pve.VMID `json:"vmid"`
	Snapname string   `json:"snapname"`
	Run      bool     `json:"start,omitzero"`
	tool.Confirms
	tool.Waits
}

type rollbackOut struct {
	tool.Changed
	VMID   pve.VMID `json:"vmid,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero"`
}

var rollbackSnapshot = tool.Change(tool.ChangeSpec[rollbackIn, rollbackOut]{
	Name:  "pve_rollback_snapshot",
	Title: "Roll a guest back to a snapshot",
	Doc:   "Returns disks and configuration of a guest to a snapshot. What came since is lost; a running guest is stopped.",
	Worst: guard.Destructive,
	Risk:  func(rollbackIn) guard.Risk { return guard.Destructive },
	Needs: []tool.Need{
		tool.On(tool.OnGuest, "VM.Audit"),
		tool.On(tool.OnGuest, "VM.Snapshot", "VM.Snapshot.Rollback"),
		tool.On(tool.OnGuest, "VM.PowerMgmt").If("start").Since(9),
	},
	Plan: planRollback,
	Start: func(ctx context.Context, c *tool.Call, in *rollbackIn) (tool.Job, error) {
		params := url.Values{}
		if in.Run {
			params.Set("start", "1")
		}
		_, upid, err := tool.AtGuest(ctx, c, in.VMID, func(g pve.GuestRef) (pve.UPID, error) {
			return c.PVE.Rollback(ctx, g, in.Snapname, params)
		})
		return tool.Job{UPID: upid}, err
	},
	Finish: func(ctx context.Context, c *tool.Call, in rollbackIn, _ tool.End) (rollbackOut, error) {
		g, s, err := c.Live(ctx, in.VMID)
		return rollbackOut{VMID: in.VMID, Node: g.Node, Status: s.State()}, err
	},
})

// find looks up a guest and one of its snapshots, for a change of it.
func find(ctx context.Context, c *tool.Call, id pve.VMID, name string) (g pve.GuestRef, s pve.GuestStatus, list []pve.Snapshot, snap pve.Snapshot, err error) {
	if g, s, err = c.Live(ctx, id); err != nil {
		return g, s, nil, snap, err
	}
	if err = explain.Unlocked(g, s.Lock.Value); err != nil {
		return g, s, nil, snap, err
	}
	if _, list, err = read(ctx, c, id); err != nil {
		return g, s, nil, snap, err
	}
	snap, ok := named(list, name)
	if !ok || name == pve.Current {
		next := "It has none at all."
		if all := names(list); all != nil {
			next = "It has " + render.List(all) + "."
		}
		err = explain.Refusal(next, "%v has no snapshot %q.", g, render.Text(name, 60))
	}
	return g, s, list, snap, err
}

func planRollback(ctx context.Context, c *tool.Call, in *rollbackIn) (tool.Plan, error) {
	g, s, list, snap, err := find(ctx, c, in.VMID, in.Snapname)
	if err != nil {
		return tool.Plan{}, err
	}
	plan := tool.Plan{Guest: in.VMID, About: fmt.Sprintf("Rollback of %v (%s) to %s", g, render.Text(s.Name.Value, 60), in.Snapname)}
	plan.Target = tool.Target(http.MethodPost, g, "/snapshot/*/rollback")
	taken := time.Unix(snap.Time.Value, 0)
	plan.Consequences = []string{fmt.Sprintf("everything on the disks of %v (%s) on %s since %s (%s ago) is lost; its configuration returns to that time, too",
		g, render.Text(s.Name.Value, 60), g.Node, render.Time(taken), render.Duration(c.Now().Sub(taken).Round(time.Minute)))}
	switch ends := s.Status == "running"; {
	case ends && (in.Run || snap.VMState.Value):
		plan.Consequences = append(plan.Consequences, "it is running: it is stopped, and runs again afterwards")
	case ends:
		plan.Consequences = append(plan.Consequences, "it is running: it is stopped, and stays so (start: true starts it again)")
	}
	if later := descendants(list, in.Snapname); len(later) > 0 {
		plan.Consequences = append(plan.Consequences, fmt.Sprintf("the later snapshots %s stay in the list; some storages, such as ZFS, refuse the rollback because of them", render.List(later)))
	}
	return plan, nil
}

// descendants are the snapshots that came after one, parents first as in the list.
func descendants(list []pve.Snapshot, name string) []string {
	after := []string{name}
	for _, s := range list {
		if s.Name != pve.Current && slices.Contains(after, s.Parent.Value) {
			after = append(after, s.Name)
		}
	}
	return after[1:]
}

type deleteIn struct {
	VMID     pve.VMID `json:"vmid"`
	Snapname string   `json:"snapname"`
	Force    bool     `json:"force,omitzero" jsonschema:"even if its disks fail"`
	tool.Confirms
	tool.Waits
}

type deleteOut struct {
	tool.Changed
	VMID      pve.VMID `json:"vmid,omitzero"`
	Node      string   `json:"node,omitzero"`
	Deleted   bool     `json:"deleted,omitzero"`
	Snapshots []string `json:"snapshots,omitzero" jsonschema:"that are left"`
}

var deleteSnapshot = tool.Change(tool.ChangeSpec[deleteIn, deleteOut]{
	Name:  "pve_delete_snapshot",
	Title: "Delete a snapshot",
	Doc:   "Deletes a snapshot of a guest, for good.",
	Worst: guard.Destructive,
	Risk:  func(deleteIn) guard.Risk { return guard.Destructive },
	Needs: []tool.Need{
		tool.On(tool.OnGuest, "VM.Audit"),
		tool.On(tool.OnGuest, "VM.Snapshot"),
	},
	Plan: func(ctx context.Context, c *tool.Call, in *deleteIn) (tool.Plan, error) {
		g, s, _, snap, err := find(ctx, c, in.VMID, in.Snapname)
		if err != nil {
			return tool.Plan{}, err
		}
		taken := time.Unix(snap.Time.Value, 0)
		return tool.Plan{
			Guest: in.VMID, Target: tool.Target(http.MethodDelete, g, "/snapshot/*"),
			About: fmt.Sprintf("Deletion of the snapshot %s of %v (%s)", in.Snapname, g, render.Text(s.Name.Value, 60)),
			Consequences: []string{fmt.Sprintf("%v (%s) on %s can no longer return to %s (%s ago)",
				g, render.Text(s.Name.Value, 60), g.Node, render.Time(taken), render.Duration(c.Now().Sub(taken).Round(time.Minute)))},
		}, nil
	},
	Start: func(ctx context.Context, c *tool.Call, in *deleteIn) (tool.Job, error) {
		params := url.Values{}
		if in.Force {
			params.Set("force", "1")
		}
		_, upid, err := tool.AtGuest(ctx, c, in.VMID, func(g pve.GuestRef) (pve.UPID, error) {
			return c.PVE.DeleteSnapshot(ctx, g, in.Snapname, params)
		})
		return tool.Job{UPID: upid}, err
	},
	Finish: func(ctx context.Context, c *tool.Call, in deleteIn, _ tool.End) (deleteOut, error) {
		g, list, err := read(ctx, c, in.VMID)
		_, there := named(list, in.Snapname)
		return deleteOut{VMID: in.VMID, Node: g.Node, Deleted: err == nil && !there, Snapshots: names(list)}, err
	},
})
