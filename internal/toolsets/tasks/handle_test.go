package tasks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A change that is more than its task gives a handle, which answers for all of it, in
// another process too.
func TestHandles(t *testing.T) {
	for _, tt := range []struct {
		name, tool, args string
		model            *pvesim.Model
		early            string // what the handle says at once
		states           []string
		says             string
	}{
		{"HA", "pve_guest_power", `{"vmid":103,"action":"shutdown","wait":3}`, nil,
			"PVE accepted it, and the guest has not reached that state yet", []string{"running", "ok"}, "Shutdown of VM 103 (db-2) on pve3: done."},
		{"HA migrates", "pve_migrate_guest", `{"vmid":103,"target":"pve1","wait":1}`, sim.Cluster(sim.Set(103, "scsi0=nfs:103/vm-103-disk-0.qcow2,size=4G")),
			"", []string{"running", "ok"}, "Migration of VM 103 (db-2) from pve3 to pve1: done."},
		{"reboot", "pve_guest_power", `{"vmid":104,"action":"reboot","wait":1}`, nil, "", []string{"running", "ok"}, "Reboot of VM 104 (mail) on pve1: done."},
		{"a rollback with a start that fails", "pve_rollback_snapshot", `{"vmid":102,"snapname":"after-upgrade","start":true,"confirm":true,"wait":0}`,
			sim.Cluster(sim.Guest(102, func(g *pvesim.Guest) { g.StartFails = []string{"no memory"} })),
			"under way", []string{"running", "failed"}, "done. What comes after it: the start failed: no memory"},
		{"a clone that nobody starts", "pve_clone_guest", `{"vmid":900,"newid":333,"start":true,"wait":0}`, nil,
			"under way", []string{"running", "failed"}, "done. What comes after it: the start was not begun"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: tt.model})
				begun := w.Call(tt.tool, tt.args)
				handle, _ := begun.Fields["handle"].(string)
				if begun.Outcome != tool.Running || handle == "" || !strings.Contains(fmt.Sprint(begun.Fields["next"]), "handle") && !strings.Contains(fmt.Sprint(begun.Fields["next"]), "pve_guest_status") {
					t.Fatalf("%s", begun.Text)
				}
				other := w.As("ops@pve!mcp")
				other.Host.Recent = nil
				var states []string
				for _, wait := range []int{0, 45} {
					a := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":%d}`, handle, wait))
					states = append(states, fmt.Sprint(a.Fields["state"]))
					says := fmt.Sprint(a.Fields["change"].(map[string]any)["message"])
					if want := map[int]string{0: tt.early, 45: tt.says}[wait]; !strings.Contains(says, want) {
						t.Errorf("after %d s: %s", wait, a.Text)
					}
					if a.Fields["upid"] != begun.Fields["upid"] && begun.Fields["upid"] != nil || strings.Contains(a.Text, handle) {
						t.Errorf("%s", a.Text)
					}
				}
				if fmt.Sprint(states) != fmt.Sprint(tt.states) {
					t.Errorf("states %v, want %v", states, tt.states)
				}
				if writes := sim.Writes(other.Sent()); len(writes) != 1 {
					t.Errorf("writes %v", writes)
				}
			})
		})
	}
}

// A UPID is enough where the task is all of it.
func TestNoHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		for _, args := range []string{`{"vmid":102,"action":"shutdown","wait":1}`, `{"vmid":101,"action":"start"}`} {
			if a := w.Call("pve_guest_power", args); a.Fields["handle"] != nil {
				t.Errorf("%s", a.Text)
			}
		}
	})
}

func TestHandleRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		begun := w.Call("pve_guest_power", `{"vmid":103,"action":"shutdown","wait":0}`)
		handle, upid := begun.Fields["handle"], begun.Fields["upid"]
		for args, want := range map[string]string{
			`{}`:               `The argument "upid" is missing.`,
			`{"handle":"abc"}`: "The handle is not valid: it was not made by this server, or was changed.",
			fmt.Sprintf(`{"handle":%q,"upid":%q}`, handle, upid): `The argument "handle" is used instead of upid; give one of them.`,
		} {
			if a := w.Call("pve_task_status", args); !a.IsError || !strings.Contains(a.Text, want) {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
		time.Sleep(25 * time.Hour)
		if a := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, handle)); !strings.Contains(a.Text, "The handle is not valid: its time is over.") {
			t.Errorf("%s", a.Text)
		}
	})
}
