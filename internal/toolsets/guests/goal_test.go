package guests_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A task that ends well and has done nothing is no success: what is true now counts.
func TestChangesThatDidNothing(t *testing.T) {
	idle := func(match string) pvesim.Fault { return pvesim.Fault{Match: match, TaskIdle: true} }
	shared := sim.Options{Model: sim.Cluster(shared)}
	sim.Tell(t, "pve_delete_guest", []sim.Story{
		{Name: "delete", Fault: idle("DELETE /nodes/*/qemu/105"), Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Failed, Writes: []string{deleteVM},
			Says: []string{"PVE's task succeeded, but VM 105 is still there: it is stopped on pve3."}, Lacks: []string{`"deleted"`}},
	})
	sim.Tell(t, "pve_resize_disk", []sim.Story{
		{Name: "by", Fault: idle("PUT /nodes/*/qemu/105/resize"), Args: `{"vmid":105,"disk":"scsi0","size":"+10G"}`, Outcome: tool.Failed, Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/resize"},
			Says: []string{"PVE accepted the resize of scsi0 of VM 105, but its size is 120 GiB, not 130 GiB."}},
		{Name: "to", Fault: idle("PUT /nodes/*/qemu/105/resize"), Args: `{"vmid":105,"disk":"scsi0","size":"140G"}`, Outcome: tool.Failed, Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/resize"},
			Says: []string{"its size is 120 GiB, not 140 GiB."}},
	})
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "migrate", Options: shared, Fault: idle("POST /nodes/*/qemu/105/migrate"), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed, Writes: []string{migrateVM},
			Says: []string{"PVE's task succeeded, but VM 105 is on pve3, not on pve1.", `"node":"pve3"`}},
	})
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		{Name: "clone", Fault: idle("POST /nodes/*/qemu/900/clone"), Args: `{"vmid":900,"newid":333}`, Outcome: tool.Failed, Writes: []string{"POST /nodes/{node}/qemu/{vmid}/clone"},
			Says: []string{"PVE's task succeeded, but there is no guest 333."}},
	})
	sim.Tell(t, "pve_guest_power", []sim.Story{
		{Name: "power", Fault: idle("POST /nodes/*/qemu/105/status/start"), Args: `{"vmid":105,"action":"start"}`, Outcome: tool.Running, Writes: []string{"POST /nodes/{node}/qemu/{vmid}/status/start"},
			Says: []string{"PVE accepted it, and the guest has not reached that state yet."}},
	})
	taken := func(path string) pvesim.Fault {
		return pvesim.Fault{Match: path, Proxy: true, Status: 200, Message: `{"data":null}`}
	}
	configVM := []string{"PUT /nodes/{node}/qemu/{vmid}/config"}
	sim.Tell(t, "pve_update_guest_config", []sim.Story{
		{Name: "set", Fault: taken("PUT /nodes/*/qemu/105/config"), Args: `{"vmid":105,"set":{"cores":7}}`, Outcome: tool.Failed, Writes: configVM,
			Says: []string{"PVE accepted the change, but the configuration of VM 105 reads as before: cores is", "not 7"}},
		{Name: "delete", Fault: taken("PUT /nodes/*/qemu/105/config"), Args: `{"vmid":105,"delete":["memory"]}`, Outcome: tool.Failed, Writes: configVM,
			Says: []string{"reads as before: memory is still there"}},
		{Name: "as it is", Fault: taken("PUT /nodes/*/qemu/105/config"), Args: `{"vmid":105,"set":{"memory":16384}}`, Outcome: tool.OK, Writes: configVM},
	})
}

// A deletion looks for what it leaves behind, beside what its log says.
func TestDeletionsThatLeaveVolumes(t *testing.T) {
	keeps := pvesim.Fault{Match: "DELETE /nodes/*/*/*", Keeps: "zfs error: dataset is busy"}
	sim.Tell(t, "pve_delete_guest", []sim.Story{
		{Name: "VM", Fault: keeps, Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Warnings, Writes: []string{deleteVM}, Says: []string{
			`"message":"The guest 105 is deleted, but volumes of it are left: local-zfs:vm-105-disk-0."`, `"deleted":true`,
			`"log":["Could not remove disk 'local-zfs:vm-105-disk-0', check manually: zfs error: dataset is busy"]`,
		}},
		{Name: "the storage cannot be looked at", Fault: pvesim.Fault{Match: "GET /nodes/*/storage/*/content", Status: 500, Message: "got timeout"}, Args: `{"vmid":105,"confirm":true}`,
			Outcome: tool.OK, Writes: []string{deleteVM}, Says: []string{"The guest 105 is deleted. Volumes of it may be left, which cannot be checked: ", "got timeout"}},
	})
	without := sim.Cluster(sim.Grant("/vms", "PVEVMAdmin"))
	sim.Tell(t, "pve_delete_guest", []sim.Story{
		{Name: "the storage is hidden", Options: sim.Options{Model: without, Token: "none@pve!mcp"}, Fault: keeps, Args: `{"vmid":105,"confirm":true}`,
			Outcome: tool.Warnings, Writes: []string{deleteVM}, Says: []string{"Could not remove disk"}},
	})
}

// The answer has what a task's log says was left undone, although the task ended OK.
func TestTasksThatLeaveSomethingUndone(t *testing.T) {
	for _, line := range []string{"WARN: no efidisk configured", "INFO: skipping guest-agent 'fs-freeze', agent configured but not running?", "ERROR: failed to remove snapshot 'x'", "guest-fsfreeze-freeze problems - timeout"} {
		sim.Tell(t, "pve_clone_guest", []sim.Story{
			{Name: line, Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/900/clone", TaskSays: line}, Args: `{"vmid":900,"newid":333}`, Outcome: tool.Warnings,
				Writes: []string{"POST /nodes/{node}/qemu/{vmid}/clone"}, Says: []string{"something was left undone: ", strings.TrimPrefix(line, "ERROR: "), `"log":[`, `"newid":333`}},
		})
	}
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		{Name: "nothing", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/900/clone", TaskSays: "create linked clone of drive scsi0"}, Args: `{"vmid":900,"newid":333}`, Outcome: tool.OK,
			Writes: []string{"POST /nodes/{node}/qemu/{vmid}/clone"}},
	})
}

// Migration problems come after the guest has moved.
func TestMigrationProblems(t *testing.T) {
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "stopped VM", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/105/migrate", Keeps: "dataset is busy"}, Args: `{"vmid":105,"target":"pve1","wait":45}`, Options: sim.Options{Model: sim.Cluster(sim.Set(105, "scsi0=local-zfs:vm-105-disk-0,size=2G"))},
			Outcome: tool.Warnings, Writes: []string{migrateVM}, Says: []string{
				"The migration ended with problems, and VM 105 has moved: it is stopped on pve1 now. Volumes of it are left on pve3: local-zfs:vm-105-disk-0.",
				"ERROR: removing local copy of 'local-zfs:vm-105-disk-0' failed - dataset is busy", `"exit_status":"migration problems"`, `"node":"pve1"`,
			}},
	})
}

// PVE moves no linked clone from a local storage, and says so only in the task.
func TestMigrationOfALinkedClone(t *testing.T) {
	linked := sim.Options{Model: sim.Cluster(sim.Guest(105, func(g *pvesim.Guest) {
		g.Node, g.Config["scsi0"] = "pve1", "local-zfs:base-900-disk-0/vm-105-disk-0,size=16G"
	}))}
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "linked clone", Options: linked, Args: `{"vmid":105,"target":"pve2"}`, Outcome: tool.Failed, Says: []string{
			"VM 105 is a linked clone, and PVE does not migrate one from a local storage: local-zfs:base-900-disk-0/vm-105-disk-0.", "full: true"}},
	})
}

// The error for a lock that PVE could not get says that nothing was changed, and what holds it.
func TestLocksThatAreNotHadInTime(t *testing.T) {
	configVM := []string{"PUT /nodes/{node}/qemu/{vmid}/config"}
	sim.Tell(t, "pve_update_guest_config", []sim.Story{
		{Name: "while a shutdown waits", First: `pve_guest_power {"vmid":106,"action":"shutdown","wait":0}`, Args: `{"vmid":106,"set":{"cores":7}}`, Outcome: tool.Failed, Writes: configVM, Says: []string{
			"PVE is busy, and nothing was changed: can't lock file '/var/lock/qemu-server/lock-106.conf' - got timeout.", "The lock is probably held by qmshutdown by ", "Then call again."}},
		{Name: "of the cluster", Fault: pvesim.Fault{Match: "PUT /nodes/*/qemu/105/config", Status: 500, Message: "cfs-lock 'domain-ha' error: got lock request timeout"}, Args: `{"vmid":105,"set":{"cores":7}}`,
			Outcome: tool.Failed, Writes: configVM, Says: []string{"PVE is busy, and nothing was changed: cfs-lock 'domain-ha' error: got lock request timeout.", "Call again in a moment."}},
	})
}
