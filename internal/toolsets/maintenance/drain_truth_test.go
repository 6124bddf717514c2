package maintenance_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// A node is not said to be empty if a single guest is hidden from the token.
func TestDrainHiddenGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sim.Cluster(only(101, 106), sim.Grant("/", "Administrator"), sim.Grant("/vms/106", "PVEDatastoreUser"))
		w := sim.New(t, sim.Options{Model: m, Token: "none@pve!mcp"})
		a := drained(w, `{"node":"pve2","action":"drain"}`)
		if a.Outcome != tool.Warnings || strings.Contains(a.Text, "No guest runs on") || !strings.Contains(a.Text, "it does not see all") {
			t.Errorf("%v: %s", a.Outcome, a.Text)
		}
	})
}
