package backups_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

const (
	vzdump    = "POST /nodes/{node}/vzdump"
	restoreVM = "POST /nodes/{node}/qemu"
	restoreCT = "POST /nodes/{node}/lxc"
	backedUp  = `pve_create_backup {"vmid":$vmid,"storage":"$backups"}`
)

// Backups of guests that can be anywhere.
func TestCreateBackupOfScratchGuests(t *testing.T) {
	sim.Tell(t, "pve_create_backup", []sim.Story{
		{Name: "stopped VM", On: sim.VM, Args: `{"vmid":$vmid,"storage":"$backups","notes":"golden image"}`, Outcome: tool.OK, Writes: []string{vzdump}, Sent: 5, Says: []string{
			`"message":"Backup of VM $vmid (scratch) on $node to $backups: done."`, `"backup":{"volid":"$backups:backup/`, `"vmid":$vmid,`, `"type":"qemu"`, `"notes":"golden image"`,
		}},
		{Name: "running VM", On: sim.RunningVM, Args: `{"vmid":$vmid,"storage":"$backups"}`, Outcome: tool.OK, Writes: []string{vzdump}, Says: []string{`"backup":{"volid":"$backups:backup/`}},
		{Name: "stopped CT", On: sim.CT, Args: `{"vmid":$vmid,"storage":"$backups"}`, Outcome: tool.OK, Writes: []string{vzdump}, Sent: 5, Says: []string{"Backup of CT $vmid (scratch) on $node to $backups: done.", `"type":"lxc"`}},
		{Name: "running CT, in mode stop", On: sim.RunningCT, Args: `{"vmid":$vmid,"storage":"$backups","mode":"stop"}`, Outcome: tool.OK, Writes: []string{vzdump}, Says: []string{"(mode stop: it is shut down and started again): done."}},
		{Name: "template", On: sim.Template, Args: `{"vmid":$vmid,"storage":"$backups"}`, Outcome: tool.OK, Writes: []string{vzdump}, Says: []string{`"backup":{"volid":"$backups:backup/`}},
		{Name: "no such storage", On: sim.VM, Args: `{"vmid":$vmid,"storage":"nowhere"}`, Outcome: tool.Failed, Says: []string{"nowhere"}},
		{Name: "a storage for disks", On: sim.VM, Args: `{"vmid":$vmid,"storage":"$storage"}`, Outcome: tool.Failed, Says: []string{"$storage"}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"storage":"$backups"}`, Outcome: tool.Failed, Says: []string{"There is no guest $vmid"}},
	})
}

func TestRestoreOfScratchGuests(t *testing.T) {
	sim.Tell(t, "pve_restore_backup", []sim.Story{
		{Name: "VM, to another id", On: sim.VM, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$newid,"storage":"$storage"}`, Outcome: tool.OK, Writes: []string{restoreVM}, Says: []string{
			`"message":"Restore of VM $newid from ${backup.volid} on $node: done."`, `"status":"stopped"`,
		}},
		{Name: "VM, started", On: sim.VM, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$newid,"storage":"$storage","unique":true,"start":true}`, Outcome: tool.OK, Writes: []string{restoreVM},
			Says: []string{`"vmid":$newid`, `"status":"running"`}},
		{Name: "CT, to another id", On: sim.CT, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$newid,"storage":"$storage"}`, Outcome: tool.OK, Writes: []string{restoreCT}, Says: []string{`"vmid":$newid`, `"status":"stopped"`}},
		{Name: "VM, as a copy that takes no address", On: sim.VM, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$newid,"storage":"$storage","name":"copy","disconnect_nics":true,"unique":true,"start":true}`, Outcome: tool.OK,
			Writes: []string{restoreVM}, Says: []string{`"vmid":$newid,"name":"copy"`, `"status":"running"`}, Lacks: []string{"although"}},
		{Name: "CT, as a copy that takes no address", On: sim.CT, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$newid,"storage":"$storage","name":"copy","disconnect_nics":true,"unique":true,"start":true}`, Outcome: tool.OK,
			Writes: []string{restoreCT}, Says: []string{`"vmid":$newid,"name":"copy"`, `"status":"running"`}, Lacks: []string{"although"}},
		{Name: "VM that there is no more", On: sim.VM, First: backedUp + "\n" + `pve_delete_guest {"vmid":$vmid,"confirm":true}`, Args: `{"archive":"${backup.volid}","vmid":$vmid,"storage":"$storage"}`, Outcome: tool.OK,
			Writes: []string{restoreVM}, Says: []string{`"vmid":$vmid`, `"status":"stopped"`}},
		{Name: "over itself, not confirmed", On: sim.VM, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$vmid,"overwrite":true}`, Outcome: tool.NeedsConfirmation, Says: []string{"VM $vmid (scratch)"}},
		{Name: "over itself", On: sim.VM, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$vmid,"overwrite":true,"confirm":true}`, Outcome: tool.OK, Writes: []string{restoreVM}, Says: []string{`"vmid":$vmid`, `"status":"stopped"`}},
		{Name: "the id is taken", On: sim.VM, First: backedUp, Args: `{"archive":"${backup.volid}","vmid":$vmid}`, Outcome: tool.Failed, Says: []string{"The id $vmid is that of scratch on $node; nothing was sent."}},
	})
}

func TestListBackupsOfScratchGuests(t *testing.T) {
	sim.Tell(t, "pve_list_backups", []sim.Story{
		{Name: "a new one", On: sim.VM, First: backedUp, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`{"backups":[{"volid":"${backup.volid}","vmid":$vmid,`, `"total":1`}},
		{Name: "none", On: sim.VM, Args: `{"vmid":$vmid,"storage":"$backups"}`, Outcome: tool.OK, Says: []string{`"backups":[]`, `"total":0`}},
	})
}
