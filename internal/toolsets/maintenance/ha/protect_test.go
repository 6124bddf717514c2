package ha_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// While a guest is protected, a rule of others can be made, changed and deleted, and none that
// names the protected one.
func TestRulesBesideProtectedGuest(t *testing.T) {
	for _, tt := range []struct {
		protect string
		outcome tool.Outcome
	}{{"101", tool.OK}, {"201", tool.Failed}} {
		rules, err := policy.ParseRules(tt.protect)
		if err != nil {
			t.Fatal(err)
		}
		w := sim.New(t, sim.Options{Token: "root@pam!full", Model: sim.Cluster(), Policy: policy.Policy{Protect: rules}})
		for _, args := range []string{
			`{"change":"set_rule","name":"apart","resources":["vm:103","ct:201"],"affinity":"negative","confirm":true}`,
			`{"change":"set_rule","name":"apart","comment":"new","confirm":true}`,
			`{"change":"remove_rule","name":"apart","confirm":true}`,
		} {
			a := w.Call("pve_set_ha", args)
			if a.Outcome != tt.outcome || len(sim.Writes(w.Sent())) > 0 != (tt.outcome == tool.OK) {
				t.Errorf("protect %s: %s: %s", tt.protect, args, a.Text)
			}
			if tt.outcome == tool.Failed {
				if !strings.Contains(a.Text, "PVE_MCP_PROTECT") {
					t.Errorf("%s", a.Text)
				}
				break
			}
		}
	}
}
