package maintenance_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// A guest that nobody named, and that is started while the first node gets its order, is not taken
// down with a later one.
func TestNodePowerUnnamedMeanwhile(t *testing.T) {
	for _, action := range []string{"reboot", "shutdown"} {
		t.Run(action, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guests := []int{100, 101, 103}
				w := sim.New(t, sim.Options{Model: sim.Cluster(only(append(guests, 204)...), onboot(guests...)), Token: full,
					Before: sim.Meanwhile("POST", "/nodes/pve2/status", `pve_guest_power {"vmid":204,"action":"start"}`)})
				a := followed(w, `{"node":"all","action":"`+action+`","guests":"100,101,103","confirm":true,"wait":0}`)
				if a.Outcome == tool.OK || slices.Contains(ordered(w), "pve3") {
					t.Errorf("%v %v: %s", a.Outcome, ordered(w), a.Text)
				}
				if !strings.Contains(a.Text, "204 sandbox") {
					t.Errorf("the reason is lost: %s", a.Text)
				}
				again := w.Call("pve_node_power", `{"node":"pve3","action":"`+action+`","guests":"100,101,103","confirm":true}`)
				if again.Outcome != tool.Failed || !strings.Contains(again.Text, "204 sandbox") {
					t.Errorf("%s", again.Text)
				}
			})
		})
	}
}
