package catalog_test

import (
	"testing"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/guard"
)

// What is offered by default, with commands in guests, and read-only.
func TestOffered(t *testing.T) {
	for _, tt := range []struct {
		policy guard.Policy
		by     map[guard.Risk]int // how many tools that read, that write, that run commands
	}{
		{guard.Policy{}, map[guard.Risk]int{guard.Read: 12, guard.Write: 11}},
		{guard.Policy{Exec: true}, map[guard.Risk]int{guard.Read: 12, guard.Write: 11, guard.Exec: 1}},
		{guard.Policy{ReadOnly: true, Exec: true}, map[guard.Risk]int{guard.Read: 12}},
	} {
		on, off := catalog.Offered(catalog.Selection{Policy: tt.policy, Toolsets: []string{"core"}})
		got := map[guard.Risk]int{}
		for _, tl := range on {
			risk := tl.Risk
			if risk == guard.Destructive { // writes, too
				risk = guard.Write
			}
			got[risk]++
		}
		for risk, n := range tt.by {
			if got[risk] != n {
				t.Errorf("%+v: %d tools that %v, want %d", tt.policy, got[risk], risk, n)
			}
		}
		if len(on)+len(off) != len(catalog.All()) {
			t.Errorf("%+v: %d are on and %d off, of %d", tt.policy, len(on), len(off), len(catalog.All()))
		}
	}
	if err := (catalog.Selection{Toolsets: []string{"core", "cor"}}).Check(); err == nil || err.Error() != `there is no toolset "cor"; the toolsets are core and tasks` {
		t.Errorf("%v", err)
	}
}
