package maintenance_test

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

// underHA puts guests under HA, which prefers pve2 for them: by a rule, or before PVE 9 by a
// group.
func underHA(v string, ids ...int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		m.PVE, m.HAGroups, m.HARules = v, nil, nil
		var sids []string
		for i := range m.Guests {
			g := &m.Guests[i]
			if !slices.Contains(ids, g.VMID) {
				continue
			}
			g.HA = "started"
			sids = append(sids, map[string]string{"qemu": "vm", "lxc": "ct"}[g.Kind]+fmt.Sprint(":", g.VMID))
			if v < "9" {
				g.HAOptions = map[string]string{"group": "home"}
			}
		}
		if v < "9" {
			m.HAGroups = []pvesim.HASection{{ID: "home", Type: "group", Options: map[string]string{"nodes": "pve2:2,pve1:1,pve3:1"}}}
			return
		}
		m.HARules = []pvesim.HASection{{ID: "home", Type: "node-affinity", Options: map[string]string{"resources": strings.Join(sids, ","), "nodes": "pve2:2,pve1:1,pve3:1"}}}
	}
}

// failback says of a guest, as PVE shows it, whether HA may move it back.
func failback(w *sim.World, v string, id int) string {
	path := fmt.Sprintf("/cluster/ha/resources/vm:%d", id)
	if v < "9" {
		path = "/cluster/ha/groups/home"
	}
	a := w.Call("pve_api_read", fmt.Sprintf(`{"path":%q}`, path))
	data, _ := a.Fields["data"].(map[string]any)
	return fmt.Sprint("failback ", data["failback"], ", nofailback ", data["nofailback"])
}

// HA is kept from moving guests back for as long as they are away. That needs consent, and a token
// that may do so; on PVE 8 it concerns all members of the group.
func TestDrainHoldsFailback(t *testing.T) {
	for _, v := range []string{"8.4.1", "9.2.0"} {
		t.Run(v, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				managed := []int{101, 102}
				if v < "9" {
					managed = append(managed, 104) // on another node
				}
				w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 104), underHA(v, managed...)), Token: full})
				before := failback(w, v, 101)
				asked := w.Call("pve_drain_node", `{"node":"pve2","action":"drain"}`)
				names := "the failback of 101 web-2, 102 db-1 is held until return"
				if v < "9" {
					names = "the failback of the HA group home is held until return, for all its members: 101 web-2, 102 db-1, 104 mail"
				}
				if asked.Outcome != tool.NeedsConfirmation || !strings.Contains(asked.Text, names) || len(sim.Writes(w.Sent())) > 0 {
					t.Fatalf("%s", asked.Text)
				}
				a := drained(w, `{"node":"pve2","action":"drain","confirm":true}`)
				if a.Outcome != tool.OK || !strings.Contains(a.Text, "the failback of 101, 102 is held until return") {
					t.Fatalf("%s", a.Text)
				}
				if now := failback(w, v, 101); now == before || !strings.Contains(now, "failback 0") && !strings.Contains(now, "nofailback 1") {
					t.Errorf("%s, and before %s", now, before)
				}
				time.Sleep(10 * time.Minute)
				for id, node := range nodesOf(w, 101, 102) {
					if node == "pve2" {
						t.Errorf("HA has moved %d back", id)
					}
				}
				back := drained(w.As(full), undo(t, a))
				if back.Outcome != tool.OK {
					t.Fatalf("%s", back.Text)
				}
				if now := failback(w, v, 101); strings.Contains(now, "failback 0") && v > "9" || strings.Contains(now, "nofailback 1") {
					t.Errorf("%s, and before %s", now, before)
				}
				for id, node := range nodesOf(w, 101, 102) {
					if node != "pve2" {
						t.Errorf("%d is on %s", id, node)
					}
				}
			})
		})
	}
}

// A token that may not hold HA back is said to have none of it.
func TestDrainCannotHold(t *testing.T) {
	for token, says := range map[string]string{
		"ops@pve!mcp": "HA will bring back by itself, as soon as it can: 101 web-2, 102 db-1 (this token lacks Sys.Console on /",
		full:          "(hold_ha is false)",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 104), underHA("9.2.0", 101, 102)), Token: token})
			args := `{"node":"pve2","action":"drain","plan":true}`
			if token == full {
				args = `{"node":"pve2","action":"drain","plan":true,"hold_ha":false}`
			}
			a := w.Call("pve_drain_node", args)
			if a.Outcome != tool.Planned || !strings.Contains(a.Text, says) || strings.Contains(a.Text, "It needs consent") {
				t.Errorf("%s", a.Text)
			}
		})
	}
}

// What is not held, HA brings back, as the answer has said.
func TestDrainUnheldComesBack(t *testing.T) {
	for _, v := range []string{"8.4.1", "9.2.0"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102), underHA(v, 101, 102)), Token: full})
			drained(w, `{"node":"pve2","action":"drain","hold_ha":false}`)
			time.Sleep(10 * time.Minute)
			for id, node := range nodesOf(w, 101, 102) {
				if node != "pve2" {
					t.Errorf("%s: %d is on %s", v, id, node)
				}
			}
		})
	}
}

// Rules of HA: guests that stay together go to the same node, those that are kept apart to
// different ones, and a strict rule leaves no choice.
func TestDrainFollowsRules(t *testing.T) {
	rule := func(typ string, options ...string) pvesim.HASection {
		s := pvesim.HASection{ID: typ + "-1", Type: typ, Options: map[string]string{}}
		for _, o := range options {
			key, value, _ := strings.Cut(o, "=")
			s.Options[key] = value
		}
		return s
	}
	for _, tt := range []struct {
		name string
		rule pvesim.HASection
		good func(at map[int]string) bool
	}{
		{"together", rule("resource-affinity", "resources=vm:101,vm:102,vm:106", "affinity=positive"), func(at map[int]string) bool {
			return at[101] == at[102] && at[102] == at[106] && at[101] != "pve2"
		}},
		{"apart", rule("resource-affinity", "resources=vm:101,vm:102", "affinity=negative"), func(at map[int]string) bool {
			return at[101] != at[102] && at[101] != "pve2" && at[102] != "pve2"
		}},
		{"apart from one elsewhere", rule("resource-affinity", "resources=vm:101,vm:104", "affinity=negative"), func(at map[int]string) bool {
			return at[101] == "pve3" && at[102] != "pve2" && at[106] != "pve2"
		}},
		{"strict", rule("node-affinity", "resources=vm:101,vm:102,vm:106", "nodes=pve2,pve3", "strict=1"), func(at map[int]string) bool {
			return at[101] == "pve3" && at[102] == "pve3" && at[106] == "pve3"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102, 104, 106), underHA("9.2.0", 101, 102, 104, 106), func(m *pvesim.Model) {
					m.HARules = []pvesim.HASection{tt.rule}
				}), Token: full})
				a := drained(w, `{"node":"pve2","action":"drain","confirm":true}`)
				if at := nodesOf(w, 101, 102, 106); a.Outcome != tool.OK || !tt.good(at) {
					t.Errorf("%v: %s", at, a.Text)
				}
			})
		})
	}
}

// Guests that a rule keeps apart and for which only one node is left cannot all move.
func TestDrainTwoNodesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 102), underHA("9.2.0", 101, 102), func(m *pvesim.Model) {
			m.Nodes = m.Nodes[:2]
			m.Volumes = slices.DeleteFunc(m.Volumes, func(v pvesim.Volume) bool { return v.Node == "pve3" })
			m.Tasks = nil
			m.HARules = []pvesim.HASection{{ID: "apart", Type: "resource-affinity", Options: map[string]string{"resources": "vm:101,vm:102", "affinity": "negative"}}}
		}), Token: full})
		a := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true}`)
		if !strings.Contains(a.Text, "from which the HA rule apart keeps") || !strings.Contains(a.Text, "LOST: 1 of 2 votes remain while pve2 is off, and 2 are needed") {
			t.Errorf("%s", a.Text)
		}
	})
}
