package maintenance_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// The server is killed after each guest. Another one says of each what was done, and takes up the
// rest when it is asked to. No guest is begun twice.
func TestDrainKilled(t *testing.T) {
	guests := []int{100, 101, 102, 104}
	for _, lives := range effort.Of([]int{2}, []int{1, 2, 3, 4}, []int{1, 2, 3, 4}) {
		t.Run(fmt.Sprint(lives), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: sim.Cluster(only(guests...), onNode("pve2", guests...)), Token: full, Wire: sim.Killed(lives, false)})
				defer time.Sleep(2 * tool.HandleTime) // the killed server ends
				w.Host.Stays = true
				begun := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","parallel":1,"wait":0}`)
				handle, _ := begun.Fields["handle"].(string)
				if begun.Outcome != tool.Running || handle == "" || len(handle) > 2000 {
					t.Fatalf("%d bytes: %s", len(handle), begun.Text)
				}
				time.Sleep(6 * time.Hour)
				other := w.As(full)
				other.Sent()
				seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":1}`, handle))
				answer, _ := seen.Fields["change"].(map[string]any)
				ok, _ := answer["ok"].([]any)
				not, _ := answer["not_begun"].([]any)
				if len(ok) != lives || len(not) != len(guests)-lives || len(sim.Writes(other.Sent())) > 0 {
					t.Errorf("%s", seen.Text)
				}
				rest := drained(other, fmt.Sprintf(`{"plan_handle":%q}`, handle))
				if rest.Outcome != tool.OK || len(list(rest, "ok")) != len(guests) {
					t.Errorf("%s", rest.Text)
				}
				if n := len(sim.Writes(other.Sent())); n != len(guests)-lives {
					t.Errorf("%d writes of the other process", n)
				}
				back := drained(other, undo(t, rest))
				for id, node := range nodesOf(other, guests...) {
					if node != "pve2" {
						t.Errorf("%d is on %s: %s", id, node, back.Text)
					}
				}
			})
		})
	}
}

// While a process sees to it, another one sees which guests have arrived, and begins none.
func TestDrainUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 106)), Token: full})
		w.Host.Stays = true
		begun := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","parallel":1,"wait":0}`)
		handle, _ := begun.Fields["handle"].(string)
		other := w.As(full)
		for range 60 {
			time.Sleep(time.Minute)
			arrived := 0
			for _, node := range nodesOf(other, 101, 102, 106) {
				if node != "pve2" {
					arrived++
				}
			}
			seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, handle))
			if ok := inChange(seen, "ok"); len(ok) != arrived {
				t.Fatalf("%d have arrived: %s", arrived, seen.Text)
			}
			other.Sent()
			if other.Call("pve_drain_node", fmt.Sprintf(`{"plan_handle":%q,"wait":0}`, handle)); len(sim.Writes(other.Sent())) > 0 {
				t.Fatalf("another process has begun some: %s", seen.Text)
			}
			if arrived == 3 {
				return
			}
		}
		t.Error("not all have arrived")
	})
}

// A migration that fails leaves its guest where it was, and the answer says so and why.
func TestDrainMigrationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102)), Token: full})
		if err := w.Sim.Fault(pvesim.Fault{Match: "POST /nodes/*/qemu/*/migrate", Guest: 102, TaskFails: "migration aborted", FailsAt: 50}); err != nil {
			t.Fatal(err)
		}
		a := drained(w, `{"node":"pve2","action":"drain"}`)
		if a.Outcome != tool.Failed || !slices.Equal(list(a, "ok"), []string{"101 web-2"}) || !slices.Equal(list(a, "not_ok"), []string{"102 db-1"}) ||
			!slices.Equal(list(a, "still_running"), []string{"102 db-1"}) || strings.Contains(a.Text, "No guest runs") {
			t.Errorf("%s", a.Text)
		}
		if args := undo(t, a); !strings.Contains(args, `"guests":"101"`) {
			t.Errorf("%s", args)
		}
	})
}

// If the node dies in the middle, nothing is said to have left it that has not, and the node is
// not said to be empty.
func TestDrainNodeDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 106)), Token: full})
		defer time.Sleep(2 * tool.HandleTime) // it waits for the node that long
		w.Host.Stays = true
		begun := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","parallel":1,"wait":0}`)
		handle, _ := begun.Fields["handle"].(string)
		time.Sleep(time.Minute)
		if err := w.Sim.SetOnline("pve2", false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Hour)
		a := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":1}`, handle))
		if strings.Contains(a.Text, "No guest runs on pve2") {
			t.Errorf("%s", a.Text)
		}
		fields, _ := a.Fields["change"].(map[string]any)
		if ok := list(sim.Answer{Fields: fields}, "ok"); len(ok) > 1 {
			t.Errorf("%s", a.Text)
		}
		if n := len(sim.Writes(w.Sent())); n > 2 { // none after the node has died
			t.Errorf("%d writes", n)
		}
		again := w.Call("pve_drain_node", `{"node":"pve2","action":"drain"}`)
		if again.Outcome != tool.Failed || !strings.Contains(again.Text, "offline") {
			t.Errorf("%s", again.Text)
		}
	})
}

// migrations are the guests whose migration was begun, in that order.
func migrations(w *sim.World) (out []int) {
	for _, r := range w.Sim.Requests() {
		if r.Method == "POST" && strings.HasSuffix(r.Endpoint, "/migrate") && r.Status == 200 {
			id, _ := strconv.Atoi(strings.Split(r.Path, "/")[4])
			out = append(out, id)
		}
	}
	return out
}

// many puts running VMs on shared storage on pve2, more than one call moves.
func many(n int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		g := m.Guests[slices.IndexFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID == 101 })]
		m.Guests, m.HARules, m.Volumes = nil, nil, nil
		for i := range n {
			one := g
			one.VMID, one.Config = 1000+i, maps.Clone(g.Config)
			one.Config["name"], one.Config["memory"] = fmt.Sprint("vm-", i), "512"
			one.Config["scsi0"] = fmt.Sprintf("nfs:%d/vm-%d-disk-0.qcow2,size=4G", one.VMID, one.VMID)
			m.Guests = append(m.Guests, one)
		}
	}
}

// A node of 300 guests is emptied in calls of 100, each of which says how many are left and has the
// next call ready. Each guest is begun once, and the requests are a few for each.
func TestDrainMany(t *testing.T) {
	effort.SkipShort(t)
	const guests = 300
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(many(guests)), Token: full})
		w.Host.Parallel = 16
		begun, plans := map[string]int{}, 0
		args := `{"node":"pve2","action":"drain","parallel":16,"confirm":true}`
		for call := 1; ; call++ {
			w.Sent()
			plan := w.Call("pve_drain_node", strings.TrimSuffix(args, "}")+`,"plan":true}`)
			if n := len(sim.WithoutTasks(w.Sent())); plan.Outcome != tool.Planned || n > 100*4+30 {
				t.Fatalf("%d requests for a plan: %s", n, plan.Text)
			}
			plans++
			a := drained(w, args)
			sent := sim.WithoutTasks(w.Sent())
			if n := len(sent); n > 100*20 {
				t.Errorf("%d requests", n)
			}
			if len(list(a, "ok")) != 100 {
				t.Fatalf("%s", a.Text)
			}
			for _, name := range list(a, "ok") {
				begun[name]++
			}
			then, _ := a.Fields["then"].(map[string]any)
			if then == nil {
				if a.Outcome != tool.OK || !strings.Contains(a.Text, "No guest runs on pve2 now.") {
					t.Errorf("%s", a.Text)
				}
				break
			}
			if want := fmt.Sprintf("%d guests still run on pve2, and %[1]d are left to move", guests-100*call); a.Outcome != tool.Warnings || !strings.Contains(a.Text, want) {
				t.Fatalf("%s", a.Text)
			}
			next, _ := then["arguments"].(map[string]any)
			if next["node"] != "pve2" || next["action"] != "drain" || next["parallel"] != 16.0 {
				t.Fatalf("%v", then)
			}
		}
		if plans != 3 || len(begun) != guests {
			t.Errorf("%d calls, %d guests", plans, len(begun))
		}
		if moves := migrations(w); len(moves) != guests {
			t.Errorf("%d migrations were begun", len(moves))
		}
	})
}

// Consent is by effect: more than three running guests interrupted, more than ten moved.
func TestDrainConsent(t *testing.T) {
	for _, tt := range []struct {
		model *pvesim.Model
		args  string
		asks  bool
	}{
		{sim.Cluster(many(10)), `"hold_ha":true`, false},
		{sim.Cluster(many(11)), `"hold_ha":true`, true},
		{sim.Cluster(only(200, 201, 202), onNode("pve2", 200, 201, 202)), `"hold_ha":true`, false},
		{sim.Cluster(only(200, 201, 202, 203), onNode("pve2", 200, 201, 202, 203)), `"hold_ha":true`, true},
		{sim.Cluster(only(200, 201, 202, 203), onNode("pve2", 200, 201, 202, 203)), `"containers":"leave"`, false},
	} {
		w := sim.New(t, sim.Options{Model: tt.model, Token: full})
		plan := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true,`+tt.args+`}`)
		if strings.Contains(plan.Text, "It needs consent") != tt.asks {
			t.Errorf("%s: %s", tt.args, plan.Text)
		}
	}
}

// The node is empty only if PVE lists nothing that runs there, to a token that sees all.
func TestDrainIsNotEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 109), sim.Set(109, "lock=")), Token: full})
		w.Host.Stays = true
		begun := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","wait":0}`)
		handle, _ := begun.Fields["handle"].(string)
		if a := w.Call("pve_guest_power", `{"vmid":109,"action":"start","wait":20}`); a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		time.Sleep(6 * time.Hour)
		a := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":1}`, handle))
		if !strings.Contains(a.Text, "1 guest still runs on pve2") || !strings.Contains(a.Text, "109 desktop") {
			t.Errorf("%s", a.Text)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := sim.Cluster(only(101, 102), func(m *pvesim.Model) {
			m.ACL = slices.DeleteFunc(m.ACL, func(a pvesim.ACL) bool { return a.Who == "ops@pve!mcp" })
			for _, path := range []string{"/vms/101", "/nodes", "/storage"} {
				for _, role := range []string{"PVEVMAdmin", "PVEAuditor", "PVEDatastoreUser"} {
					m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: "ops@pve!mcp", Role: role})
				}
			}
		})
		w := sim.New(t, sim.Options{Model: m, Token: "ops@pve!mcp"})
		a := drained(w, `{"node":"pve2","action":"drain","immovable":"leave"}`)
		if a.Outcome != tool.Warnings || !slices.Equal(list(a, "ok"), []string{"101 web-2"}) || !strings.Contains(a.Text, "102, which this token does not see") {
			t.Errorf("%s", a.Text)
		}
	})
}

// Without the ready call, the way back is taken from PVE's tasks, and the answer says what they do
// not tell.
func TestDrainReturnsByTasks(t *testing.T) {
	effort.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 104)), Token: full})
		drained(w, `{"node":"pve2","action":"drain"}`)
		other := w.As(full)
		plan := other.Call("pve_drain_node", `{"node":"pve2","action":"return","plan":true}`)
		if plan.Outcome != tool.Planned || !strings.Contains(plan.Text, "as PVE's tasks tell") {
			t.Errorf("%s", plan.Text)
		}
		a := drained(other, `{"node":"pve2","action":"return"}`)
		at := nodesOf(w, 101, 102, 104)
		if a.Outcome != tool.OK || at[101] != "pve2" || at[102] != "pve2" || at[104] != "pve1" {
			t.Errorf("%v: %s", at, a.Text)
		}
		if again := other.Call("pve_drain_node", `{"node":"pve2","action":"return"}`); again.Outcome != tool.OK || !strings.Contains(again.Text, "nothing to move") {
			t.Errorf("%s", again.Text)
		}
	})
}

// The guest that runs this server comes last, and the consent says that the server goes down if it
// is restarted.
func TestDrainOwnGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guests := []int{200, 201, 203}
		m := sim.Cluster(only(guests...), onNode("pve2", guests...), sim.Set(200, "net0=name=eth0,bridge=vmbr0,hwaddr=02:00:00:00:00:AA,type=veth"))
		w := sim.New(t, sim.Options{Model: m, Token: full})
		w.Host.OwnMACs = func() []string { return []string{"02:00:00:00:00:aa"} }
		plan := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true}`)
		if !strings.Contains(plan.Text, "200 proxy runs this server") || !strings.Contains(plan.Text, "It needs consent") {
			t.Errorf("%s", plan.Text)
		}
		w.Sent()
		drained(w, `{"node":"pve2","action":"drain","parallel":1,"confirm":true}`)
		moved := migrations(w)
		if len(moved) != len(guests) || moved[len(moved)-1] != 200 {
			t.Errorf("%v", moved)
		}
	})
}

// A protected guest lets the whole be refused, or is left.
func TestDrainProtected(t *testing.T) {
	rules, err := policy.ParseRules("102")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102)), Token: full, Policy: policy.Policy{Protect: rules}})
		a := w.Call("pve_drain_node", `{"node":"pve2","action":"drain"}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "102 db-1") || !strings.Contains(a.Text, "PVE_MCP_PROTECT") || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s", a.Text)
		}
		left := drained(w, `{"node":"pve2","action":"drain","immovable":"leave"}`)
		if left.Outcome != tool.Warnings || !slices.Equal(list(left, "still_running"), []string{"102 db-1"}) || nodesOf(w, 102)[102] != "pve2" {
			t.Errorf("%s", left.Text)
		}
	})
}

// Arguments that do not go together are refused in a sentence.
func TestDrainArguments(t *testing.T) {
	w := sim.New(t, sim.Options{Token: full})
	for args, says := range map[string]string{
		`{"node":"pve9","action":"drain"}`:                   "pve9",
		`{"node":"pve2","action":"drain","to":["pve2"]}`:     "names pve2 itself",
		`{"node":"pve2","action":"drain","to":["pve9"]}`:     "pve9",
		`{"node":"pve2","action":"drain","guests":"101"}`:    "for action return",
		`{"node":"pve2","action":"return","to":["pve1"]}`:    "for action drain",
		`{"node":"pve2","action":"return","guests":"nobod"}`: "nobod",
		`{"node":"pve2","action":"drain","parallel":17}`:     "PVE_MCP_PARALLEL",
		`{"node":"pve2"}`: "action",
	} {
		if a := w.Call("pve_drain_node", args); a.Outcome != tool.Failed || !strings.Contains(a.Text, says) || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s: %s", args, a.Text)
		}
	}
}

// Guests that are still on their way from a node are not said to be back.
func TestReturnDuringDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 106)), Token: full})
		w.Host.Stays = true
		w.Call("pve_drain_node", `{"node":"pve2","action":"drain","parallel":1,"wait":0}`)
		time.Sleep(10 * time.Second)
		back := w.As(full).Call("pve_drain_node", `{"node":"pve2","action":"return"}`)
		if back.Outcome != tool.Failed || !strings.Contains(back.Text, "a migration from pve2 is under way of") {
			t.Errorf("%s: %s", back.Outcome, back.Text)
		}
		time.Sleep(2 * tool.HandleTime)
	})
}
