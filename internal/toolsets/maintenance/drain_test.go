package maintenance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// drained calls the tool and follows the change to its end.
func drained(w *sim.World, args string) sim.Answer {
	w.Helper()
	w.Host.Stays = true
	a := w.Call("pve_drain_node", strings.TrimSuffix(args, "}")+`,"wait":0}`)
	handle, _ := a.Fields["handle"].(string)
	for range 400 {
		if a.Outcome != tool.Running || handle == "" {
			return a
		}
		time.Sleep(time.Minute)
		if a = w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, handle)); a.Fields["change"] != nil {
			a.Fields, _ = a.Fields["change"].(map[string]any)
			a.Outcome = tool.Outcome(fmt.Sprint(a.Fields["outcome"]))
		}
	}
	w.Errorf("it has no end: %s", a.Text)
	return a
}

// nodesOf are the nodes of guests, as PVE shows them.
func nodesOf(w *sim.World, ids ...int) map[int]string {
	w.Helper()
	out := map[int]string{}
	for _, id := range ids {
		out[id] = fmt.Sprint(w.Call("pve_guest_status", fmt.Sprintf(`{"vmid":%d}`, id)).Fields["node"])
	}
	return out
}

// undo is the ready call of an answer.
func undo(t *testing.T, a sim.Answer) string {
	t.Helper()
	call, _ := a.Fields["undo"].(map[string]any)
	args, err := json.Marshal(call["arguments"])
	if err != nil || call["tool"] != "pve_drain_node" {
		t.Fatalf("no undo in %s", a.Text)
	}
	return string(args)
}

// only leaves some guests in the model, and no rules of HA.
func only(ids ...int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		m.Guests = slices.DeleteFunc(m.Guests, func(g pvesim.Guest) bool { return !slices.Contains(ids, g.VMID) })
		m.HARules = nil
	}
}

func pveVersion(v string) func(*pvesim.Model) { return func(m *pvesim.Model) { m.PVE = v } }

// Everything that runs leaves the node, the answer says what stays, and the ready call brings it
// back: by another process that knows nothing of it.
func TestDrain(t *testing.T) {
	for _, v := range effort.Of([]string{"9.2.0"}, []string{"8.4.1", "9.2.0"}, []string{"8.4.1", "9.2.0"}) {
		t.Run(v, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: sim.Cluster(pveVersion(v)), Token: full})
				plan := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true}`)
				if plan.Outcome != tool.Planned || len(sim.Writes(w.Sent())) > 0 || !strings.Contains(plan.Text, "by HA, restart") || !strings.Contains(plan.Text, "kept: 2 of 3 votes remain while pve2 is off, and 2 are needed") {
					t.Errorf("%s", plan.Text)
				}
				a := drained(w, fmt.Sprintf(`{"plan_handle":%q}`, plan.Fields["plan_handle"]))
				ok := list(a, "ok")
				slices.Sort(ok)
				if a.Outcome != tool.OK || !slices.Equal(ok, []string{"101 web-2", "102 db-1", "106 win-2022", "201 dns"}) || !strings.Contains(a.Text, "No guest runs on pve2 now.") {
					t.Fatalf("%s", a.Text)
				}
				for id, node := range nodesOf(w, 101, 102, 106, 201) {
					if node == "pve2" {
						t.Errorf("%d is still on %s", id, node)
					}
				}
				for id, node := range nodesOf(w, 109, 901) {
					if node != "pve2" {
						t.Errorf("%d has gone to %s", id, node)
					}
				}
				other := w.As(full)
				back := drained(other, undo(t, a))
				if back.Outcome != tool.OK || !strings.Contains(back.Text, "All of them are on pve2.") {
					t.Errorf("%s", back.Text)
				}
				for id, node := range nodesOf(w, 101, 102, 106, 201) {
					if node != "pve2" {
						t.Errorf("%d is on %s", id, node)
					}
				}
			})
		})
	}
}

// Of each guest that cannot move, the answer says why, and nothing begins unless it may go on
// without it.
func TestDrainObstacles(t *testing.T) {
	lone := only(101, 201)
	for _, tt := range []struct {
		name  string
		model []func(*pvesim.Model)
		args  string
		says  string
	}{
		{"lock", []func(*pvesim.Model){sim.Set(101, "lock=backup")}, ``, "locked"},
		{"CD that only the node has", []func(*pvesim.Model){sim.Set(101, "ide2=local:iso/debian-12.iso,media=cdrom")}, ``, "ide2"},
		{"local disks", nil, `,"local_disks":false`, "with_local_disks"},
		{"no such storage", []func(*pvesim.Model){func(m *pvesim.Model) { m.Storages[1].Nodes = []string{"pve2"} }}, ``, "has no storage local-zfs"},
		{"no room to copy", []func(*pvesim.Model){func(m *pvesim.Model) { m.Storages[1].UsedOn = map[string]int64{"pve1": 890 << 30, "pve3": 890 << 30} }}, ``, "would be copied there"},
		{"no such bridge", []func(*pvesim.Model){sim.Set(101, "net0=virtio=BC:24:11:00:00:01,bridge=vmbr7"), func(m *pvesim.Model) { m.Nodes[1].Bridges = []string{"vmbr7"} }}, ``, "vmbr7"},
		{"no memory", []func(*pvesim.Model){func(m *pvesim.Model) { m.Nodes[0].MemoryUsed, m.Nodes[2].MemoryUsed = 127<<30, 127<<30 }}, ``, "of memory to spare"},
		{"maintenance", []func(*pvesim.Model){func(m *pvesim.Model) { m.Nodes[0].Maintenance, m.Nodes[2].Maintenance = true, true }}, ``, "maintenance"},
		{"offline", []func(*pvesim.Model){func(m *pvesim.Model) { m.Nodes[2].Offline = true }}, `,"local_disks":false`, "with_local_disks"},
		{"linked clone", []func(*pvesim.Model){sim.Set(101, "scsi0=local-zfs:base-901-disk-0/vm-101-disk-0,size=32G"), volumes("local-zfs:base-901-disk-0/vm-101-disk-0")}, ``, "linked clone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: sim.Cluster(append([]func(*pvesim.Model){lone}, tt.model...)...), Token: full})
				a := w.Call("pve_drain_node", `{"node":"pve2","action":"drain"`+tt.args+`}`)
				if a.Outcome != tool.Failed || !strings.Contains(a.Text, "101 web-2") || !strings.Contains(a.Text, tt.says) || len(sim.Writes(w.Sent())) > 0 {
					t.Errorf("%s", a.Text)
				}
				plan := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true`+tt.args+`}`)
				if plan.Outcome != tool.Planned && plan.Outcome != tool.Warnings || !slices.Contains(list(plan, "cannot"), "101 web-2") {
					t.Errorf("%s", plan.Text)
				}
			})
		})
	}
}

// volumes adds volumes of pve2 to the model.
func volumes(ids ...string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for _, id := range ids {
			m.Volumes = append(m.Volumes, pvesim.Volume{ID: id, Node: "pve2", Content: "images", Format: "raw", Size: 32 << 30})
		}
	}
}

// What cannot move is left where it is if that is asked for, or shut down, and is started again
// on the way back.
func TestDrainImmovable(t *testing.T) {
	model := func() *pvesim.Model {
		return sim.Cluster(only(101, 104, 203), onNode("pve2", 101, 104, 203), sim.Set(101, "ide2=local:iso/debian-12.iso,media=cdrom"))
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(), Token: full})
		left := drained(w, `{"node":"pve2","action":"drain","immovable":"leave"}`)
		if left.Outcome != tool.Warnings || !slices.Equal(list(left, "still_running"), []string{"101 web-2"}) || !strings.Contains(left.Text, "1 guest still runs") {
			t.Errorf("%s", left.Text)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(), Token: full})
		a := drained(w, `{"node":"pve2","action":"drain","immovable":"shutdown","containers":"shutdown"}`)
		if a.Outcome != tool.OK || !strings.Contains(a.Text, "No guest runs on pve2 now.") {
			t.Fatalf("%s", a.Text)
		}
		if at := nodesOf(w, 101, 203); at[101] != "pve2" || at[203] == "pve2" {
			t.Errorf("%v", at)
		}
		back := drained(w, undo(t, a))
		if back.Outcome != tool.OK {
			t.Fatalf("%s", back.Text)
		}
		for _, id := range []int{101, 104, 203} {
			is := w.Call("pve_guest_status", fmt.Sprintf(`{"vmid":%d}`, id)).Fields
			if is["node"] != "pve2" || is["status"] != "running" {
				t.Errorf("%d: %v on %v", id, is["status"], is["node"])
			}
		}
	})
}

// onNode puts guests on a node, where they run.
func onNode(node string, ids ...int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Guests {
			if g := &m.Guests[i]; slices.Contains(ids, g.VMID) {
				g.Node, g.Running, g.HA = node, true, ""
			}
		}
		for i := range m.Volumes {
			for _, id := range ids {
				if v := &m.Volumes[i]; strings.Contains(v.ID, fmt.Sprintf("-%d-", id)) && v.Node != "" {
					v.Node = node
				}
			}
		}
	}
}
