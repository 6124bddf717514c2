package maintenance_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Without quorum nothing is shut down to be moved: PVE would neither move it nor start it again.
func TestDrainWithoutQuorum(t *testing.T) {
	for _, args := range []string{
		`{"node":"pve1","action":"drain","immovable":"shutdown","containers":"shutdown","confirm":true}`,
		`{"node":"pve1","action":"return","guests":"101","confirm":true}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			alone := func(m *pvesim.Model) { m.Nodes[1].Offline, m.Nodes[2].Offline = true, true }
			w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(alone)})
			a := w.Call("pve_drain_node", args)
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "lost its quorum") || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%s: %s", args, a.Text)
			}
		})
	}
}
