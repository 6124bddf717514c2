package provision_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// VMs that are made at once do not take each other's ids.
func TestCreateRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const racers = 20
		w := sim.New(t, sim.Options{Token: everyone})
		answers := make([]sim.Answer, racers)
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				answers[i] = w.Call("pve_create_vm", fmt.Sprintf(`{"name":"r%d","node":"pve3","storage":"local-zfs","disks":["1G"],"start":false,"wait":45}`, i))
			})
		}
		wg.Wait()
		guests := map[any]bool{}
		for _, a := range answers {
			if a.Outcome != tool.OK {
				t.Errorf("%s", a.Text)
			}
			guests[a.Fields["guest"]] = true
		}
		if len(guests) != racers {
			t.Errorf("%d guests were made, want %d", len(guests), racers)
		}
	})
}
