package tasks

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type stopIn struct {
	UPID proxmox.UPID `json:"upid" jsonschema:"the task to stop"`
	change.ConfirmArgument
	change.WaitArgument
}

type stopOut struct {
	change.Answer
	State string   `json:"state,omitzero" jsonschema:"of the task: running, ok, warnings or failed"`
	Exit  string   `json:"task_exit_status,omitzero"`
	Left  []string `json:"left_behind,omitzero" jsonschema:"what it may have left behind"`
}

func stopTask() tool.Tool {
	return change.New(change.Spec[stopIn, stopIn, stopOut]{
		Name:  "pve_stop_task",
		Title: "Stop a task",
		Doc:   "Stop, cancel or abort a running task of PVE, such as a backup or migration that hangs. Says what may be left behind.",
		Examples: []tool.Example{
			{Arguments: `{"upid":"$RUNNING"}`, Given: []tool.Given{{Word: "$RUNNING", Tool: "pve_guest_power", Arguments: `{"vmid":102,"action":"shutdown","wait":0}`, Field: "upid", ByAnother: true}}},
		},
		Idempotent: true,
		Risk: func(in stopIn) policy.Risk {
			if lossesByStop(in.UPID) != nil {
				return policy.Destructive
			}
			return policy.Write
		},
		Needs: []tool.Need{
			tool.On(tool.OnNode, "Sys.Audit").If("a task of another user or token"),
			tool.On(tool.OnNode, "Sys.Modify").If("a task of another user or token").ForAdmins(),
			tool.On(tool.OnGuest, "VM.Audit").Else("what it left of the guest is not shown"),
		},
		Plan: func(ctx context.Context, c *tool.Call, in stopIn) (change.Plan, stopIn, error) {
			status, err := c.PVE.TaskStatus(ctx, in.UPID)
			if err != nil {
				return change.Plan{}, in, unknownTask(err, in.UPID)
			}
			plan := change.Plan{About: fmt.Sprintf("Stop of the task %s %s on %s", in.UPID.Type, in.UPID.ID, in.UPID.Node)}
			id, _ := pve.GuestOf(in.UPID)
			plan.Subject = policy.Guest(id)
			if plan.Consequences = lossesByStop(in.UPID); plan.Consequences != nil {
				plan.Target = policy.Target{Method: http.MethodDelete, Path: "/nodes/*/tasks/*", Subject: plan.Subject}
			}
			if !status.Running() {
				plan.Already = fmt.Sprintf("The task has ended already (%s); nothing was sent.", render.Said(status.ExitStatus.Or("unknown"), 200))
			}
			return plan, in, nil
		},
		Start: func(ctx context.Context, c *tool.Call, in *stopIn) (change.Job, error) {
			return change.Job{}, c.PVE.StopTask(ctx, in.UPID)
		},
		Finish: finishStop,
	})
}

// lossesByStop says what a guest loses when a task that overwrites or deletes is stopped; nil
// for nothing.
func lossesByStop(upid proxmox.UPID) []string {
	id, ok := pve.GuestOf(upid)
	if !ok || !policy.LosesDataIfStopped(upid.Type) {
		return nil
	}
	what := "guest %v is left half deleted"
	switch upid.Type {
	case "qmrestore", "vzrestore":
		what = "guest %v is left half restored: its old data is gone, and that of the backup is incomplete"
	case "qmrollback", "vzrollback":
		what = "guest %v is left half rolled back: its disks may be of different times"
	case "qmdelsnapshot", "vzdelsnapshot":
		what = "guest %v is left with half a snapshot, to which it cannot return"
	case "qmmove", "move_volume":
		what = "a disk of guest %v is left half moved: on both storages, or on neither"
	case "qmigrate", "vzmigrate":
		what = "guest %v is left half migrated: it may be stopped, locked, or have disks on both nodes"
	case "qmtemplate", "vztemplate":
		what = "guest %v is left half a template"
	case "imgdel":
		what = "a volume of guest %v is left half deleted"
	}
	return []string{fmt.Sprintf(what, id)}
}

func finishStop(ctx context.Context, c *tool.Call, in stopIn, _ change.End) (stopOut, error) {
	status, err := c.PVE.TaskStatus(ctx, in.UPID)
	if err != nil {
		return stopOut{}, err
	}
	out := stopOut{State: string(tool.OutcomeOf(status)), Exit: render.Said(status.ExitStatus.Value, 200)}
	if status.Running() {
		out.Message, out.Next = "PVE has the request to stop the task, but it is still running.", "Look again with pve_task_status."
		return out, change.ErrNotYet
	}
	if status.Succeeded() { // it ended before the stop
		return out, nil
	}
	out.Left, err = remainsOf(ctx, c, in.UPID)
	return out, err
}

// leavesVolumes are the types of tasks that make volumes, and may leave incomplete ones.
var leavesVolumes = map[string]bool{
	"qmcreate": true, "vzcreate": true, "qmrestore": true, "vzrestore": true, "qmclone": true, "vzclone": true, "qmigrate": true, "vzmigrate": true,
	"qmmove": true, "move_volume": true, "vzdump": true, "imgcopy": true, "download": true, "qmsnapshot": true, "vzsnapshot": true,
}

// remainsOf says what a stopped task may have left behind.
func remainsOf(ctx context.Context, c *tool.Call, upid proxmox.UPID) ([]string, error) {
	var out []string
	if leavesVolumes[upid.Type] {
		out = append(out, "PVE cleans up as far as it can; incomplete volumes may still be there")
	}
	id, ok := pve.GuestOf(upid)
	if !ok {
		return out, nil
	}
	g, s, err := c.Live(ctx, id)
	var none *pve.NoGuestError
	switch {
	case errors.As(err, &none):
		return append(out, fmt.Sprintf("there is no guest %v", id)), nil
	case err != nil:
		return out, err
	case s.Lock.Value != "" && s.Lock.Value != "suspended":
		locked := explain.LockedError{Guest: g, Lock: s.Lock.Value}
		out = append(out, fmt.Sprintf("%v is still locked (%s), which no API token can clear: %s", g, s.Lock.Value, locked.Left()))
	}
	return append(out, fmt.Sprintf("%v is %s now", g, s.State())), nil
}
