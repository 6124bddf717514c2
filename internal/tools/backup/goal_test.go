package backup_test

import (
	"testing"

	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
	"pve-mcp/pvesim"
)

// A task that ends well and has done nothing is no success: what is true now counts.
func TestChangesThatDidNothing(t *testing.T) {
	backups := []string{"POST /nodes/{node}/vzdump"}
	simtest.Tell(t, "pve_create_backup", []simtest.Story{
		{Name: "backup", Options: simtest.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "POST /nodes/*/vzdump", TaskIdle: true}, Args: `{"vmid":105,"storage":"nfs"}`, Outcome: tool.Unknown, Writes: backups,
			Says: []string{"PVE's task ended well, and no backup of 105 that is as new as it is listed on nfs."}, Lacks: []string{`"backup"`}},
		{Name: "the list cannot be read", Options: simtest.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "GET /nodes/*/storage/*/content", Status: 500, Message: "got timeout"}, Args: `{"vmid":105,"storage":"nfs","wait":45}`,
			Outcome: tool.OK, Writes: backups, Says: []string{"done. The current state could not be read: PVE refused: got timeout."}},
	})
	simtest.Tell(t, "pve_restore_backup", []simtest.Story{
		{Name: "restore", Options: simtest.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "POST /nodes/*/qemu", TaskIdle: true},
			Args: archive(webNew) + `,"vmid":300}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/qemu"},
			Says: []string{"PVE's task ended well, and there is no guest 300."}},
	})
}
