package snapshots_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A task that ends well and has done nothing is no success: what is true now counts.
func TestChangesThatDidNothing(t *testing.T) {
	idle := func(match string) pvesim.Fault { return pvesim.Fault{Match: match, TaskIdle: true} }
	sim.Tell(t, "pve_create_snapshot", []sim.Story{
		{Name: "create", Fault: idle("POST /nodes/*/qemu/105/snapshot"), Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.Failed, Writes: []string{create},
			Says: []string{"PVE's task succeeded, but VM 105 has no snapshot monday."}, Lacks: []string{`"snapshot"`}},
	})
	sim.Tell(t, "pve_delete_snapshot", []sim.Story{
		{Name: "delete", Fault: idle("DELETE /nodes/*/qemu/102/snapshot/*"), Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Failed,
			Writes: []string{"DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}"}, Says: []string{"PVE's task succeeded, but VM 102 still has the snapshot after-upgrade."}, Lacks: []string{`"deleted"`}},
	})
	sim.Tell(t, "pve_rollback_snapshot", []sim.Story{
		{Name: "rollback", Options: sim.Options{Model: sim.Cluster(sim.Snapshot(102, "newest"), sim.Set(102, "parent=before-upgrade"))}, Fault: idle("POST /nodes/*/qemu/102/snapshot/*/rollback"),
			Args: `{"vmid":102,"snapname":"newest","confirm":true}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback"},
			Says: []string{"PVE's task succeeded, but VM 102 is not at the snapshot newest."}},
	})
}
