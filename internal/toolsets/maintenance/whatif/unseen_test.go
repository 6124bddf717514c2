package whatif_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Of a guest whose memory or disks are not seen it is not said that it comes up, and one that HA
// is about to start needs memory as one that runs does.
func TestLoseNodeNotSeen(t *testing.T) {
	small := func(m *pvesim.Model) {
		node("pve1", func(n *pvesim.Node) { n.Memory = 40 << 30 })(m)
		node("pve2", func(n *pvesim.Node) { n.Memory = 48 << 30 })(m)
	}
	hangs := node("pve3", func(n *pvesim.Node) { n.StatusHangs = true })
	for _, tt := range []struct {
		name    string
		model   []func(*pvesim.Model)
		becomes string // of 103 db-2
		says    string
	}{
		{"it does not report", []func(*pvesim.Model){shared(103), small, hangs}, "not known", "of 1 guest under HA 0 come up elsewhere, and of 1 that is not known"},
		{"it is gone, and so are the disks on it", []func(*pvesim.Model){sim.Offline("pve3")}, "not known", "of 1 guest under HA 0 come up elsewhere, and of 1 that is not known"},
		{"HA is about to start it", []func(*pvesim.Model){shared(103), small, sim.Guest(103, func(g *pvesim.Guest) { g.Running, g.StartFails = false, []string{"no"} })}, "32 GiB are needed", "0 come up"},
		{"kept together, and no room", []func(*pvesim.Model){shared(103, 202), small, sim.Guest(202, func(g *pvesim.Guest) { g.HA = "started" }),
			rule("resource-affinity", map[string]string{"resources": "vm:103,ct:202", "affinity": "positive"})}, "of memory to spare", `"count":2`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(tt.model...)})
				a := w.Call("pve_what_if", `{"scenario":"lose_node","node":"pve3"}`)
				is := found(a, "103 db-2") + found(a, "103")
				if !strings.Contains(is, tt.becomes) || !strings.Contains(a.Text, tt.says) || strings.Contains(found(a, "202")+found(a, "202 gitea"), "off on") {
					t.Errorf("%s", a.Text)
				}
			})
		})
	}
}

// A node of which PVE has no history is not idle: what it uses now counts.
func TestRebalanceWithoutHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(node("pve1", func(n *pvesim.Node) { n.Memory = 24 << 30 })), Wire: sim.Answers("/nodes/pve2/rrddata", "[]")})
		a := w.Call("pve_what_if", `{"scenario":"rebalance"}`)
		if strings.Contains(a.Text, `"to":"pve2"`) || strings.Contains(a.Text, "0 % -> 6 %") || !strings.Contains(a.Text, "what it uses now counts") {
			t.Errorf("%s", a.Text)
		}
	})
}
