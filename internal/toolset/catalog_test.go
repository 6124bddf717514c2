package toolset_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// What is offered by default, with commands in guests, and read-only.
func TestOffered(t *testing.T) {
	for _, tt := range []struct {
		policy policy.Policy
		by     map[policy.Risk]int // how many tools that read, that write, that run commands
	}{
		{policy.Policy{}, map[policy.Risk]int{policy.Read: 12, policy.Write: 11}},
		{policy.Policy{Exec: true}, map[policy.Risk]int{policy.Read: 12, policy.Write: 11, policy.Exec: 1}},
		{policy.Policy{ReadOnly: true, Exec: true}, map[policy.Risk]int{policy.Read: 12}},
	} {
		on, off := toolset.Offered(toolset.Selection{Policy: tt.policy, Toolsets: []string{"core"}})
		got := map[policy.Risk]int{}
		for _, tl := range on {
			risk := tl.Risk
			if risk == policy.Destructive { // writes, too
				risk = policy.Write
			}
			got[risk]++
		}
		for risk, n := range tt.by {
			if got[risk] != n {
				t.Errorf("%+v: %d tools that %v, want %d", tt.policy, got[risk], risk, n)
			}
		}
		if len(on)+len(off) != len(toolset.All()) {
			t.Errorf("%+v: %d are on and %d off, of %d", tt.policy, len(on), len(off), len(toolset.All()))
		}
	}
	if err := (toolset.Selection{Toolsets: []string{"core", "cor"}}).Check(); err == nil || err.Error() != `there is no toolset "cor"; the toolsets are core and tasks` {
		t.Errorf("%v", err)
	}
}
