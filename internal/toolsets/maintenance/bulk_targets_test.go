package maintenance_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A guest for which no node is named goes to the one with most room, counting those that go there
// by the same call, and never to one that lacks its storage.
func TestBulkChoosesTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onNFS := func(m *pvesim.Model) {
			m.Storages = append(m.Storages, pvesim.Storage{ID: "fast", Type: "nfs", Shared: true, Content: "images,rootdir", Nodes: []string{"pve2", "pve3"}, Size: 1 << 40})
		}
		w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(onNFS,
			sim.Set(105, "scsi0=fast:105/vm-105-disk-0.raw,size=2G"), sim.Set(204, "rootfs=fast:204/vm-204-disk-0.raw,size=2G"))})
		planned := w.Call("pve_bulk_action", `{"action":"migrate","guests":"105,204","plan":true}`)
		if planned.Outcome != tool.Planned || len(sim.Writes(w.Sent())) > 0 || !strings.Contains(planned.Text, `"on pve3: 105 build-1 (to pve2), 204 sandbox (to pve2)"`) {
			t.Fatalf("%s", planned.Text)
		}
		a := w.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, planned.Fields["plan_handle"]))
		if a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		for _, vmid := range []int{105, 204} {
			if is := w.Call("pve_guest_status", fmt.Sprintf(`{"vmid":%d}`, vmid)); is.Fields["node"] != "pve2" {
				t.Errorf("%s", is.Text)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Model: sim.Lab()})
		a := w.Call("pve_bulk_action", `{"action":"migrate","guests":"100"}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "There is no other node.") || !strings.Contains(a.Text, "1 of 1 guests cannot") || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s", a.Text)
		}
	})
}

// A guest whose name is the id of another one does not go where that one goes.
func TestBulkTargetsHostileName(t *testing.T) {
	effort.SkipShort(t)
	nfs := func(m *pvesim.Model) {
		m.Storages = append(m.Storages, pvesim.Storage{ID: "fast", Type: "nfs", Shared: true, Content: "images,rootdir", Size: 1 << 40})
	}
	w := sim.New(t, sim.Options{Token: full, Model: sim.Cluster(nfs,
		sim.Set(105, "scsi0=fast:105/vm-105-disk-0.raw,size=2G", "name=204"), sim.Set(204, "rootfs=fast:204/vm-204-disk-0.raw,size=2G"))})
	a := w.Call("pve_bulk_action", `{"action":"migrate","guests":"105,204","targets":{"204":"pve1"},"target":"pve2","plan":true}`)
	if a.Outcome != tool.Planned || !strings.Contains(a.Text, "105") {
		t.Fatalf("%s", a.Text)
	}
	done := w.Call("pve_bulk_action", `{"action":"migrate","guests":"105,204","targets":{"204":"pve1"},"target":"pve2","wait":45}`)
	if is := w.Call("pve_guest_status", `{"vmid":105}`); is.Fields["node"] != "pve2" {
		t.Errorf("%s: %s", done.Text, is.Text)
	}
}
