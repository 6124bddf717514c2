package catalog_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
	"pve-mcp/pvesim"
)

// What a call asks of PVE does not grow with the number of guests.
func TestRequestsDoNotGrowWithGuests(t *testing.T) {
	more := func(m *pvesim.Model) {
		g := m.Guests[0]
		for g.VMID = 1000; g.VMID < 1300; g.VMID++ {
			m.Guests = append(m.Guests, g)
		}
	}
	for _, tl := range catalog.All() {
		t.Run(tl.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				few, many := requests(t, tl, simtest.Cluster()), requests(t, tl, simtest.Cluster(more))
				if diff := cmp.Diff(few, many); diff != "" {
					t.Errorf("requests (-with 18 guests +with 318):\n%s", diff)
				}
			})
		})
	}
}

// requests are those of a tool's stories.
func requests(t *testing.T, tl tool.Tool, m *pvesim.Model) []string {
	w := simtest.New(t, simtest.Options{Model: m, Token: "root@pam!full", Policy: guard.Policy{Exec: true}})
	for _, args := range stories[tl.Name] {
		w.Run(tl, args)
	}
	return simtest.WithoutTasks(w.Sent())
}
