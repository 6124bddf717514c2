package maintenance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// onboot lets guests start with their node.
func onboot(ids ...int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i, g := range m.Guests {
			if slices.Contains(ids, g.VMID) {
				m.Guests[i].Config["onboot"] = "1"
			}
		}
	}
}

// node changes a node of a model.
func node(name string, change func(*pvesim.Node)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Nodes {
			if m.Nodes[i].Name == name {
				change(&m.Nodes[i])
			}
		}
	}
}

// haPolicy sets what HA does with its guests on a node that goes down.
func haPolicy(word string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		m.Files = map[string][]pvesim.Section{"datacenter.cfg": {{Options: map[string]string{"ha": "shutdown_policy=" + word}}}}
	}
}

// ordered are the nodes to which orders to reboot or shut down were sent, in their order.
func ordered(w *sim.World) []string {
	var out []string
	for _, r := range w.Sim.Requests() {
		if r.Method == http.MethodPost && r.Endpoint == "/nodes/{node}/status" {
			out = append(out, strings.Split(strings.TrimPrefix(r.Path, "/api2/json"), "/")[2])
		}
	}
	return out
}

// followed calls pve_node_power, and follows the handle until the change is over.
func followed(w *sim.World, args string) sim.Answer {
	w.Helper()
	w.Host.Stays = true
	a := w.Call("pve_node_power", args)
	handle, _ := a.Fields["handle"].(string)
	for range 100 {
		if a.Outcome != tool.Running {
			return a
		}
		time.Sleep(time.Minute)
		seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":45}`, handle))
		a = sim.Answer{Fields: seen.Fields["change"].(map[string]any)}
		a.Text, a.Outcome = seen.Text, tool.Outcome(seen.Fields["state"].(string))
	}
	w.Errorf("%s: no end: %s", args, a.Text)
	return a
}

// A reboot is proven by a new uptime, quorum and the guests of the node, and by nothing else.
func TestNodeReboots(t *testing.T) {
	for _, tt := range []struct {
		name    string
		model   []func(*pvesim.Model)
		outcome tool.Outcome
		says    []string
	}{
		{"its guests run again", []func(*pvesim.Model){onboot(101, 102, 106)}, tool.OK, []string{"Node pve2 has rebooted and is up since", "quorum"}},
		{"some do not start by themselves", []func(*pvesim.Model){onboot(101)}, tool.Warnings, []string{"102 db-1", "106 win-2022", `\"guests\":\"102,106\"`}},
		{"one fails to start", []func(*pvesim.Model){onboot(101, 102, 106), sim.Guest(102, func(g *pvesim.Guest) { g.StartFails = []string{"no"} })}, tool.Warnings, []string{"1 guest that ran before", "102 db-1"}},
		{"one that was off starts with it", []func(*pvesim.Model){onboot(101, 102, 106, 109), sim.Guest(109, func(g *pvesim.Guest) { delete(g.Config, "lock") })}, tool.OK, nil},
		{"a slow boot", []func(*pvesim.Model){onboot(101, 102, 106), node("pve2", func(n *pvesim.Node) { n.BootTakes = 12 * time.Minute })}, tool.OK, []string{"has rebooted"}},
		{"it ignores the order", []func(*pvesim.Model){node("pve2", func(n *pvesim.Node) { n.IgnoresPower = true })}, tool.Failed, []string{"has not rebooted", "still up since"}},
		{"it has just booted and ignores the order", []func(*pvesim.Model){node("pve2", func(n *pvesim.Node) { n.IgnoresPower, n.Up = true, 3*time.Second })}, tool.Failed, []string{"has not rebooted"}},
		{"it boots and ignores the order", []func(*pvesim.Model){node("pve2", func(n *pvesim.Node) { n.IgnoresPower, n.Up = true, time.Second })}, tool.Failed, []string{"has not rebooted"}},
		{"it stays down", []func(*pvesim.Model){node("pve2", func(n *pvesim.Node) { n.StaysDown = true })}, tool.Failed, []string{"has not come back"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(tt.model...)})
				a := followed(w, `{"node":"pve2","action":"reboot","guests":"node:pve2","confirm":true,"wait":0}`)
				if a.Outcome != tt.outcome || !slices.Equal(ordered(w), []string{"pve2"}) {
					t.Errorf("%v %v: %s", a.Outcome, ordered(w), a.Text)
				}
				for _, want := range tt.says {
					if !strings.Contains(a.Text, want) {
						t.Errorf("does not say %q: %s", want, a.Text)
					}
				}
			})
		})
	}
}

// Nothing is sent while guests run there that were not named, to a node that a protected guest
// is on, without consent, without the privilege, or if guests may be hidden.
func TestNodePowerRefused(t *testing.T) {
	rules, err := policy.ParseRules("102")
	if err != nil {
		t.Fatal(err)
	}
	hiding := func(m *pvesim.Model) {
		m.Roles = map[string][]string{"Power": {"Sys.PowerMgmt", "Sys.Audit"}}
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "none@pve", Role: "Power"}, pvesim.ACL{Path: "/", Who: "none@pve!mcp", Role: "Power"})
	}
	for _, tt := range []struct {
		name, args, token string
		model             func(*pvesim.Model)
		policy            policy.Policy
		outcome           tool.Outcome
		says              []string
	}{
		{name: "unnamed", args: `"node":"pve2","action":"reboot","guests":"101,102"`, outcome: tool.Failed, says: []string{"106 win-2022", "201 dns", "2 guests run", "pve_drain_node"}},
		{name: "none named", args: `"node":"pve2","action":"shutdown"`, outcome: tool.Failed, says: []string{"4 guests run"}},
		{name: "unnamed, all nodes", args: `"node":"all","action":"shutdown","guests":"node:pve1,node:pve3"`, outcome: tool.Failed, says: []string{"4 guests run", "pve_bulk_action"}},
		{name: "unnamed, and its configuration cannot be read", args: `"node":"pve2","action":"reboot","guests":"101,106,201"`, outcome: tool.Failed, model: func(m *pvesim.Model) {
			m.Faults = append(m.Faults, pvesim.Fault{Match: "GET /nodes/pve2/qemu/102/config", Status: 500, Message: "no"})
		}, says: []string{"102 db-1", "1 guest runs"}},
		{name: "protected", args: `"node":"pve2","action":"reboot","guests":"all","confirm":true`, policy: policy.Policy{Protect: rules}, outcome: tool.Failed, says: []string{"PVE_MCP_PROTECT", "102"}},
		{name: "protected, all nodes", args: `"node":"all","action":"reboot","guests":"all","confirm":true`, policy: policy.Policy{Protect: rules}, outcome: tool.Failed, says: []string{"PVE_MCP_PROTECT"}},
		{name: "no consent", args: `"node":"pve2","action":"reboot","guests":"all"`, outcome: tool.NeedsConfirmation, says: []string{
			"4 guests go down with pve2", "3 of them do not start again with pve2 (no onboot): 101 web-2, 102 db-1 and 106 win-2022",
			"the cluster keeps its quorum: 2 of 3 votes remain while it is down, and 2 are needed", "HA has 1 guest on pve2 (201 dns): HA stops them with the node and keeps them there",
		}},
		{name: "no consent for an empty node", args: `"node":"pve2","action":"shutdown"`, model: func(m *pvesim.Model) {
			m.Guests = slices.DeleteFunc(m.Guests, func(g pvesim.Guest) bool { return g.Node == "pve2" })
		}, outcome: tool.NeedsConfirmation, says: []string{"no guest that this token sees runs on pve2"}},
		{name: "quorum is lost", args: `"node":"pve2","action":"reboot","guests":"all"`, model: node("pve3", func(n *pvesim.Node) { n.Offline = true }), outcome: tool.NeedsConfirmation,
			says: []string{"THE CLUSTER LOSES ITS QUORUM: 1 of 3 votes remain while it is down, and 2 are needed", "reset themselves"}},
		{name: "the own node", args: `"node":"pve1","action":"shutdown","guests":"all"`, outcome: tool.NeedsConfirmation, says: []string{"this server talks to the API through pve1"}},
		{name: "HA fails over", args: `"node":"pve3","action":"shutdown","guests":"all"`, outcome: tool.NeedsConfirmation, says: []string{"starts them on other nodes"}},
		{name: "HA migrates", args: `"node":"pve3","action":"reboot","guests":"all"`, model: haPolicy("migrate"), outcome: tool.NeedsConfirmation, says: []string{"HA moves them to other nodes before"}},
		{name: "HA freezes", args: `"node":"pve3","action":"shutdown","guests":"all"`, model: haPolicy("freeze"), outcome: tool.NeedsConfirmation, says: []string{"keeps them there"}},
		{name: "everything off", args: `"node":"all","action":"shutdown","guests":"all"`, outcome: tool.NeedsConfirmation, says: []string{"is off in the end: 0 of 3 votes remain", "HA may start guests"}},
		{name: "no privilege", args: `"node":"pve2","action":"reboot","guests":"all","confirm":true`, token: "ops@pve!mcp", outcome: tool.Failed, says: []string{"Sys.PowerMgmt", "/nodes/pve2"}},
		{name: "hidden guests", args: `"node":"pve2","action":"reboot","confirm":true`, token: "none@pve!mcp", model: hiding, outcome: tool.Failed, says: []string{"VM.Audit on /vms"}},
		{name: "hidden guests may go down", args: `"node":"pve2","action":"reboot","guests":"all"`, token: "none@pve!mcp", model: hiding, outcome: tool.NeedsConfirmation, says: []string{"does not see go down as well"}},
		{name: "no such node", args: `"node":"pve9","action":"reboot","confirm":true`, outcome: tool.Failed, says: []string{"pve1, pve2 and pve3"}},
		{name: "no such guest", args: `"node":"pve2","action":"reboot","guests":"tag:nope","confirm":true`, outcome: tool.Failed, says: []string{"nope"}},
		{name: "offline, to reboot", args: `"node":"pve3","action":"reboot","confirm":true`, model: node("pve3", func(n *pvesim.Node) { n.Offline = true }), outcome: tool.Failed, says: []string{"offline"}},
		{name: "offline, to shut down", args: `"node":"pve3","action":"shutdown","confirm":true`, model: node("pve3", func(n *pvesim.Node) { n.Offline = true }), outcome: tool.OK, says: []string{"offline by the cluster's view already"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := sim.Options{Token: full, Policy: tt.policy}
				if tt.token != "" {
					o.Token = tt.token
				}
				if tt.model != nil {
					o.Model = sim.Cluster(tt.model)
				}
				w := sim.New(t, o)
				a := w.Call("pve_node_power", "{"+tt.args+"}")
				if a.Outcome != tt.outcome || len(sim.Writes(w.Sent())) > 0 {
					t.Fatalf("%v: %s", a.Outcome, a.Text)
				}
				for _, want := range tt.says {
					if !strings.Contains(a.Text, want) {
						t.Errorf("does not say %q: %s", want, a.Text)
					}
				}
			})
		})
	}
}

// The guest in which this server runs is named, and its node goes after the others.
func TestNodePowerOwnGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		mac := ""
		for _, g := range w.Model.Guests {
			if g.VMID == 101 {
				mac = strings.TrimSuffix(strings.TrimPrefix(g.Config["net0"], "virtio="), ",bridge=vmbr0")
			}
		}
		w.Host.OwnMACs = func() []string { return []string{"02:00:00:00:00:01", strings.ToLower(mac)} }
		a := w.Call("pve_node_power", `{"node":"pve2","action":"reboot","guests":"all","plan":true}`)
		if !strings.Contains(a.Text, "101 web-2 runs this server: it has its MAC address "+mac) {
			t.Errorf("%s", a.Text)
		}
		for action, want := range map[string][]string{"reboot": {"pve3", "pve1", "pve2"}, "shutdown": {"pve3", "pve2", "pve1"}} {
			a := w.Call("pve_node_power", fmt.Sprintf(`{"node":"all","action":%q,"guests":"all","plan":true}`, action))
			var order []string
			for _, step := range a.Fields["steps"].([]any)[:3] {
				order = append(order, step.(string)[len(step.(string))-4:])
			}
			if !slices.Equal(order, want) {
				t.Errorf("%s: %v", action, order)
			}
		}
	})
}

// All nodes reboot one after another, each when the one before it is back, and that through
// which this server sees the others last.
func TestEveryNodeReboots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down []string
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(onboot(100, 101, 102, 104, 106, 108, 200, 202, 203)), Before: func(w *sim.World, req *http.Request) {
			if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/status") {
				for _, n := range w.As(full).Call("pve_cluster_status", `{}`).Fields["nodes"].([]any) {
					if n := n.(map[string]any); n["status"] != "online" {
						down = append(down, fmt.Sprint(n["node"]))
					}
				}
			}
		}})
		a := followed(w, `{"node":"all","action":"reboot","guests":"all","confirm":true}`)
		if a.Outcome != tool.OK || !slices.Equal(ordered(w), []string{"pve2", "pve3", "pve1"}) || down != nil {
			t.Errorf("%v %v, down meanwhile %v: %s", a.Outcome, ordered(w), down, a.Text)
		}
	})
}

// If a node does not come back, no other one goes down.
func TestEveryNodeRebootsUnlessOneStaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(node("pve2", func(n *pvesim.Node) { n.StaysDown = true }))})
		a := followed(w, `{"node":"all","action":"reboot","guests":"all","confirm":true}`)
		if a.Outcome == tool.OK || !slices.Equal(ordered(w), []string{"pve2"}) || !strings.Contains(a.Text, "Reboot of node pve3 was not begun") || strings.Contains(a.Text, "pve2: done") {
			t.Errorf("%v %v: %s", a.Outcome, ordered(w), a.Text)
		}
	})
}

// A node is off when the cluster sees it offline. Of the one through which this server sees
// the cluster, it says that it cannot know.
func TestNodesShutDown(t *testing.T) {
	for _, tt := range []struct {
		node    string
		model   *pvesim.Model
		outcome tool.Outcome
		order   []string
		says    []string
	}{
		{"pve3", nil, tool.OK, []string{"pve3"}, []string{"offline by the cluster's view: pve3"}},
		{"pve3", sim.Cluster(node("pve3", func(n *pvesim.Node) { n.IgnoresPower = true })), tool.Failed, []string{"pve3"}, []string{"not offline"}},
		{"pve1", nil, tool.Unknown, []string{"pve1"}, []string{"This server cannot see whether it is off"}},
		{"all", nil, tool.Unknown, []string{"pve2", "pve3", "pve1"}, []string{"This server cannot see whether it is off"}},
	} {
		t.Run(tt.node+" "+string(tt.outcome), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Model: tt.model})
				a := followed(w, fmt.Sprintf(`{"node":%q,"action":"shutdown","guests":"all","confirm":true,"wait":0}`, tt.node))
				if a.Outcome != tt.outcome || !slices.Equal(ordered(w), tt.order) {
					t.Errorf("%v %v: %s", a.Outcome, ordered(w), a.Text)
				}
				for _, want := range tt.says {
					if !strings.Contains(a.Text, want) {
						t.Errorf("does not say %q: %s", want, a.Text)
					}
				}
			})
		})
	}
}

// Another process says by the handle what became of the reboot, and sends nothing.
func TestNodeRebootsWithoutItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(onboot(101, 102, 106)), Wire: sim.Killed(1, false)})
		w.Host.Stays = true
		defer time.Sleep(2 * tool.HandleTime) // the killed server ends
		begun := make(chan string, 1)
		go func() {
			a := w.Call("pve_node_power", `{"node":"pve2","action":"reboot","guests":"all","confirm":true,"wait":0}`)
			handle, _ := a.Fields["handle"].(string)
			begun <- handle
		}()
		time.Sleep(30 * time.Minute)
		handle := <-begun
		if handle == "" || len(handle) > 2000 {
			t.Fatalf("handle of %d bytes", len(handle))
		}
		other := w.As(full)
		other.Sent()
		seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":1}`, handle))
		if seen.Fields["state"] != "ok" || len(sim.Writes(other.Sent())) > 0 {
			t.Errorf("%s", seen.Text)
		}
	})
}

// The wait shows what it waits for.
func TestNodePowerProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		a := w.Call("pve_node_power", `{"node":"pve2","action":"reboot","guests":"all","confirm":true,"wait":45}`)
		if len(a.Progress) < 2 || !strings.Contains(a.Progress[0].Message, "waits for") || a.Outcome != tool.Running {
			t.Errorf("%v: %s", a.Progress, a.Text)
		}
	})
}
