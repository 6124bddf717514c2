package backups_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A task that ends well and has done nothing is no success: what is true now counts.
func TestChangesThatDidNothing(t *testing.T) {
	backups := []string{"POST /nodes/{node}/vzdump"}
	sim.Tell(t, "pve_create_backup", []sim.Story{
		{Name: "backup", Options: sim.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "POST /nodes/*/vzdump", TaskIdle: true}, Args: `{"vmid":105,"storage":"nfs"}`, Outcome: tool.Unknown, Writes: backups,
			Says: []string{"PVE's task succeeded, but no backup of 105 as new as the task is listed on nfs."}, Lacks: []string{`"backup"`}},
		{Name: "the list cannot be read", Options: sim.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "GET /nodes/*/storage/*/content", Status: 500, Message: "got timeout"}, Args: `{"vmid":105,"storage":"nfs","wait":45}`,
			Outcome: tool.OK, Writes: backups, Says: []string{"done. The current state could not be read: PVE refused: got timeout."}},
	})
	sim.Tell(t, "pve_restore_backup", []sim.Story{
		{Name: "restore", Options: sim.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "POST /nodes/*/qemu", TaskIdle: true},
			Args: archive(webNew) + `,"vmid":300}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/qemu"},
			Says: []string{"PVE's task succeeded, but there is no guest 300."}},
		{Name: "restore over a VM", Options: sim.Options{Model: model(small)}, Fault: pvesim.Fault{Match: "POST /nodes/*/qemu", TaskIdle: true},
			Args: archive(gone) + `,"vmid":105,"overwrite":true,"confirm":true}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/qemu"},
			Says: []string{"PVE's task succeeded, but the configuration of VM 105 is the one from before: the backup did not replace it."}},
		{Name: "restore over its original", Options: sim.Options{Model: model(small, stopped(100))}, Fault: pvesim.Fault{Match: "POST /nodes/*/qemu", TaskIdle: true},
			Args: archive(webNew) + `,"vmid":100,"overwrite":true,"confirm":true,"wait":45}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/qemu"},
			Says: []string{"of VM 100 is the one from before"}},
		{Name: "restore over a container", Options: sim.Options{Model: model(small, stopped(200))}, Fault: pvesim.Fault{Match: "POST /nodes/*/lxc", TaskIdle: true},
			Args: archive(proxy) + `,"vmid":200,"overwrite":true,"storage":"local-zfs","confirm":true}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/lxc"},
			Says: []string{"of CT 200 is the one from before"}},
		{Name: "restore over a VM without a generation id", Options: sim.Options{Model: model(small, stopped(100), unborn)}, Fault: pvesim.Fault{Match: "POST /nodes/*/qemu", TaskIdle: true},
			Args: archive(webNew) + `,"vmid":100,"overwrite":true,"confirm":true}`, Outcome: tool.Unknown, Writes: []string{"POST /nodes/{node}/qemu"},
			Says: []string{"of VM 100 reads as before. Whether its disks are those of the backup is unknown."}},
		{Name: "such a VM is restored over itself", Options: sim.Options{Model: model(small, stopped(100), unborn)},
			Args: archive(webNew) + `,"vmid":100,"overwrite":true,"confirm":true,"wait":45}`, Outcome: tool.Warnings, Writes: []string{"POST /nodes/{node}/qemu"},
			Says: []string{"its log says that the disks were written. The configuration of VM 100 reads as before"}},
	})
}

// unborn takes the generation id from VM 100 and its backups.
func unborn(m *pvesim.Model) {
	for i := range m.Guests {
		if m.Guests[i].VMID == 100 {
			delete(m.Guests[i].Config, "vmgenid")
		}
	}
}
