package tasks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// quick gives the VM 102 disks that are moved and copied in no time.
func quick() *pvesim.Model {
	return sim.Cluster(sim.Set(900, "scsi0=local-zfs:base-900-disk-0,size=1G"), sim.Guest(102, func(g *pvesim.Guest) {
		older := g.Snapshots[0]
		older.Name, older.Parent = "oldest", ""
		g.Snapshots = append([]pvesim.Snapshot{older}, g.Snapshots...)
		g.Snapshots[1].Parent = "oldest"
		g.Snapshots[0].Age += time.Hour
	}))
}

// A change of several steps is killed after each of them. Another process says what was done
// and what was not. It begins nothing by itself, and finishes the change when it is asked to:
// with its handle, or with a new call where a human has to agree anew. Nothing is sent twice.
func TestKilledAtEveryStep(t *testing.T) {
	for _, tt := range []struct {
		name, tool, args string
		again            string // the call that finishes it; %q is the handle
		writes           []string
	}{
		{"clone", "pve_clone_guest", `{"vmid":900,"newid":333,"target":"pve3","start":true,"wait":0}`, `{"plan_handle":%q,"wait":45}`,
			[]string{"POST /nodes/{node}/qemu/{vmid}/clone", "POST /nodes/{node}/qemu/{vmid}/migrate", "POST /nodes/{node}/qemu/{vmid}/status/start"}},
		{"rollback", "pve_rollback_snapshot", `{"vmid":102,"snapname":"oldest","delete_newer":true,"confirm":true,"wait":0}`,
			`{"vmid":102,"snapname":"oldest","delete_newer":true,"confirm":true,"wait":45}`,
			[]string{"DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}", "DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}", "POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback"}},
	} {
		for lives := 1; lives <= len(tt.writes); lives++ {
			t.Run(fmt.Sprintf("%s after %d", tt.name, lives), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := sim.New(t, sim.Options{Model: quick(), Wire: sim.Killed(lives, lives > 1)})
					defer time.Sleep(2 * tool.HandleTime) // the killed process ends
					w.Host.Stays = true
					begun := w.Call(tt.tool, tt.args)
					handle, _ := begun.Fields["handle"].(string)
					if begun.Outcome != tool.Running || handle == "" || len(handle) > 2000 {
						t.Fatalf("%s", begun.Text)
					}
					time.Sleep(10 * time.Minute)
					other := w.As("ops@pve!mcp")
					seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":45}`, handle))
					want := "failed"
					if lives == len(tt.writes) {
						want = "ok"
					}
					if seen.Fields["state"] != want || want == "failed" && !strings.Contains(seen.Text, "was not begun") {
						t.Errorf("%s", seen.Text)
					}
					if want == "failed" {
						again := tt.again
						if strings.Contains(again, "%q") {
							again = fmt.Sprintf(again, handle)
						}
						if a := other.Call(tt.tool, again); a.Outcome != tool.OK {
							t.Errorf("again: %s", a.Text)
						}
					}
					if writes := sim.Writes(other.Sent()); !slices.Equal(writes, tt.writes) {
						t.Errorf("sent %v", writes)
					}
				})
			})
		}
	}
}

// Two calls with one handle take a step once.
func TestOneHandleTakesAStepOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: quick()})
		begun := w.Call("pve_clone_guest", `{"vmid":900,"newid":333,"target":"pve3","wait":0}`)
		time.Sleep(time.Minute)
		args := fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, begun.Fields["handle"])
		answers := make(chan sim.Answer)
		for range 2 {
			go func() { answers <- w.Call("pve_clone_guest", args) }()
		}
		a, b := <-answers, <-answers
		if a.Outcome != tool.OK && b.Outcome != tool.OK {
			t.Errorf("%s\n%s", a.Text, b.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) != 2 {
			t.Errorf("sent %v", writes)
		}
	})
}

// A handle of a change that goes on in another process sends nothing as long as that may.
func TestHandleWhileAnotherProcessGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: quick()})
		w.Host.Stays = true
		begun := w.Call("pve_clone_guest", `{"vmid":900,"newid":333,"target":"pve3","wait":0}`)
		other := w.As("ops@pve!mcp")
		other.Call("pve_clone_guest", fmt.Sprintf(`{"plan_handle":%q,"wait":0}`, begun.Fields["handle"]))
		time.Sleep(10 * time.Minute)
		if writes := sim.Writes(other.Sent()); len(writes) != 2 {
			t.Errorf("sent %v", writes)
		}
	})
}
