package whatif_test

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

const full = "root@pam!full"

// shared puts the disks of guests on the storage nfs, which every node has.
func shared(ids ...int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i, g := range m.Guests {
			if !slices.Contains(ids, g.VMID) {
				continue
			}
			for key, value := range g.Config {
				if rest, is := strings.CutPrefix(value, "local-zfs:"); is {
					name, options, _ := strings.Cut(strings.Replace(rest, "subvol-", "vm-", 1), ",")
					m.Guests[i].Config[key] = fmt.Sprintf("nfs:%d/%s.raw,%s", g.VMID, name, options)
				}
			}
		}
	}
}

func node(name string, change func(*pvesim.Node)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Nodes {
			if m.Nodes[i].Name == name {
				change(&m.Nodes[i])
			}
		}
	}
}

func rule(typ string, options map[string]string) func(*pvesim.Model) {
	return func(m *pvesim.Model) { m.HARules = []pvesim.HASection{{ID: "a-rule", Type: typ, Options: options}} }
}

// groups are the guests of an answer by what would become of them.
func groups(a sim.Answer) map[string][]string {
	out := map[string][]string{}
	rows, _ := a.Fields["groups"].([]any)
	for _, row := range rows {
		row := row.(map[string]any)
		for _, g := range row["guests"].([]any) {
			what := row["what"].(string)
			out[what] = append(out[what], g.(string))
		}
	}
	return out
}

// found is the text of the group that has a guest.
func found(a sim.Answer, guest string) string {
	for what, names := range groups(a) {
		if slices.Contains(names, guest) {
			return what
		}
	}
	return ""
}

// What HA does with a guest of a node that is lost depends on its disks, rules, room and quorum.
func TestLoseNode(t *testing.T) {
	v8 := func(m *pvesim.Model) {
		m.PVE, m.HARules = "8.4.1", nil
		m.HAGroups = []pvesim.HASection{{ID: "prefer", Options: map[string]string{"nodes": "pve3:3,pve1:2,pve2:1"}}}
	}
	inGroup := sim.Guest(103, func(g *pvesim.Guest) { g.HAOptions = map[string]string{"group": "prefer"} })
	for _, tt := range []struct {
		name    string
		model   []func(*pvesim.Model)
		becomes string // of 103 db-2
		says    []string
	}{
		{"disks of its node alone", nil, "their disks are on pve3 alone, and not replicated", []string{"of 1 guest under HA 0 come up", "keeps its quorum: 2 of 3 votes"}},
		{"replicated", []func(*pvesim.Model){func(m *pvesim.Model) {
			m.Replications = []pvesim.Replication{{ID: "103-0", Target: "pve2", Synced: time.Minute}}
		}}, "come up on pve2 with the data of their last replication", nil},
		{"shared disks, where the rule prefers", []func(*pvesim.Model){shared(103)}, "come up on pve2", []string{"of 1 guest under HA 1 come up"}},
		{"shared disks, no rule", []func(*pvesim.Model){shared(103), rule("resource-affinity", map[string]string{"resources": "vm:103,ct:201", "affinity": "negative"})}, "come up on pve1", nil},
		{"kept together with a guest elsewhere", []func(*pvesim.Model){shared(103, 201), rule("resource-affinity", map[string]string{"resources": "vm:103,ct:201", "affinity": "positive"})}, "come up on ", nil},
		{"strict rule", []func(*pvesim.Model){shared(103), rule("node-affinity", map[string]string{"resources": "vm:103", "nodes": "pve3", "strict": "1"})}, "is not among the nodes", nil},
		{"strict rule that is disabled", []func(*pvesim.Model){shared(103), rule("node-affinity", map[string]string{"resources": "vm:103", "nodes": "pve3", "strict": "1", "disable": "1"})}, "come up on pve1", nil},
		{"no memory", []func(*pvesim.Model){shared(103), node("pve1", func(n *pvesim.Node) { n.Memory = 40 << 30 }), node("pve2", func(n *pvesim.Node) { n.Memory = 48 << 30 })}, "of memory to spare, and 32 GiB are needed", nil},
		{"no quorum", []func(*pvesim.Model){shared(103), node("pve2", func(n *pvesim.Node) { n.Offline = true })}, "have no quorum", []string{"LOSES ITS QUORUM: 1 of 3 votes are left"}},
		{"a node in maintenance", []func(*pvesim.Model){shared(103), node("pve2", func(n *pvesim.Node) { n.Maintenance = true })}, "come up on pve1", nil},
		{"a group of 8", []func(*pvesim.Model){shared(103), v8, inGroup}, "come up on pve1", nil},
		{"not wanted", []func(*pvesim.Model){shared(103), sim.Guest(103, func(g *pvesim.Guest) { g.HA = "stopped"; g.Running = false })}, "off on pve3", nil},
		{"not managed", []func(*pvesim.Model){shared(103), func(m *pvesim.Model) { m.HARules = nil }, sim.Guest(103, func(g *pvesim.Guest) { g.HA = "" })}, "not under HA, and gone until pve3 is back", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(tt.model...)})
				a := w.Call("pve_what_if", `{"scenario":"lose_node","node":"pve3"}`)
				if !strings.Contains(found(a, "103 db-2"), tt.becomes) || found(a, "202 gitea") != "not under HA, and gone until pve3 is back" {
					t.Errorf("%s", a.Text)
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

// What is on a storage is lost with it: disks, and backups where they are the only ones.
func TestLoseStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(shared(103, 106))})
		a := w.Call("pve_what_if", `{"scenario":"lose_storage","storage":"nfs"}`)
		for guest, becomes := range map[string]string{
			"103 db-2": "lose disks, and have a backup on another storage", "106 win-2022": "lose disks, and have no backup on another storage",
			"100 web-1": "keep their disks, and lose their only backups", "102 db-1": "",
		} {
			if is := found(a, guest); is != becomes {
				t.Errorf("%s: %q, want %q: %s", guest, is, becomes, a.Text)
			}
		}
		if !strings.Contains(a.Text, "2 guests lose disks (2 of them run), and 1 of these have no backup") || !strings.Contains(a.Text, "of those that keep their disks: 10 guests.") || a.Fields["blind"] != nil || !strings.Contains(a.Text, "backup-nightly") {
			t.Errorf("%s", a.Text)
		}
		next, _ := a.Fields["next"].(map[string]any)
		args, _ := json.Marshal(next["arguments"])
		if plan := w.Call("pve_bulk_action", string(args)); plan.Outcome != tool.Planned {
			t.Errorf("%s: %s", args, plan.Text)
		}
		b := w.Call("pve_what_if", `{"scenario":"lose_storage","storage":"local-zfs","node":"pve1"}`)
		if found(b, "100 web-1") != "lose disks, and have a backup on another storage" || found(b, "101 web-2") != "" {
			t.Errorf("%s", b.Text)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a node may hold a backup that cannot be seen
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(shared(103, 106), sim.Offline("pve2"))})
		a := w.Call("pve_what_if", `{"scenario":"lose_storage","storage":"nfs"}`)
		if !strings.Contains(a.Text, "0 of these have no backup") || !strings.Contains(a.Text, "Whether one is there cannot be seen of 1 guest.") {
			t.Errorf("%s", a.Text)
		}
	})
}

// busy puts most of what runs on one node, with disks that every node has.
func busy() []func(*pvesim.Model) {
	return []func(*pvesim.Model){shared(100, 101, 102, 103, 104, 106, 108, 200, 201, 202, 203), func(m *pvesim.Model) {
		for i, g := range m.Guests {
			if g.Running {
				m.Guests[i].Node, m.Guests[i].HA = "pve2", ""
			}
		}
		m.HARules = nil
		for i := range m.Nodes {
			m.Nodes[i].Memory, m.Nodes[i].CPUs = 160<<30, 24
		}
	}}
}

// Moves even out the nodes, and the call that is offered makes them.
func TestRebalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(append(busy(), sim.Guest(102, func(g *pvesim.Guest) { g.Config["hostpci0"] = "0000:01:00.0" }))...)})
		a := w.Call("pve_what_if", `{"scenario":"rebalance"}`)
		if len(sim.Writes(w.Sent())) > 0 {
			t.Error("it has sent something")
		}
		moves, _ := a.Fields["moves"].([]any)
		if len(moves) < 2 || len(moves) > 10 || !strings.Contains(a.Text, "102 db-1 does not move: it uses devices of its node") {
			t.Fatalf("%s", a.Text)
		}
		next, _ := a.Fields["next"].(map[string]any)
		args := next["arguments"].(map[string]any)
		delete(args, "plan")
		args["confirm"], args["wait"] = true, 45
		text, _ := json.Marshal(args)
		w.Host.Stays = true
		if done := w.Call("pve_bulk_action", string(text)); done.Outcome != tool.OK && done.Outcome != tool.Running {
			t.Fatalf("%s: %s", text, done.Text)
		}
		time.Sleep(10 * time.Minute)
		for _, m := range moves {
			m := m.(map[string]any)
			id, _, _ := strings.Cut(m["guest"].(string), " ")
			if is := w.Call("pve_guest_status", fmt.Sprintf(`{"vmid":%s}`, id)); is.Fields["node"] != m["to"] {
				t.Errorf("%v is on %v", m, is.Fields["node"])
			}
		}
	})
}

// Guests that rules keep apart, or where they are, are not moved against them.
func TestRebalanceKeepsRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := sim.Cluster(append(busy(), func(m *pvesim.Model) {
			for i := range m.Guests {
				if m.Guests[i].Running {
					m.Guests[i].HA = "started"
				}
			}
			m.HARules = []pvesim.HASection{
				{ID: "home", Type: "node-affinity", Options: map[string]string{"resources": "vm:102,vm:103", "nodes": "pve2"}},
				{ID: "apart", Type: "resource-affinity", Options: map[string]string{"resources": "vm:100,vm:101,vm:104,vm:106", "affinity": "negative"}},
			}
		})...)
		w := sim.New(t, sim.Options{Token: full, Model: model})
		a := w.Call("pve_what_if", `{"scenario":"rebalance"}`)
		at := map[string]string{}
		moves, _ := a.Fields["moves"].([]any)
		for _, m := range moves {
			m := m.(map[string]any)
			guest, to := m["guest"].(string), m["to"].(string)
			if strings.HasPrefix(guest, "102") || strings.HasPrefix(guest, "103") {
				t.Errorf("%s moves away from its home", guest)
			}
			if slices.Contains([]string{"100 web-1", "101 web-2", "104 mail", "106 win-2022"}, guest) {
				if at[to] != "" {
					t.Errorf("%s and %s are to be apart", guest, at[to])
				}
				at[to] = guest
			}
		}
		if len(moves) == 0 {
			t.Errorf("%s", a.Text)
		}
	})
}

// An auditor sees where guests would go, and which cannot, though it may not ask PVE itself.
func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		name, token string
		model       []func(*pvesim.Model)
		cannot      map[string]string
		says        []string
	}{
		{"all can go", full, nil, nil, []string{"4 of 4 guests that run on pve2 can go", "live, copies 200 GiB", "restart", "off, and stay on pve2", "templates, and stay on pve2"}},
		{"by an auditor", "audit@pve!mcp", nil, nil, []string{"4 of 4 guests", `"missing":"VM.Migrate`}},
		{"a device", full, []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["hostpci0"] = "0000:01:00.0" })}, map[string]string{"101 web-2": "it uses devices of its node"}, nil},
		{"a CD", full, []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["ide2"] = "local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom" })}, map[string]string{"101 web-2": "its CD drive holds"}, nil},
		{"a lock", full, []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["lock"] = "snapshot" })}, map[string]string{"101 web-2": "it is locked (snapshot)"}, nil},
		{"a bridge", full, []func(*pvesim.Model){node("pve2", func(n *pvesim.Node) { n.Bridges = []string{"vmbr7"} }), sim.Guest(101, func(g *pvesim.Guest) { g.Config["net1"] = "virtio=BC:24:11:00:00:99,bridge=vmbr7" })},
			map[string]string{"101 web-2": "has no bridge or virtual network vmbr7"}, nil},
		{"no room", full, []func(*pvesim.Model){node("pve1", func(n *pvesim.Node) { n.Memory = 20 << 30 }), node("pve3", func(n *pvesim.Node) { n.Memory = 48 << 30 })}, map[string]string{"102 db-1": "to spare"}, []string{"and 1 cannot"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: tt.token, Model: sim.Cluster(tt.model...)})
				a := w.Call("pve_what_if", `{"scenario":"drain","node":"pve2"}`)
				for guest, why := range tt.cannot {
					if !strings.Contains(found(a, guest), why) {
						t.Errorf("%s: %s", guest, a.Text)
					}
				}
				for _, want := range tt.says {
					if !strings.Contains(a.Text, want) {
						t.Errorf("does not say %q: %s", want, a.Text)
					}
				}
				if moves, _ := a.Fields["moves"].([]any); len(moves) != 4-len(tt.cannot) {
					t.Errorf("%d moves: %s", len(moves), a.Text)
				}
			})
		})
	}
}

// If PVE refuses the move of one guest, those stay that go to the same node with it.
func TestDrainKeepsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := sim.Guest(101, func(g *pvesim.Guest) { g.Config["hostpci0"], g.HA = "0000:01:00.0", "started" })
		with := sim.Guest(106, func(g *pvesim.Guest) { g.HA = "started" })
		together := rule("resource-affinity", map[string]string{"resources": "vm:101,vm:106", "affinity": "positive"})
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(device, with, together)})
		a := w.Call("pve_what_if", `{"scenario":"drain","node":"pve2"}`)
		if !strings.Contains(found(a, "106 win-2022"), "it goes with 101 web-2, which cannot move") || !strings.Contains(found(a, "101 web-2"), "it uses devices of its node") {
			t.Errorf("%s", a.Text)
		}
		if moves, _ := a.Fields["moves"].([]any); len(moves) != 2 {
			t.Errorf("%d moves: %s", len(moves), a.Text)
		}
	})
}

// Arguments that are missing or mean nothing are named.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		for args, says := range map[string]string{
			`{"scenario":"lose_node"}`: "node", `{"scenario":"lose_node","node":"pve9"}`: "pve1, pve2 and pve3", `{"scenario":"lose_storage"}`: "storage",
			`{"scenario":"lose_storage","storage":"nope"}`: "There is no storage", `{"scenario":"drain"}`: "node", `{"scenario":"rolling_update","node":"pve9"}`: "pve1, pve2 and pve3",
		} {
			if a := w.Call("pve_what_if", args); !a.IsError || !strings.Contains(a.Text, says) {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
		lab := pvesim.Lab()
		alone := sim.New(t, sim.Options{Token: full, Model: &lab})
		for _, args := range []string{`{"scenario":"lose_node","node":"pve"}`, `{"scenario":"rebalance"}`} {
			if a := alone.Call("pve_what_if", args); !a.IsError {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
		for _, args := range []string{`{"scenario":"rolling_update"}`, `{"scenario":"drain","node":"pve"}`, `{"scenario":"lose_storage","storage":"local-lvm"}`} {
			if a := alone.Call("pve_what_if", args); a.IsError {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
	})
}

// On a cluster of 10,000 guests an answer is short, and takes a few requests for each node and
// those for the guests that would be moved.
func TestMuch(t *testing.T) {
	effort.SkipShort(t)
	m := pvesim.Huge()
	for i := range m.Guests {
		if m.Guests[i].Running && i%49 == 0 {
			m.Guests[i].HA = "started"
		}
		if i%7 == 0 {
			m.Guests[i].Node = "pve1" // which is busier than the others
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: &m})
		for args, most := range map[string]int{
			`{"scenario":"lose_node","node":"pve1"}`:         2*len(m.Nodes) + 200,
			`{"scenario":"lose_storage","storage":"ceph"}`:   3 * len(m.Nodes),
			`{"scenario":"rebalance"}`:                       3*len(m.Nodes) + 60 + 80,
			`{"scenario":"rolling_update"}`:                  3 * len(m.Nodes),
			`{"scenario":"drain","node":"pve1","limit":200}`: 2*len(m.Nodes) + 400,
		} {
			w.Sent()
			a := w.Call("pve_what_if", args)
			if n := len(w.Sent()); n > most || len(a.Text) > tool.AnswerBytes || a.IsError {
				t.Errorf("%s: %d requests (want at most %d), %d bytes: %.300s", args, n, most, len(a.Text), a.Text)
			}
			if left, _ := a.Fields["left_out"].(float64); left > 0 && a.Fields["more"] == nil && !strings.Contains(args, "limit") {
				t.Errorf("%s: %v are left out, and no word of how to get them", args, left)
			}
		}
	})
}
