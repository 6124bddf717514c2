package pvesim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pve-mcp/pvesim"
)

func TestGenerated(t *testing.T) {
	w := newWorld(t, pvesim.Generated(7, 3, 60, 40))
	kinds, running := map[any]int{}, 0
	for _, item := range w.do("GET", "/cluster/resources", nil).Body.Data.([]any) {
		r := item.(map[string]any)
		kinds[r["type"]]++
		if r["status"] == "running" {
			running++
		}
	}
	if kinds["node"] != 3 || kinds["qemu"] != 60 || kinds["lxc"] != 40 || running < 60 || running > 95 {
		t.Errorf("%v, of which %d run", kinds, running)
	}
	w.story(`
		POST /nodes/pve1/qemu?vmid=300&scsi0=local-zfs:8   => OK
		POST /nodes/pve1/qemu/300/status/start             => OK
	`)
	if diff := cmp.Diff(pvesim.Generated(7, 3, 60, 40), pvesim.Generated(7, 3, 60, 40)); diff != "" {
		t.Errorf("the same seed: %s", diff)
	}
	if cmp.Equal(pvesim.Generated(7, 3, 60, 40), pvesim.Generated(8, 3, 60, 40)) {
		t.Error("another seed makes up the same")
	}
	newWorld(t, pvesim.Generated(1, 1, 0, 0)).story("GET /cluster/nextid => 100")
}
