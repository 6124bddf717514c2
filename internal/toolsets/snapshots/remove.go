package snapshots

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type rollbackIn struct {
	VMID     pve.VMID `json:"vmid"`
	Snapname string   `json:"snapname" jsonschema:"the snapshot"`
	Newer    bool     `json:"delete_newer,omitzero" jsonschema:"delete those that are newer first; ZFS needs it"`
	Run      bool     `json:"start,omitzero" jsonschema:"start it afterwards"`
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

type rollbackState struct {
	rollbackIn
	Guest  pve.GuestRef     `json:"guest"`
	Label  string           `json:"who"`
	Delete []string         `json:"delete,omitzero"` // snapshots, the newest first
	Also   []policy.Subject `json:"also,omitzero"`   // whose volumes are rolled back, too
}

type rollbackOut struct {
	change.Answer
	VMID   pve.VMID `json:"vmid,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero"`
}

func rollbackSnapshot() tool.Tool {
	return change.New(change.Spec[rollbackIn, rollbackState, rollbackOut]{
		Name:  "pve_rollback_snapshot",
		Title: "Roll a guest back to a snapshot",
		Doc:   "Roll back, revert or go back to a snapshot. What came since is lost; a running guest is stopped.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":102,"snapname":"after-upgrade","start":true,"confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk:  func(rollbackIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Snapshot", "VM.Snapshot.Rollback"),
			tool.On(tool.OnGuest, "VM.PowerMgmt").If("start").Since(9),
			tool.On(tool.OnNode, "Sys.Audit").If("start").Else("its own tasks are seen all the same"),
		},
		Plan:   planRollback,
		Steps:  rollbackSteps,
		Finish: finishRollback,
	})
}

// rollbackSteps are the deletions of newer snapshots, the rollback and, if asked for, the
// start, which PVE makes by itself.
func rollbackSteps(in rollbackState) []change.Step[rollbackState] {
	var steps []change.Step[rollbackState]
	for _, name := range in.Delete {
		steps = append(steps, change.Step[rollbackState]{
			About: deletionOf(name, in.Label), Target: snapshotTarget(in.Guest, name), Guest: in.VMID, Task: "delsnapshot",
			Send: func(ctx context.Context, c *tool.Call, in *rollbackState) (change.Job, error) {
				return sendDelete(ctx, c, in.VMID, name, false)
			},
			Rest: "Call pve_rollback_snapshot again: the human is asked anew.",
		})
	}
	target := change.GuestTarget(http.MethodPost, in.Guest, "/snapshot/*/rollback")
	target.Snapshot, target.Also = in.Snapname, in.Also
	steps = append(steps, change.Step[rollbackState]{
		About: in.about(), Target: target, Guest: in.VMID, Task: "rollback", Send: sendRollback,
		Rest: "Call pve_rollback_snapshot again: the human is asked anew.",
	})
	if in.Run {
		steps = append(steps, change.Step[rollbackState]{About: "the start", Guest: in.VMID, Task: "start"})
	}
	return steps
}

func (in rollbackState) about() string {
	return fmt.Sprintf("Rollback of %s to %s", in.Label, in.Snapname)
}

func sendRollback(ctx context.Context, c *tool.Call, in *rollbackState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.Rollback(ctx, g, in.Snapname, in.Run)
	})
	return change.Job{UPID: upid}, err
}

// finishRollback reads the state. PVE starts the guest in another task, after that of the
// rollback.
func finishRollback(ctx context.Context, c *tool.Call, in rollbackState, end change.End) (rollbackOut, error) {
	g, s, err := c.Live(ctx, in.VMID)
	out := rollbackOut{VMID: in.VMID, Node: g.Node, Status: s.State()}
	if err != nil {
		return out, err
	}
	if end.Status.Succeeded() {
		_, list, err := read(ctx, c, in.VMID)
		if err != nil {
			return out, err
		}
		if now, _ := named(list, pve.Current); now.Parent.Value != in.Snapname {
			out.SetOutcome(tool.Failed, "pve_task_status shows what its task did, pve_list_snapshots which snapshot the guest is at.",
				"PVE's task succeeded, but %v is not at the snapshot %s.", g, in.Snapname)
			return out, nil
		}
	}
	if in.Run && end.Status.Succeeded() && s.Status != "running" {
		out.Message = fmt.Sprintf("%v was rolled back to %s, but is not running yet.", g, in.Snapname)
		out.Next = "Look again with pve_guest_status. If it stays so, pve_list_tasks shows why its start failed."
		return out, change.ErrNotYet
	}
	return out, err
}

// guestSnapshot is a guest and one of its snapshots.
type guestSnapshot struct {
	guest  pve.GuestRef
	status pve.GuestStatus
	list   []pve.Snapshot
	snap   pve.Snapshot
}

// find looks up a guest and one of its snapshots, for a change of it.
func find(ctx context.Context, c *tool.Call, id pve.VMID, name string) (f guestSnapshot, err error) {
	if f.guest, f.status, err = c.Live(ctx, id); err != nil {
		return f, err
	}
	if err = explain.Unlocked(f.guest, f.status.Lock.Value); err != nil {
		return f, err
	}
	if f.guest, f.list, err = read(ctx, c, id); err != nil {
		return f, err
	}
	snap, ok := named(f.list, name)
	if f.snap = snap; ok && name != pve.Current {
		return f, nil
	}
	next := "It has none at all."
	if all := names(f.list); all != nil {
		next = "It has " + render.List(all) + "."
	}
	return f, explain.Refusal(next, "%v has no snapshot %q.", f.guest, render.Text(name, 60))
}

// label names the guest for a person.
func (f guestSnapshot) label() string {
	return fmt.Sprintf("%v (%s)", f.guest, render.Text(f.status.Name.Value, 60))
}

// age says when the snapshot was taken.
func (f guestSnapshot) age(c *tool.Call) string {
	if f.snap.Time.Value <= 0 {
		return "an unknown time"
	}
	at := time.Unix(f.snap.Time.Value, 0)
	return fmt.Sprintf("%s (%s ago)", render.Time(at), render.Duration(c.Ago(at).Round(time.Minute)))
}

func planRollback(ctx context.Context, c *tool.Call, given rollbackIn) (change.Plan, rollbackState, error) {
	in := rollbackState{rollbackIn: given}
	f, err := find(ctx, c, in.VMID, in.Snapname)
	if err != nil {
		return change.Plan{}, in, err
	}
	if state := f.snap.State.Value; state != "" {
		return change.Plan{}, in, explain.Refusal("Delete it with pve_delete_snapshot, with force: true if nothing else helps.",
			"The snapshot %s of %v is incomplete (%s), so there is no way back to it.", in.Snapname, f.guest, state)
	}
	in.Guest, in.Label = f.guest, f.label()
	plan := change.Plan{Subject: policy.Guest(in.VMID), About: in.about()}
	_, config, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (pve.GuestConfig, error) {
		return c.PVE.SnapshotConfig(ctx, g, in.Snapname)
	})
	if err != nil {
		return plan, in, err
	}
	owners, others := c.ForeignVolumes(ctx, f.guest, config.Values)
	in.Also = policy.Guests(owners)
	plan.Consequences = []string{fmt.Sprintf("everything on the disks of %s on %s since %s is lost; its configuration returns to that time, too",
		f.label(), f.guest.Node, f.age(c))}
	plan.Consequences = append(plan.Consequences, others...)
	switch runs := f.status.Status == "running"; {
	case runs && (in.Run || f.snap.VMState.Value):
		plan.Consequences = append(plan.Consequences, "it is running: it is stopped, and runs again afterwards")
	case runs:
		plan.Consequences = append(plan.Consequences, "it is running: it is stopped, and stays so (start: true starts it again)")
	}
	if later := laterThan(f.list, f.snap); in.Newer && later != nil {
		in.Delete = slices.Clone(later)
		slices.Reverse(in.Delete)
		plan.Consequences = append(plan.Consequences, fmt.Sprintf("the newer snapshots %s are deleted first: there is no way back to them", strings.Join(in.Delete, ", ")))
		return plan, in, nil
	}
	later, err := f.checkLater(ctx, c, config)
	if later != "" {
		plan.Consequences = append(plan.Consequences, later)
	}
	return plan, in, err
}

// descendants returns the snapshots after one, parents first as in the list.
func descendants(list []pve.Snapshot, name string) []string {
	after := []string{name}
	for _, s := range list {
		if s.Name != pve.Current && slices.Contains(after, s.Parent.Value) {
			after = append(after, s.Name)
		}
	}
	return after[1:]
}

// snapshotTarget is the request that deletes a snapshot.
func snapshotTarget(g pve.GuestRef, name string) policy.Target {
	t := change.GuestTarget(http.MethodDelete, g, "/snapshot/*")
	t.Snapshot = name
	return t
}

type deleteIn struct {
	VMID     pve.VMID `json:"vmid"`
	Snapname string   `json:"snapname" jsonschema:"the snapshot"`
	Force    bool     `json:"force,omitzero" jsonschema:"remove it even if its disks fail"`
	change.ConfirmArgument
	change.WaitArgument
}

type deleteOut struct {
	change.Answer
	VMID      pve.VMID `json:"vmid,omitzero"`
	Node      string   `json:"node,omitzero"`
	Deleted   bool     `json:"deleted,omitzero"`
	Snapshots []string `json:"snapshots,omitzero" jsonschema:"that are left"`
}

func deletionOf(name, who string) string {
	return fmt.Sprintf("Deletion of the snapshot %s of %s", name, who)
}

func sendDelete(ctx context.Context, c *tool.Call, id pve.VMID, name string, force bool) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, id, func(g pve.GuestRef) (proxmox.UPID, error) { return c.PVE.DeleteSnapshot(ctx, g, name, force) })
	return change.Job{UPID: upid}, err
}

func deleteSnapshot() tool.Tool {
	return change.New(change.Spec[deleteIn, deleteIn, deleteOut]{
		Name:  "pve_delete_snapshot",
		Title: "Delete a snapshot",
		Doc:   "Delete or remove a snapshot of a guest, for good.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":102,"snapname":"before-upgrade","confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk:  func(deleteIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Snapshot"),
		},
		Plan: func(ctx context.Context, c *tool.Call, in deleteIn) (change.Plan, deleteIn, error) {
			f, err := find(ctx, c, in.VMID, in.Snapname)
			return change.Plan{
				Subject: policy.Guest(in.VMID), About: deletionOf(in.Snapname, f.label()),
				Target:       snapshotTarget(f.guest, in.Snapname),
				Consequences: []string{fmt.Sprintf("%s on %s can no longer return to %s", f.label(), f.guest.Node, f.age(c))},
			}, in, err
		},
		Start: func(ctx context.Context, c *tool.Call, in *deleteIn) (change.Job, error) {
			return sendDelete(ctx, c, in.VMID, in.Snapname, in.Force)
		},
		Finish: func(ctx context.Context, c *tool.Call, in deleteIn, end change.End) (deleteOut, error) {
			g, list, err := read(ctx, c, in.VMID)
			_, there := named(list, in.Snapname)
			out := deleteOut{VMID: in.VMID, Node: g.Node, Deleted: err == nil && !there, Snapshots: names(list)}
			if there && end.Status.Succeeded() {
				out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %v still has the snapshot %s.", g, in.Snapname)
			}
			return out, err
		},
	})
}
