package maintenance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A call that is cancelled deletes no more snapshots, of the guest at which it was either, and a
// look later says what was not done.
func TestBulkCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := sim.New(t, sim.Options{
			Token: full,
			Model: sim.Cluster(sim.Guest(104, func(g *pvesim.Guest) {
				for i := range 5 {
					g.Snapshots = append(g.Snapshots, pvesim.Snapshot{Name: fmt.Sprint("old", i), Age: time.Duration(100-i) * time.Hour})
				}
				g.Config["parent"] = "old4"
				for i := 1; i < 5; i++ {
					g.Snapshots[i].Parent = fmt.Sprint("old", i-1)
				}
			})),
			Before: func(_ *sim.World, req *http.Request) {
				if req.Method == http.MethodDelete {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
			},
		})
		w.Host.Stays = true
		bulk, _ := toolset.Named("pve_bulk_action")
		bulk.Call(ctx, w.Host, tool.Request{Caller: "test", Arguments: json.RawMessage(`{"action":"delete_snapshot","guests":"104","snapname":"old*","confirm":true,"wait":45}`)})
		time.Sleep(5 * time.Minute)
		if writes := sim.Writes(w.Sent()); len(writes) != 1 {
			t.Errorf("%d deletions, and the call was cancelled during the first", len(writes))
		}
	})
}

// The handle of a fleet says that a guest under HA is ready when it is, and not when HA has
// taken the order.
func TestBulkOfHA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		w.Host.Stays = true
		begun := w.Call("pve_bulk_action", `{"action":"shutdown","guests":"102,103","wait":0}`)
		handle, _ := begun.Fields["handle"].(string)
		for range 40 {
			time.Sleep(time.Second)
			seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, handle))
			is := w.Call("pve_guest_status", `{"vmid":103}`)
			if said := inChange(seen, "ok"); slices.Contains(said, "103 db-2") && is.Fields["status"] != "stopped" {
				t.Errorf("said to be ok, and is %v: %s", is.Fields["status"], seen.Text)
				break
			}
		}
		time.Sleep(5 * time.Minute)
		seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, handle))
		if len(inChange(seen, "ok")) != 2 {
			t.Errorf("%s", seen.Text)
		}
	})
}

// inChange is a list of texts in what pve_task_status says of a change.
func inChange(a sim.Answer, field string) []string {
	fields, _ := a.Fields["change"].(map[string]any)
	return list(sim.Answer{Fields: fields}, field)
}

// What needs no task is seen by a handle all the same, once it is done.
func TestBulkWithoutTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		w.Host.Stays = true
		for _, args := range []string{
			`"action":"add_tags","guests":"100,102","tags":["patched"]`, `"action":"remove_tags","guests":"100,102","tags":["patched","prod"]`,
			`"action":"set_config","guests":"100,102","set":{"onboot":1,"memory":1024}`,
		} {
			begun := w.Call("pve_bulk_action", `{`+args+`,"wait":0}`)
			handle, _ := begun.Fields["handle"].(string)
			time.Sleep(10 * time.Minute)
			w.Sent()
			seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, handle))
			if len(inChange(seen, "ok")) != 2 {
				t.Errorf("%s: %s", args, seen.Text)
			}
			w.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
			if writes := sim.Writes(w.Sent()); len(writes) > 0 {
				t.Errorf("%s: again %v", args, writes)
			}
		}
	})
}

// Tags that somebody else gives a guest meanwhile stay, also if another process takes up what is
// left, and a guest may lose its last one.
func TestBulkTagsOfOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Wire: sim.Killed(1, false)})
		defer time.Sleep(2 * tool.HandleTime) // the killed server ends
		w.Host.Stays = true
		begun := w.Call("pve_bulk_action", `{"action":"remove_tags","guests":"100,101","tags":["prod"],"parallel":1,"wait":0}`)
		handle, _ := begun.Fields["handle"].(string)
		time.Sleep(10 * time.Minute)
		other := w.As(full)
		other.Call("pve_update_guest_config", `{"vmid":101,"set":{"tags":"prod;keep-me"}}`)
		rest := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
		if rest.Outcome != tool.OK || len(list(rest, "ok")) != 2 {
			t.Errorf("%s", rest.Text)
		}
		if is := other.Call("pve_guest_config", `{"vmid":101}`); !strings.Contains(is.Text, "keep-me") || strings.Contains(is.Text, "prod") {
			t.Errorf("%s", is.Text)
		}
		last := other.Call("pve_bulk_action", `{"action":"remove_tags","guests":"101","tags":["keep-me"],"wait":45}`)
		if is := other.Call("pve_guest_config", `{"vmid":101}`); last.Outcome != tool.OK || strings.Contains(is.Text, "keep-me") {
			t.Errorf("%s %s", last.Text, is.Text)
		}
	})
}

// Consent goes by what happens, however the guests are named, and whatever interrupts them.
func TestBulkConsentByEffect(t *testing.T) {
	few := sim.Cluster(func(m *pvesim.Model) {
		m.Guests = slices.DeleteFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID > 104 })
	})
	containers := sim.Cluster(func(m *pvesim.Model) {
		for i := range m.Guests {
			if g := &m.Guests[i]; g.Kind == "lxc" && g.VMID < 204 {
				g.Node, g.Running, g.HA = "pve3", true, ""
				g.Config["rootfs"] = "nfs:" + fmt.Sprint(g.VMID) + "/vm-" + fmt.Sprint(g.VMID) + "-disk-0.raw,size=4G"
				delete(g.Config, "mp0")
			}
		}
	})
	for _, tt := range []struct {
		model *pvesim.Model
		args  string
	}{
		{few, `"action":"add_tags","guests":"vm,ct","tags":["x"]`},
		{few, `"action":"add_tags","guests":"*","tags":["x"]`},
		{few, `"action":"add_tags","guests":"100-104","tags":["x"]`},
		{containers, `"action":"migrate","guests":"200-203","target":"pve2"`},
	} {
		w := sim.New(t, sim.Options{Token: full, Model: tt.model})
		if a := w.Call("pve_bulk_action", "{"+tt.args+"}"); a.Outcome != tool.NeedsConfirmation || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s: %s", tt.args, a.Text)
		}
	}
}

// frozen carries requests, and holds them up while its process stands still.
type frozen struct {
	http.RoundTripper
	after  int64 // writes
	writes atomic.Int64
	thaw   chan struct{}
}

func (f *frozen) RoundTrip(req *http.Request) (*http.Response, error) {
	if f.writes.Load() >= f.after {
		<-f.thaw
	}
	if req.Method != http.MethodGet {
		f.writes.Add(1)
	}
	return f.RoundTripper.RoundTrip(req)
}

// A process that stands still, such as on a machine that sleeps, begins nothing when it goes on,
// since another one may have.
func TestBulkFrozen(t *testing.T) {
	for lives := int64(1); lives <= 3; lives++ {
		synctest.Test(t, func(t *testing.T) {
			process := &frozen{after: lives, thaw: make(chan struct{})}
			w := sim.New(t, sim.Options{Token: full, Wire: func(rt http.RoundTripper) http.RoundTripper {
				process.RoundTripper = rt
				return process
			}})
			w.Host.Stays = true
			begun := w.Call("pve_bulk_action", `{"action":"reboot","guests":"100,101,104","parallel":1,"wait":0}`)
			handle, _ := begun.Fields["handle"].(string)
			time.Sleep(10 * time.Minute)
			other := w.As(full)
			rest := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
			if rest.Outcome != tool.OK || len(list(rest, "ok")) != 3 {
				t.Errorf("%s", rest.Text)
			}
			close(process.thaw)
			time.Sleep(10 * time.Minute)
			if writes := sim.Writes(w.Sent()); len(writes) != 3 {
				t.Errorf("3 guests, and %d writes", len(writes))
			}
		})
	}
}

// Every guest is named, however many have failed.
func TestBulkNamesAll(t *testing.T) {
	many := func(m *pvesim.Model) {
		vm := m.Guests[0]
		m.Guests = nil
		for i := range 50 {
			g := vm
			g.VMID, g.Node, g.Snapshots = 1000+i, "pve1", nil
			g.Config = map[string]string{"name": fmt.Sprint("g", i), "memory": "64", "cores": "1"}
			m.Guests = append(m.Guests, g)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(many), Wire: func(rt http.RoundTripper) http.RoundTripper { return refusing{rt} }})
		a := w.Call("pve_bulk_action", `{"action":"add_tags","guests":"all","tags":["x"],"confirm":true,"wait":45}`)
		rows, _ := a.Fields["not_ok"].([]any)
		last, _ := rows[len(rows)-1].(map[string]any)
		if len(rows) != 41 || last["guest"] != "1040-1049" || last["outcome"] != "failed" || a.Fields["left_out"] != 10.0 {
			t.Errorf("%d rows, the last is %v: %.500s", len(rows), last, a.Text)
		}
	})
}

// refusing lets no write pass.
type refusing struct{ http.RoundTripper }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req)
	if err == nil && req.Method != http.MethodGet {
		resp.StatusCode, resp.Status = http.StatusForbidden, "403 Permission check failed"
	}
	return resp, err
}
