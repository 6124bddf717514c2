package whatif_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// chance is a small cluster with guests under HA on shared storage, and rules.
func chance(seed uint64) *pvesim.Model {
	r := rand.New(rand.NewPCG(seed, 1))
	m := pvesim.Sized(seed, 3+r.IntN(3), 8+r.IntN(8), 4)
	m.PVE = "9.2.0"
	var sids []string
	for i := range m.Guests {
		g := &m.Guests[i]
		delete(g.Config, "template")
		if r.IntN(3) > 0 {
			g.HA, g.Running = "started", true
			sids = append(sids, map[string]string{"qemu": "vm", "lxc": "ct"}[g.Kind]+":"+fmt.Sprint(g.VMID))
		}
	}
	add := func(typ string, options map[string]string) {
		m.HARules = append(m.HARules, pvesim.HASection{ID: fmt.Sprint("rule-", len(m.HARules)), Type: typ, Options: options})
	}
	if len(sids) >= 6 {
		add("node-affinity", map[string]string{"resources": sids[0], "nodes": "pve1", "strict": "1"})
		add("node-affinity", map[string]string{"resources": sids[1], "nodes": "pve1:2,pve2:1"})
		add("resource-affinity", map[string]string{"resources": sids[4] + "," + sids[5], "affinity": "negative"})
	}
	if r.IntN(3) == 0 {
		m.Nodes[r.IntN(len(m.Nodes))].Maintenance = true
	}
	return &m
}

// What comes up after the loss of a node is what was said before, in any cluster.
func TestLossesAsForetold(t *testing.T) {
	kinds := map[bool]int{}
	defer func() {
		if kinds[true] == 0 || kinds[false] == 0 {
			t.Errorf("%d guests came up, %d did not: the clusters test too little", kinds[true], kinds[false])
		}
	}()
	for seed := range effort.Of[uint64](20, 30, 200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Model: chance(seed)})
				time.Sleep(10 * time.Minute) // HA has brought everything to where it belongs
				lost := fmt.Sprint("pve", 2+seed%2)
				a := w.Call("pve_what_if", fmt.Sprintf(`{"scenario":"lose_node","node":%q,"limit":200}`, lost))
				if err := w.Sim.SetPower(lost, false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Minute)
				runs := map[string]bool{}
				for _, g := range w.Call("pve_list_guests", `{"limit":500}`).Fields["guests"].([]any) {
					g := g.(map[string]any)
					runs[fmt.Sprint(g["vmid"], " ", g["name"])] = g["status"] == "running" && g["node"] != lost
				}
				for what, names := range groups(a) {
					for _, name := range names {
						want := strings.HasPrefix(what, "come up on")
						if strings.HasPrefix(what, "under HA") || want {
							kinds[want]++
						}
						if runs[name] != want {
							t.Errorf("%s: %q, and that it runs elsewhere is %v", name, what, runs[name])
						}
					}
				}
			})
		})
	}
}
