package tasks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// Stopping a task is another thing than not waiting for it any more.
func TestStopTask(t *testing.T) {
	for _, tt := range []struct {
		name, begun  string // the call that begins the task
		tool         string
		left, status string
		exit         string
		lost         string // what a human has to agree to
	}{
		{"a shutdown", `{"vmid":102,"action":"shutdown","wait":0}`, "pve_guest_power", "VM 102 is running now", "running", "received interrupt", ""},
		{"a backup", `{"vmid":102,"storage":"nfs","wait":0}`, "pve_create_backup", "incomplete volumes may still be there", "running", "interrupted by signal", ""},
		{"a migration", `{"vmid":105,"target":"pve1","wait":0}`, "pve_migrate_guest", "incomplete volumes may still be there", "stopped", "", "guest 105 is left half migrated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{})
				begun := w.Call(tt.tool, tt.begun)
				if begun.Outcome != tool.Running {
					t.Fatalf("%s", begun.Text)
				}
				w.Sent()
				stop := fmt.Sprintf(`{"upid":%q}`, begun.Fields["upid"])
				if tt.lost != "" {
					a := w.Call("pve_stop_task", stop)
					if a.Outcome != tool.NeedsConfirmation || !strings.Contains(a.Text, tt.lost) || len(sim.Writes(w.Sent())) != 0 {
						t.Errorf("%s", a.Text)
					}
					stop = fmt.Sprintf(`{"upid":%q,"confirm":true}`, begun.Fields["upid"])
				}
				a := w.Call("pve_stop_task", stop)
				if a.Outcome != tool.OK || a.Fields["state"] != "failed" || !strings.Contains(a.Text, tt.left) || !strings.Contains(fmt.Sprint(a.Fields["task_exit_status"]), tt.exit) {
					t.Errorf("%s", a.Text)
				}
				if writes := sim.Writes(w.Sent()); len(writes) != 1 || writes[0] != "DELETE /nodes/{node}/tasks/{upid}" {
					t.Errorf("writes %v", writes)
				}
				again := w.Call("pve_stop_task", stop)
				if again.Outcome != tool.OK || !strings.Contains(again.Text, "has ended already") || len(sim.Writes(w.Sent())) != 0 {
					t.Errorf("again: %s", again.Text)
				}
			})
		})
	}
}

func TestStopTaskRefused(t *testing.T) {
	w := sim.New(t, sim.Options{})
	a := w.Call("pve_stop_task", `{"upid":"UPID:pve1:00000001:00000001:60000000:qmstart:100:root@pam:"}`)
	if a.Outcome != tool.Failed || !strings.Contains(a.Text, "Node pve1 does not know this task.") {
		t.Errorf("%s", a.Text)
	}
	begun := w.Call("pve_guest_power", `{"vmid":102,"action":"shutdown","wait":0}`)
	a = w.As("audit@pve!mcp").Call("pve_stop_task", fmt.Sprintf(`{"upid":%q}`, begun.Fields["upid"]))
	if a.Outcome != tool.Failed || !strings.Contains(a.Text, "lacks Sys.Modify on /nodes/pve2") {
		t.Errorf("%s", a.Text)
	}
}
