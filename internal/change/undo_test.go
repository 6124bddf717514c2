package change_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

type copyIn struct {
	VMID pve.VMID `json:"vmid"`
	change.WaitArgument
}

// copyAndStart is a tool that copies a template to VM 333, and restarts another VM.
func copyAndStart(unchanged bool) tool.Tool {
	made := pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 333}
	return change.New(change.Spec[copyIn, copyIn, powerOut]{
		Name: "copy", Title: "Copy", Doc: "Copies a template, and restarts a VM.",
		Plan: func(_ context.Context, _ *tool.Call, in copyIn) (change.Plan, copyIn, error) {
			return change.Plan{About: "Copy"}, in, nil
		},
		Steps: func(in copyIn) []change.Step[copyIn] {
			return []change.Step[copyIn]{
				{About: "Copy", Guest: 333, Task: "clone", Send: func(ctx context.Context, c *tool.Call, _ *copyIn) (change.Job, error) {
					upid, err := c.PVE.Clone(ctx, pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 900}, pve.NewClone{VMID: 333})
					return change.Job{UPID: upid}, err
				}, Undo: &change.Undo[copyIn]{
					About: "Removal of the copy", Target: change.GuestTarget("DELETE", made, ""), Guest: 333, Task: "destroy", Rest: "Remove VM 333.",
					Unchanged: func(context.Context, *tool.Call, copyIn, proxmox.UPID) (bool, error) { return unchanged, nil },
					Send: func(ctx context.Context, c *tool.Call, _ *copyIn) (change.Job, error) {
						upid, err := c.PVE.DeleteGuest(ctx, made, pve.Deletion{})
						return change.Job{UPID: upid}, err
					},
				}},
				{About: "Stop", Guest: in.VMID, Task: "stop", Send: powerOf("stop")},
				{About: "Start", Guest: in.VMID, Task: "start", Send: powerOf("start")},
			}
		},
		Finish: func(context.Context, *tool.Call, copyIn, change.End) (powerOut, error) { return powerOut{}, nil },
	})
}

func powerOf(action string) func(context.Context, *tool.Call, *copyIn) (change.Job, error) {
	return func(ctx context.Context, c *tool.Call, in *copyIn) (change.Job, error) {
		g, err := c.Guest(ctx, in.VMID)
		if err != nil {
			return change.Job{}, err
		}
		upid, err := c.PVE.Power(ctx, g.Ref(), action, pve.PowerOptions{})
		return change.Job{UPID: upid}, err
	}
}

// failingStart is a cluster whose VM 105 does not start.
func failingStart() *pvesim.Model {
	return sim.Cluster(sim.Guest(105, func(g *pvesim.Guest) { g.StartFails = []string{"no memory"} }))
}

// When a step fails, what those before it have made is taken away again: only what their own
// tasks have made, and only as long as nobody has changed it.
func TestUndo(t *testing.T) {
	for _, tt := range []struct {
		name      string
		unchanged bool
		says      string
	}{
		{"unchanged", true, "Removal of the copy: done."},
		{"changed", false, "Removal of the copy: not done, since it was changed meanwhile."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: failingStart()})
				a := w.Run(copyAndStart(tt.unchanged), `{"vmid":105}`)
				if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) {
					t.Errorf("%s", a.Text)
				}
				gone := w.Call("pve_guest_status", `{"vmid":333}`).IsError
				if gone != tt.unchanged {
					t.Errorf("the copy is gone: %v", gone)
				}
			})
		})
	}
}

// What was made is taken away also if a step fails after the end of the call, as long as the
// process lives. Every process tells what became of it, and what is left.
func TestUndoAfterTheCall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stays bool
		sent  int
		says  string
	}{
		{"the process lives", true, 4, "Removal of the copy: done."},
		{"the process has ended", false, 1, "Stop was not begun"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: failingStart()})
				copies := copyAndStart(true)
				w.Host.Stays = tt.stays
				w.Host.Named = func(string) (tool.Tool, bool) { return copies, true }
				begun := w.Run(copies, `{"vmid":105,"wait":0}`)
				if begun.Outcome != tool.Running {
					t.Fatalf("%s", begun.Text)
				}
				time.Sleep(10 * time.Minute)
				seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, begun.Fields["handle"]))
				if !strings.Contains(seen.Text, tt.says) {
					t.Errorf("%s", seen.Text)
				}
				if writes := sim.Writes(w.Sent()); len(writes) != tt.sent {
					t.Errorf("sent %v", writes)
				}
				if gone := w.Call("pve_guest_status", `{"vmid":333}`).IsError; gone != tt.stays {
					t.Errorf("the copy is gone: %v", gone)
				}
			})
		})
	}
}
