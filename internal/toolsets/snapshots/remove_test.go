package snapshots_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// onStorage moves the disks of VM 102, and of its snapshots, to a storage, and makes that one
// of a type.
func onStorage(storage, typ string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		sim.Guest(102, func(g *pvesim.Guest) {
			for _, config := range []map[string]string{g.Config, g.Snapshots[0].Config, g.Snapshots[1].Config} {
				for key, value := range config {
					config[key] = strings.Replace(value, "local-zfs:vm-102", storage+":102/vm-102", 1)
				}
			}
		})(m)
		for i := range m.Storages {
			if m.Storages[i].ID == storage {
				m.Storages[i].Type = typ
			}
		}
	}
}

func TestRollback(t *testing.T) {
	ram := sim.Guest(102, func(g *pvesim.Guest) { g.Snapshots[1].VMState = "local-zfs:vm-102-state-after-upgrade" })
	ct := sim.Snapshot(200, "monday")
	sim.Tell(t, "pve_rollback_snapshot", []sim.Story{
		{Name: "not confirmed", Options: with(onStorage("nfs", "lvmthin")), Args: `{"vmid":102,"snapname":"before-upgrade"}`, Outcome: tool.NeedsConfirmation, Sent: 6 + 5, // five places may have backups
			Says: []string{
				"Rollback of VM 102 (db-1) to before-upgrade loses what cannot be brought back; nothing was done yet.",
				"everything on the disks of VM 102 (db-1) on pve2 since 1999-12-30T22:00:00Z (1d 2h ago) is lost; its configuration returns to that time, too",
				"it is running: it is stopped, and stays so (start: true starts it again)",
				`"the later snapshots after-upgrade stay in the list"`,
				"call again: "}},
		{Name: "on a storage that may keep chains", Options: with(onStorage("nfs", "nfs")), Args: `{"vmid":102,"snapname":"before-upgrade"}`, Outcome: tool.NeedsConfirmation,
			Says: []string{`"the later snapshots after-upgrade stay in the list; if nfs is ZFS or keeps snapshots as a chain of volumes, PVE refuses the rollback because of them"`}},
		{Name: "on a storage that is not seen", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms", "PVEVMAdmin"))}, Args: `{"vmid":102,"snapname":"before-upgrade"}`,
			Outcome: tool.NeedsConfirmation, Says: []string{"if local-zfs is ZFS or keeps snapshots as a chain"}},
		{Name: "confirmed", Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.OK, Writes: []string{rollback}, Sent: 7, Says: []string{
			`"message":"Rollback of VM 102 (db-1) to after-upgrade: done."`, `"node":"pve2","status":"stopped"`}},
		{Name: "started again", Args: `{"vmid":102,"snapname":"after-upgrade","start":true,"confirm":true}`, Outcome: tool.OK, Writes: []string{rollback}, Says: []string{`"status":"running"`}},
		{Name: "it does not start again", Options: with(sim.Guest(102, func(g *pvesim.Guest) { g.StartFails = []string{"no memory"} })), Args: `{"vmid":102,"snapname":"after-upgrade","start":true,"confirm":true}`,
			Outcome: tool.Failed, Writes: []string{rollback}, Says: []string{"Rollback of VM 102 (db-1) to after-upgrade: done. What comes after it: the start failed: no memory", `"status":"stopped"`}},
		{Name: "started again, not confirmed", Args: `{"vmid":102,"snapname":"after-upgrade","start":true}`, Outcome: tool.NeedsConfirmation, Says: []string{"it is stopped, and runs again afterwards"}, Lacks: []string{"later snapshots"}},
		{Name: "with RAM, not confirmed", Options: with(ram), Args: `{"vmid":102,"snapname":"after-upgrade"}`, Outcome: tool.NeedsConfirmation, Says: []string{"it is stopped, and runs again afterwards"}},
		{Name: "with RAM", Options: with(ram), Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.OK, Writes: []string{rollback}, Says: []string{`"status":"running"`}},
		{Name: "CT", Options: with(ct), Args: `{"vmid":200,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{rollbackCT}, Sent: 7, Says: []string{`"status":"stopped"`}},
		{Name: "of a scratch VM, not confirmed", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.NeedsConfirmation,
			Says: []string{"Rollback of VM $vmid (scratch) to monday loses what cannot be brought back; nothing was done yet.", "everything on the disks of VM $vmid (scratch) on $node since "}},
		{Name: "of a running VM, with its configuration", On: sim.RunningVM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}
			pve_update_guest_config {"vmid":$vmid,"set":{"description":"later"}}`, Args: `{"vmid":$vmid,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{rollback}, Sent: 7,
			Says: []string{`"message":"Rollback of VM $vmid (scratch) to monday: done."`, `"node":"$node","status":"stopped"`}},
		{Name: "of a running VM, started again", On: sim.RunningVM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"monday","start":true,"confirm":true}`,
			Outcome: tool.OK, Writes: []string{rollback}, Says: []string{`"status":"running"`}},
		{Name: "of a CT", On: sim.CT, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{rollbackCT}, Sent: 7,
			Says: []string{`"status":"stopped"`}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"), sim.Snapshot(103, "monday"))}, Args: `{"vmid":103,"snapname":"monday","start":true,"confirm":true}`,
			Outcome: tool.OK, Writes: []string{rollbackCT}, Says: []string{`"status":"running"`}},
		{Name: "moved", Options: moved("POST", "/rollback"), Args: `{"vmid":105,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Writes: []string{rollback}, Says: []string{`"node":"pve1"`, "nodes/pve3/qemu-server/105.conf' does not exist"}},
		{Name: "moved while it is looked at", Options: moved("GET", "/snapshot"), Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.NeedsConfirmation, Says: []string{"on pve1"}},

		{Name: "not the latest one on ZFS", Args: `{"vmid":102,"snapname":"before-upgrade","confirm":true}`, Outcome: tool.Failed, Sent: 4, Says: []string{
			"VM 102 (db-1) cannot return to before-upgrade now, and nothing was done: scsi0 is on local-zfs (zfspool), which returns to its newest snapshot only.",
			"delete_newer: true deletes them first, in this order: after-upgrade."}},
		{Name: "not the latest one, unseen", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms", "PVEVMAdmin"))}, Args: `{"vmid":102,"snapname":"before-upgrade","confirm":true}`,
			Outcome: tool.Failed, Writes: []string{rollback}, Says: []string{"failed: can't rollback, 'before-upgrade' is not most recent snapshot on", `"status":"running"`}},
		{Name: "the newer ones first, not confirmed", Args: `{"vmid":102,"snapname":"before-upgrade","delete_newer":true}`, Outcome: tool.NeedsConfirmation,
			Says: []string{"the newer snapshots after-upgrade are deleted first: there is no way back to them"}},
		{Name: "the newer ones first", Args: `{"vmid":102,"snapname":"before-upgrade","delete_newer":true,"start":true,"confirm":true,"wait":45}`, Outcome: tool.OK, Writes: []string{remove, rollback},
			Says: []string{`"message":"Rollback of VM 102 (db-1) to before-upgrade: done."`, `"status":"running"`}},
		{Name: "the newer ones first, and one stays", Fault: pvesim.Fault{Match: "DELETE /nodes/*/qemu/102/snapshot/after-upgrade", TaskFails: "dataset is busy"},
			Args: `{"vmid":102,"snapname":"before-upgrade","delete_newer":true,"confirm":true}`, Outcome: tool.Failed, Writes: []string{remove},
			Says: []string{"Deletion of the snapshot after-upgrade of VM 102 (db-1) failed: dataset is busy", `"status":"running"`}},
		{Name: "incomplete", Options: sim.Options{Wire: sim.Answers("/snapshot", `[{"name":"monday","snaptime":946000000,"snapstate":"delete"},{"name":"current","parent":"monday"}]`)},
			Args: `{"vmid":105,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Sent: 2, Says: []string{"The snapshot monday of VM 105 is incomplete (delete), so there is no way back to it.", "force: true"}},
		{Name: "of an unknown time", Options: sim.Options{Wire: sim.Answers("/snapshot", `[{"name":"after-upgrade","snaptime":0},{"name":"current","parent":"after-upgrade"}]`)},
			Args: `{"vmid":102,"snapname":"after-upgrade"}`, Outcome: tool.NeedsConfirmation, Says: []string{"since an unknown time is lost"}, Lacks: []string{"1970"}},
		{Name: "no such snapshot", Args: `{"vmid":102,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Sent: 3, Says: []string{`VM 102 has no snapshot \"monday\".`, "It has before-upgrade and after-upgrade."}},
		{Name: "none at all", Args: `{"vmid":105,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Says: []string{"It has none at all."}},
		{Name: "the present", Args: `{"vmid":102,"snapname":"current","confirm":true}`, Outcome: tool.Failed, Says: []string{`has no snapshot \"current\"`}},
		{Name: "locked", Args: `{"vmid":107,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Sent: 5, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Failed, Writes: []string{rollback},
			Says: []string{"lacks VM.Snapshot or VM.Snapshot.Rollback on /vms/102."}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "node down", Options: with(sim.Offline("pve2")), Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/102/snapshot/*/rollback", Drop: true}, Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Unknown, Writes: []string{rollback},
			Says: []string{"is unknown", "locked by rollback", "task qmrollback by ops@pve!mcp"}},
	})
}

func TestDelete(t *testing.T) {
	ct := sim.Snapshot(200, "monday")
	sim.Tell(t, "pve_delete_snapshot", []sim.Story{
		{Name: "not confirmed", Args: `{"vmid":102,"snapname":"before-upgrade"}`, Outcome: tool.NeedsConfirmation, Sent: 5 + 5, // five places may have backups
			Says: []string{
				"Deletion of the snapshot before-upgrade of VM 102 (db-1) loses what cannot be brought back; nothing was done yet.",
				"VM 102 (db-1) on pve2 can no longer return to 1999-12-30T22:00:00Z (1d 2h ago)"}},
		{Name: "confirmed", Args: `{"vmid":102,"snapname":"before-upgrade","confirm":true}`, Outcome: tool.OK, Writes: []string{remove}, Sent: 5, Says: []string{`"deleted":true,"snapshots":["after-upgrade"]`}},
		{Name: "by force", Args: `{"vmid":102,"snapname":"before-upgrade","force":true,"confirm":true}`, Outcome: tool.OK, Writes: []string{remove}},
		{Name: "CT", Options: with(ct), Args: `{"vmid":200,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{removeCT}, Sent: 5, Says: []string{`"deleted":true`}, Lacks: []string{`"snapshots"`}},
		{Name: "of a scratch VM, not confirmed", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.NeedsConfirmation,
			Says: []string{"Deletion of the snapshot monday of VM $vmid (scratch) loses what cannot be brought back; nothing was done yet."}},
		{Name: "one of two", On: sim.RunningVM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}
			pve_create_snapshot {"vmid":$vmid,"snapname":"tuesday"}`, Args: `{"vmid":$vmid,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{remove}, Sent: 5,
			Says: []string{`"deleted":true,"snapshots":["tuesday"]`}},
		{Name: "of a CT", On: sim.CT, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{removeCT}, Sent: 5,
			Says: []string{`"deleted":true`}, Lacks: []string{`"snapshots"`}},
		{Name: "the only one is another", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"tuesday","confirm":true}`, Outcome: tool.Failed, Sent: 3,
			Says: []string{`VM $vmid has no snapshot \"tuesday\".`}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"), sim.Snapshot(100, "monday"))}, Args: `{"vmid":100,"snapname":"monday","confirm":true}`, Outcome: tool.OK, Writes: []string{remove}},
		{Name: "moved", Options: moved("DELETE", "/monday"), Args: `{"vmid":105,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Writes: []string{remove}, Says: []string{`"node":"pve1"`, "nodes/pve3/qemu-server/105.conf' does not exist"}},
		{Name: "no such snapshot", Args: `{"vmid":102,"snapname":"../../status/stop","confirm":true}`, Outcome: tool.Failed, Sent: 3, Says: []string{`VM 102 has no snapshot \"../../status/stop\".`}},
		{Name: "deleted meanwhile", Options: sim.Options{Before: sim.Meanwhile("DELETE", "/before-upgrade", `pve_delete_snapshot {"vmid":102,"snapname":"before-upgrade","confirm":true}`)},
			Args: `{"vmid":102,"snapname":"before-upgrade","confirm":true}`, Outcome: tool.Failed, Writes: []string{remove}, Says: []string{"snapshot 'before-upgrade' does not exist"}},
		{Name: "locked", Args: `{"vmid":107,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Failed, Writes: []string{remove}, Says: []string{"lacks VM.Snapshot on /vms/102."}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"snapname":"monday","confirm":true}`, Outcome: tool.Failed, Says: []string{"There is no guest $vmid"}},
		{Name: "node down", Options: with(sim.Offline("pve2")), Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "task fails", Fault: pvesim.Fault{Match: "DELETE /nodes/*/qemu/102/snapshot/*", TaskFails: "zfs error: dataset is busy"}, Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Failed, Writes: []string{remove},
			Says: []string{"failed: zfs error: dataset is busy", `"snapshots":["before-upgrade","after-upgrade"]`}, Lacks: []string{`"deleted"`}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "DELETE /nodes/*/qemu/102/snapshot/*", Drop: true}, Args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, Outcome: tool.Unknown, Writes: []string{remove},
			Says: []string{"is unknown", "task qmdelsnapshot by ops@pve!mcp"}},
	})
}
