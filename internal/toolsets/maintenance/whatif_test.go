package maintenance_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// destinations are where guests go by an answer with moves.
func destinations(a sim.Answer) map[string]string {
	out := map[string]string{}
	moves, _ := a.Fields["moves"].([]any)
	for _, m := range moves {
		m := m.(map[string]any)
		out[m["guest"].(string)] = m["to"].(string)
	}
	return out
}

// What pve_what_if says of a drain is what pve_drain_node plans.
func TestDrainAsForetold(t *testing.T) {
	for _, tt := range []struct {
		name  string
		model []func(*pvesim.Model)
	}{
		{"all can go", nil},
		{"a device", []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["hostpci0"] = "0000:01:00.0" })}},
		{"a CD", []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["ide2"] = "local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom" })}},
		{"a lock", []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["lock"] = "snapshot" })}},
		{"little room", []func(*pvesim.Model){node("pve1", func(n *pvesim.Node) { n.Memory = 20 << 30 }), node("pve3", func(n *pvesim.Node) { n.Memory = 48 << 30 })}},
		{"a node less", []func(*pvesim.Model){node("pve3", func(n *pvesim.Node) { n.Maintenance = true })}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(tt.model...)})
				foretold := w.Call("pve_what_if", `{"scenario":"drain","node":"pve2"}`)
				plan := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true}`)
				if said, planned := destinations(foretold), destinations(plan); !maps.Equal(said, planned) {
					t.Errorf("said %v, planned %v: %s", said, planned, plan.Text)
				}
				for _, guest := range list(plan, "cannot") {
					if !slices.ContainsFunc(foretold.Fields["groups"].([]any), func(row any) bool {
						fields := row.(map[string]any)
						return strings.HasPrefix(fields["what"].(string), "cannot move") && slices.Contains(fields["guests"].([]any), any(guest))
					}) {
						t.Errorf("%s cannot: %s", guest, foretold.Text)
					}
				}
			})
		})
	}
}
