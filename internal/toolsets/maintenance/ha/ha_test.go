package ha_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	everyone = "root@pam!full"
	operator = "ops@pve!mcp"
	nobody   = "none@pve!mcp" // has what it is granted
	eight    = "8.4.1"
	nine     = "9.2.0"
)

// on runs a test on a cluster of some versions of PVE.
func on(t *testing.T, versions []string, test func(t *testing.T, m *pvesim.Model)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, sim.Cluster(sim.Version(version))) })
		})
	}
}

func want(t *testing.T, a sim.Answer, outcome tool.Outcome, says ...string) {
	t.Helper()
	if outcome != "" && a.Outcome != outcome {
		t.Errorf("outcome %s, want %s: %s", a.Outcome, outcome, a.Text)
	}
	for _, text := range says {
		if !strings.Contains(a.Text, text) {
			t.Errorf("no %q in %s", text, a.Text)
		}
	}
}

// read is what PVE has at a path.
func read(w *sim.World, path string) any {
	return w.As(everyone).Call("pve_api_read", fmt.Sprintf(`{"path":%q,"limit":500}`, path)).Fields["data"]
}

// undo makes the call that takes a change back.
func undo(t *testing.T, w *sim.World, a sim.Answer) sim.Answer {
	t.Helper()
	call, _ := a.Fields["undo"].(map[string]any)
	args, _ := call["arguments"].(map[string]any)
	if args == nil {
		t.Fatalf("no undo: %s", a.Text)
	}
	args["confirm"] = true
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return w.Call("pve_set_ha", string(text))
}

// An answer has what HA manages by kind and how old that is, and never says that HA works.
func TestShow(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		a := w.Call("pve_ha", `{}`)
		want(t, a, "", "HA manages 2 guests, 2 in the state that is wanted, as its manager reports.", `"wanted":"started","state":"started","count":2,"on":["201 dns on pve2","103 db-2 on pve3"]`, `"quorum":"OK"`, "reported ")
		if strings.Contains(a.Text, "problems") {
			t.Error(a.Text)
		}
		want(t, w.Call("pve_ha", `{"vmid":"db-2"}`), "", "HA reports 103 db-2 as started on pve3; wanted: started.", `"settings":{"state":"started","type":"vm"}`)
		want(t, w.Call("pve_ha", `{"vmid":100}`), "", "HA does not manage 100 web-1: it does not come up elsewhere if its node fails.")
		want(t, w.Call("pve_ha", `{"node":"pve9"}`), "", "There is no node")
		if m.PVE == nine {
			want(t, a, "", `"rules":[{"name":"db-2-home","wants":"103 db-2 rather on pve3:2,pve2:1"}]`)
		}
	})
}

// What is wrong comes first, worst first, with what to do.
func TestProblems(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		for _, change := range []func(*pvesim.Model){
			sim.Guest(102, func(g *pvesim.Guest) { g.HA = "error" }), sim.Guest(104, func(g *pvesim.Guest) { g.HA = "started" }),
			sim.Guest(100, func(g *pvesim.Guest) { g.HA = "ignored" }),
		} {
			change(m)
		}
		m.Nodes[0].Offline = true
		m.Nodes[0], m.Nodes[1] = m.Nodes[1], m.Nodes[0]
		for id, options := range map[string]string{
			"alone": "resource-affinity positive vm:103", "many": "resource-affinity negative vm:102,vm:103,vm:104,ct:201", "with": "resource-affinity positive vm:102,vm:103,ct:201",
			"gone": "node-affinity pve9 vm:100",
		} {
			f := strings.Fields(options)
			s := pvesim.HASection{ID: id, Type: f[0], Options: map[string]string{"resources": f[2], "affinity": f[1]}}
			if f[0] == "node-affinity" {
				s.Options = map[string]string{"resources": f[2], "nodes": f[1]}
			}
			m.HARules = append(m.HARules, s)
		}
		m.Replications = []pvesim.Replication{{ID: "103-0", Target: "pve2", Synced: 3 * time.Hour, Tried: time.Minute, Fails: 2, Error: "no tunnel IP"}}
		a := sim.New(t, sim.Options{Model: m, Token: everyone}).Call("pve_ha", `{}`)
		want(t, a, "", "the worst: in error", `"on":["102 db-1"],"next":"Find out why`, `"fix":{"tool":"pve_set_ha","arguments":{"change":"update","resource":"vm:102","state":"disabled"}}`,
			"HA's agent does not report, and guests of HA are there", `"on":["pve1 (last `, `"name":"many"`, "4 guests are to be apart, and there are 3 nodes", "it contradicts the rule with",
			"fewer than two guests", "there is no node pve9", "HA does not manage 100 web-1", "replication fails", `"job":"103-0","guest":"103 db-2","to":"pve2","schedule":"every 15 minutes","last_success":"3h ago"`, `"fails":2,"error":"no tunnel IP"`)
	})
}

// What a token cannot see is blind, and not well.
func TestBlind(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		sim.Grant("/vms/103", "PVEVMUser")(m)
		a := sim.New(t, sim.Options{Model: m, Token: nobody}).Call("pve_ha", `{}`)
		want(t, a, "", "HA cannot be seen: see blind.", `"missing":"Sys.Audit on /"`, `"missing":"VM.Audit on /vms"`)
	})
}

// An answer about a large cluster is short.
func TestShowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Sized(1, 30, 400, 100)
		for i := range m.Guests {
			m.Guests[i].HA = []string{"started", "stopped", "started", "error", "ignored"}[i%5]
			if i%3 == 0 && i < 150 {
				m.HARules = append(m.HARules, pvesim.HASection{ID: fmt.Sprintf("r%d", i), Type: "node-affinity", Options: map[string]string{"nodes": m.Nodes[0].Name, "resources": fmt.Sprintf("vm:%d", m.Guests[i].VMID)}})
			}
		}
		a := sim.New(t, sim.Options{Model: &m, Token: everyone}).Call("pve_ha", `{}`)
		if len(a.Text) > 7000 || !strings.Contains(a.Text, `"left_out":["`) {
			t.Errorf("%d bytes: %s", len(a.Text), a.Text)
		}
	})
}

// A guest is put under HA, changed, and taken out; each answer says what HA reports, and each
// undo leads back.
func TestResource(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		call := func(args string) sim.Answer { return w.Call("pve_set_ha", args) }
		a := call(`{"change":"add","resource":"web-2","max_restart":2}`)
		want(t, a, tool.OK, "HA for 101 web-2: done. HA reports 101 web-2 as started on pve2.", `"max_restart":"2"`, `"undo":{"tool":"pve_set_ha","arguments":{"change":"remove","resource":"vm:101"}}`)
		want(t, a, "", `"notes":["only its node has scsi0 on local-zfs: it cannot come up elsewhere`)
		want(t, call(`{"change":"add","resource":"101"}`), tool.Failed, "HA manages 101 web-2 already")
		before := read(w, "/cluster/ha/resources/vm:101")

		a = call(`{"change":"update","resource":"vm:101","max_restart":3,"comment":"x"}`)
		want(t, a, tool.OK, `"before":{"max_restart":"2"}`, `"comment":"x"`)
		want(t, undo(t, w, a), tool.OK)
		if diff := cmp.Diff(before, read(w, "/cluster/ha/resources/vm:101")); diff != "" {
			t.Errorf("after the undo (-before +now):\n%s", diff)
		}
		want(t, call(`{"change":"update","resource":"vm:101","max_restart":2}`), tool.OK, "it is so already")

		a = call(`{"change":"update","resource":"101","state":"stopped"}`)
		want(t, a, tool.NeedsConfirmation, "HA shuts down 101 web-2, which runs on pve2")
		a = call(`{"change":"update","resource":"101","state":"stopped","confirm":true,"wait":0}`)
		want(t, a, tool.Running, "HA is not done yet", "pve_task_status: handle and wait")
		time.Sleep(time.Minute)
		a = undo(t, w, a)
		want(t, a, tool.OK, "HA reports 101 web-2 as started on pve2")

		a = call(`{"change":"update","resource":"101","state":"ignored","confirm":true}`)
		want(t, a, tool.OK)
		a = call(`{"change":"remove","resource":"101","confirm":true}`)
		want(t, a, tool.OK, "HA no longer manages 101 web-2, which stays as it is")
		want(t, undo(t, w, a), tool.OK)
	})
}

// Failback is held with one argument: of the resource on PVE 9, of the group on PVE 8.
func TestFailback(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		a := w.Call("pve_set_ha", `{"change":"update","resource":"vm:103","failback":false}`)
		want(t, a, tool.OK, `"after":{"failback":"0"}`, `"arguments":{"change":"update","failback":true,"resource":"vm:103"}`)
		want(t, undo(t, w, a), tool.OK, `"before":{"failback":"0"}`)
	})
	on(t, []string{eight}, func(t *testing.T, m *pvesim.Model) {
		m.HAGroups = []pvesim.HASection{{ID: "prefer", Type: "group", Options: map[string]string{"nodes": "pve2,pve3:2"}}}
		sim.Guest(103, func(g *pvesim.Guest) { g.HAOptions = map[string]string{"group": "prefer"} })(m)
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		want(t, w.Call("pve_set_ha", `{"change":"update","resource":"vm:103","failback":false}`), tool.Failed, "its group (prefer) has", "set_group")
		a := w.Call("pve_set_ha", `{"change":"set_group","name":"prefer","failback":false}`)
		want(t, a, tool.OK, "HA group prefer, of 1 guest: 103 db-2", `"after":{"nofailback":"1"}`)
		want(t, undo(t, w, a), tool.OK)
		want(t, w.Call("pve_set_ha", `{"change":"set_rule","name":"x","resources":["103"],"nodes":["pve1"]}`), tool.Failed, "PVE 8 has no HA rules")
	})
}

// A move is what HA's manager does: the end is what it reports.
func TestMove(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		const call = `{"change":"migrate","resource":"103","node":"pve2"`
		want(t, w.Call("pve_set_ha", call+`}`), tool.NeedsConfirmation, "103 db-2 moves from pve3 to pve2")
		want(t, w.Call("pve_set_ha", call+`,"confirm":true,"wait":3}`), tool.Running, "HA is not done yet. HA reports 103 db-2 as ")
		time.Sleep(time.Minute)
		want(t, w.Call("pve_set_ha", `{"change":"relocate","resource":"ct:201","node":"pve3"}`), tool.NeedsConfirmation, "is stopped on pve2, and started on pve3: an outage")
		want(t, w.Call("pve_set_ha", `{"change":"relocate","resource":"ct:201","node":"pve3","confirm":true,"wait":50}`), tool.OK, "HA reports 201 dns as started on pve3")
		want(t, w.Call("pve_set_ha", `{"change":"migrate","resource":"100","node":"pve3"}`), tool.Failed, "HA does not manage 100 web-1")
	})
}

// A rule says first what it moves; one that cannot be fulfilled is refused.
func TestRules(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		for _, id := range []int{101, 102, 104} {
			sim.Guest(id, func(g *pvesim.Guest) { g.HA = "started" })(m)
		}
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		call := func(args string) sim.Answer { return w.Call("pve_set_ha", args) }
		want(t, call(`{"change":"set_rule","name":"only","resources":["104"],"nodes":["pve2","pve3"],"strict":true,"plan":true}`), tool.Planned, "HA moves 104 mail from pve1 to pve2 or pve3")
		want(t, call(`{"change":"set_rule","name":"only","resources":["104"],"nodes":["pve2"],"strict":true}`), tool.NeedsConfirmation)
		want(t, call(`{"change":"set_rule","name":"apart","resources":["web-2","db-1"],"affinity":"negative"}`), tool.NeedsConfirmation, "HA moves 101 web-2 and 102 db-1 from pve2, except one of them")
		want(t, call(`{"change":"set_rule","name":"apart","resources":["101","102","103","104"],"affinity":"negative"}`), tool.Failed, "4 guests are to be apart, and there are 3 nodes")
		want(t, call(`{"change":"set_rule","name":"twice","resources":["103"],"nodes":["pve1"]}`), tool.Failed, "is in the rule db-2-home too")
		want(t, call(`{"change":"set_rule","name":"un","resources":["100"],"nodes":["pve1"]}`), tool.Failed, "HA does not manage 100 web-1")
		want(t, call(`{"change":"set_rule","name":"un","resources":["104"],"nodes":["pve7"]}`), tool.Failed, `has \"pve7\"; there is pve1`)

		a := call(`{"change":"set_rule","name":"home","resources":["104"],"nodes":["pve1:2","pve2"]}`)
		want(t, a, tool.OK, `"nodes":"pve1:2,pve2"`, `"arguments":{"change":"remove_rule","name":"home"}`)
		want(t, call(`{"change":"set_rule","name":"home","affinity":"negative"}`), tool.Failed, "this one is about nodes")
		before := read(w, "/cluster/ha/rules/home")
		a = call(`{"change":"set_rule","name":"home","enabled":false}`)
		want(t, a, tool.NeedsConfirmation, "its guests may run anywhere")
		a = call(`{"change":"set_rule","name":"home","enabled":false,"confirm":true}`)
		want(t, a, tool.OK, `"after":{"disable":"1"}`)
		want(t, undo(t, w, a), tool.OK)
		a = call(`{"change":"remove_rule","name":"home","confirm":true}`)
		want(t, a, tool.OK)
		want(t, undo(t, w, a), tool.OK)
		if diff := cmp.Diff(withoutDigest(before), withoutDigest(read(w, "/cluster/ha/rules/home"))); diff != "" {
			t.Errorf("after the undo (-before +now):\n%s", diff)
		}
		want(t, call(`{"change":"set_group","name":"x","nodes":["pve1"]}`), tool.Failed, "migrated to rules")
		want(t, call(`{"change":"remove","resource":"103","plan":true}`), tool.Planned, "the rule db-2-home is deleted: it names nothing else")
	})
}

func withoutDigest(v any) any {
	object, _ := v.(map[string]any)
	for _, key := range []string{"digest", "order", "strict", "disable"} {
		delete(object, key)
	}
	return object
}

// A resource in error is disabled first.
func TestError(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		sim.Guest(102, func(g *pvesim.Guest) { g.HA = "error" })(m)
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		want(t, w.Call("pve_set_ha", `{"change":"update","resource":"102","state":"started"}`), tool.Failed, "is in error", "state: disabled")
		want(t, w.Call("pve_set_ha", `{"change":"update","resource":"102","state":"disabled"}`), tool.NeedsConfirmation, "HA shuts down 102 db-1")
		want(t, w.Call("pve_set_ha", `{"change":"update","resource":"102","state":"disabled","confirm":true,"wait":55}`), tool.OK)
		want(t, w.Call("pve_set_ha", `{"change":"update","resource":"102","state":"started","wait":55}`), tool.OK, "as started on pve2")
	})
}

// Replication is made, held and removed, with its schedule in words.
func TestReplication(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		call := func(args string) sim.Answer { return w.Call("pve_set_ha", args) }
		a := call(`{"change":"replicate","resource":"db-1","node":"pve3","schedule":"every 15 minutes"}`)
		want(t, a, tool.OK, "Replication 102-0 of 102 db-1 from pve2 to pve3, every 15 minutes", `"schedule":"*/15"`, `"arguments":{"change":"remove_replication","name":"102-0"}`)
		a = call(`{"change":"replicate","resource":"102","schedule":"every night at 2","rate":"50"}`)
		want(t, a, tool.OK, `"before":{"schedule":"*/15"}`, `"schedule":"02:00"`)
		want(t, undo(t, w, a), tool.OK)
		a = call(`{"change":"replicate","name":"102-0","enabled":false}`)
		want(t, a, tool.NeedsConfirmation, "no copy of 102 db-1 is made any more")
		want(t, call(`{"change":"replicate","name":"102-0","enabled":false,"confirm":true}`), tool.OK)
		want(t, call(`{"change":"run_replication","name":"102-0"}`), tool.Failed, "is disabled")
		want(t, call(`{"change":"replicate","name":"102-0","enabled":true}`), tool.OK)
		want(t, call(`{"change":"run_replication","name":"102-0","wait":0}`), tool.Running, "has not ended a run since")
		time.Sleep(2 * time.Minute)
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(40 * time.Second)))
		want(t, call(`{"change":"run_replication","resource":"db-1","wait":45}`), tool.OK, "The replication job 102-0 has copied 102 db-1 to pve3")
		want(t, w.Call("pve_ha", `{"vmid":102}`), "", `"last_success":"`, `s ago"`)
		want(t, call(`{"change":"replicate","resource":"102","node":"pve2"}`), tool.Failed, "where 102 db-1 is")
		want(t, call(`{"change":"replicate","resource":"102","node":"pve1","schedule":"whenever"}`), tool.Failed, "no schedule that PVE takes")
		want(t, call(`{"change":"remove_replication","resource":"102"}`), tool.NeedsConfirmation, "the copies on pve3 are deleted")
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(100 * time.Second))) // PVE removes jobs every minute
		want(t, call(`{"change":"remove_replication","resource":"102","confirm":true,"wait":45}`), tool.OK, "is gone")
		want(t, w.As(operator).Call("pve_set_ha", `{"change":"add","resource":"101"}`), tool.Failed, "Sys.Console")
	})
}

// A protected guest is held by HA's changes, too, and by rules that name it.
func TestProtected(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		protect, err := policy.ParseRules("103")
		if err != nil {
			t.Fatal(err)
		}
		w := sim.New(t, sim.Options{Model: m, Token: everyone, Policy: policy.Policy{Protect: protect}})
		for _, args := range []string{
			`{"change":"update","resource":"103","state":"stopped","confirm":true}`, `{"change":"remove","resource":"103","confirm":true}`, `{"change":"migrate","resource":"103","node":"pve2","confirm":true}`,
			`{"change":"update","resource":"103","failback":false}`, `{"change":"remove_rule","name":"db-2-home","confirm":true}`, `{"change":"set_rule","name":"db-2-home","nodes":["pve1"],"confirm":true}`,
			`{"change":"replicate","resource":"103","node":"pve2"}`,
		} {
			want(t, w.Call("pve_set_ha", args), tool.Failed, "guest 103 is protected")
			if writes := sim.Writes(w.Sent()); len(writes) > 0 {
				t.Errorf("%s: sent %q", args, writes)
			}
		}
	})
}

// A change made meanwhile by somebody else is not overwritten.
func TestMeanwhile(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		a := w.Call("pve_set_ha", `{"change":"update","resource":"103","max_restart":5,"plan":true}`)
		want(t, w.Call("pve_set_ha", `{"change":"update","resource":"103","max_restart":7}`), tool.OK)
		handle, _ := a.Fields["plan_handle"].(string)
		want(t, w.Call("pve_set_ha", fmt.Sprintf(`{"plan_handle":%q}`, handle)), tool.Failed, "the plan no longer holds")
	})
}

// A rule that moves a guest ends when HA's manager reports it where the rule wants it.
func TestRuleMoves(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		sim.Guest(104, func(g *pvesim.Guest) { g.HA = "started" })(m)
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		const call = `{"change":"set_rule","name":"only","resources":["104"],"nodes":["pve2"],"strict":true,"confirm":true`
		a := w.Call("pve_set_ha", call+`,"wait":1}`)
		want(t, a, tool.Running, "HA is not done yet. HA moves 104 mail from pve1 to pve2")
		time.Sleep(3 * time.Minute)
		want(t, w.Call("pve_ha", `{"vmid":104}`), "", "HA reports 104 mail as started on pve2", `"wants":"104 mail only on pve2"`)
		a = w.Call("pve_set_ha", `{"change":"set_rule","name":"only","nodes":["pve3"],"confirm":true,"wait":45}`)
		want(t, a, tool.OK, "HA reports its guests where the rules want them.", `"before":{"nodes":"pve2"},"after":{"nodes":"pve3"}`)
		want(t, w.Call("pve_guest_status", `{"vmid":104}`), "", `"node":"pve3"`)
	})
}

// While a node is lost and its guests come up elsewhere, the answer says how far HA is.
func TestLostNode(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		m.Nodes[2].Offline = true
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		want(t, w.Call("pve_ha", `{}`), "", "HA's agent does not report, and guests of HA are there", `"on":["pve3 (last `)
		time.Sleep(90 * time.Second)
		a := w.Call("pve_ha", `{}`)
		want(t, a, "", "103 db-2")
		if !strings.Contains(a.Text, "fenced") && !strings.Contains(a.Text, "no node can take it") && !strings.Contains(a.Text, "looks for a node") {
			t.Error(a.Text)
		}
		time.Sleep(5 * time.Minute)
		want(t, w.Call("pve_ha", `{}`), "", "the worst: in error", `"on":["103 db-2"]`) // its disks were local
	})
}

// Disarming says what is at stake, and ends when HA says that it is disarmed.
func TestDisarm(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		want(t, w.Call("pve_set_ha", `{"change":"arm"}`), tool.OK, "HA is not disarmed")
		want(t, w.Call("pve_set_ha", `{"change":"disarm"}`), tool.NeedsConfirmation, "none of 2 guests of HA comes up elsewhere")
		a := w.Call("pve_set_ha", `{"change":"disarm","confirm":true,"wait":5}`)
		want(t, a, tool.Running, "HA is not done yet. HA reports itself as armed")
		time.Sleep(time.Minute)
		want(t, w.Call("pve_ha", `{}`), "", "HA is disarmed: no guest is recovered from a failed node", `"fix":{"tool":"pve_set_ha","arguments":{"change":"arm"}}`)
		want(t, undo(t, w, a), tool.OK, "HA reports itself as armed (CRM watchdog active)")
	})
	on(t, []string{eight}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		want(t, w.Call("pve_set_ha", `{"change":"disarm","confirm":true}`), tool.Failed, "PVE can do that from 9.2 on")
	})
}

// A run that fails says why.
func TestReplicationFails(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		m.Replications = []pvesim.Replication{{ID: "103-0", Target: "pve2", Synced: time.Hour, Tried: time.Minute, Fails: 1, Error: "no tunnel IP"}}
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		time.Sleep(50 * time.Second)
		want(t, w.Call("pve_set_ha", `{"change":"run_replication","resource":"103","wait":45}`), tool.Failed, "The replication job 103-0 failed: no tunnel IP")
	})
}
