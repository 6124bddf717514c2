package maintenance_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A node is not said to be empty if a single guest is hidden from the token.
func TestDrainHiddenGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sim.Cluster(only(101, 106), sim.Grant("/", "Administrator"), sim.Grant("/vms/106", "PVEDatastoreUser"))
		w := sim.New(t, sim.Options{Model: m, Token: "none@pve!mcp"})
		a := drained(w, `{"node":"pve2","action":"drain","immovable":"leave"}`)
		if a.Outcome != tool.Warnings || strings.Contains(a.Text, "No guest runs on") || !strings.Contains(a.Text, "106, which this token does not see") {
			t.Errorf("%v: %s", a.Outcome, a.Text)
		}
	})
}

// What is agreed to names each guest that is interrupted, and each that cannot leave.
func TestDrainNamesOutages(t *testing.T) {
	hostage := sim.Set(102, "hostpci0=0000:01:00.0")
	for args, says := range map[string][]string{
		`{"node":"pve3","action":"drain"}`:                         {"202 gitea (restarts)"},
		`{"node":"pve3","action":"drain","containers":"shutdown"}`: {"202 gitea (is shut down)"},
		`{"node":"pve3","action":"return","guests":"201"}`:         {"201 dns (restarts)"},
		`{"node":"pve2","action":"drain","immovable":"leave"}`:     {"cannot move, and stay on pve2 as they are: 102 db-1", "201 dns (restarts)"},
		`{"node":"pve2","action":"drain","immovable":"shutdown"}`:  {"cannot move, and stay on pve2: 102 db-1 (is shut down)", "A drain with stopped: move takes along"},
	} {
		w := sim.New(t, sim.Options{Model: sim.Cluster(hostage), Token: full})
		a := w.Call("pve_drain_node", strings.TrimSuffix(args, "}")+`,"plan":true}`)
		for _, want := range says {
			if !strings.Contains(a.Text, want) {
				t.Errorf("%s: %q is not said: %s", args, want, a.Text)
			}
		}
	}
}

// The failback of a guest is held, too, if its configuration calls the state enabled.
func TestDrainHoldsEnabled(t *testing.T) {
	home := func(m *pvesim.Model) {
		m.HARules = []pvesim.HASection{{ID: "home", Type: "node-affinity", Options: map[string]string{"resources": "vm:101", "nodes": "pve2"}}}
	}
	w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(only(101), sim.Guest(101, func(g *pvesim.Guest) { g.HA = "enabled" }), home)})
	a := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true}`)
	if !strings.Contains(a.Text, "the failback of 101 web-2 is held until return") {
		t.Errorf("%s", a.Text)
	}
}
