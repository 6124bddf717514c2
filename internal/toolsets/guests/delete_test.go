package guests_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	deleteVM = "DELETE /nodes/{node}/qemu/{vmid}"
	deleteCT = "DELETE /nodes/{node}/lxc/{vmid}"
)

// stopped stops a guest.
func stopped(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) { g.Running, g.QMPStatus = false, "" })
}

func TestDelete(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	linked := sim.Guest(105, func(g *pvesim.Guest) {
		g.Node, g.Config["scsi0"] = "pve1", "local-zfs:base-900-disk-0/vm-105-disk-0,size=16G"
	})
	sim.Tell(t, "pve_delete_guest", []sim.Story{
		{Name: "not confirmed", Options: with(stopped(104), sim.Snapshot(104, "monday")), Args: `{"vmid":104}`, Outcome: tool.NeedsConfirmation, Sent: 5 + 5, // five places may have backups
			Says: []string{
				"Deletion of VM 104 (mail) on pve1 loses what cannot be brought back; nothing was done yet.",
				`"consequences":["the guest, all its disks and its snapshots are destroyed; its backups stay","VM 104 (mail) on pve1 is stopped",` +
					`"disk scsi0: local-zfs:vm-104-disk-0, 80 GiB","disk unused0: local-zfs:vm-104-disk-1, of unknown size","its snapshots: monday","its newest backup is `,
				"call again: ",
			}},
		{Name: "confirmed", On: sim.VM, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}, Sent: 6, Says: []string{
			`"message":"Deletion of VM $vmid (scratch) on $node: done."`, `"vmid":$vmid,"deleted":true`,
		}},
		{Name: "scratch VM, not confirmed", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid}`, Outcome: tool.NeedsConfirmation, Says: []string{
			"Deletion of VM $vmid (scratch) on $node loses what cannot be brought back; nothing was done yet.", "VM $vmid (scratch) on $node is stopped", "disk scsi0: $storage:", ", 1 GiB", "its snapshots: monday",
		}},
		{Name: "with a snapshot", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}, Says: []string{`"deleted":true`}},
		{Name: "once it is stopped", On: sim.RunningVM, First: `pve_guest_power {"vmid":$vmid,"action":"stop"}`, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}, Says: []string{`"deleted":true`}},
		{Name: "a clone, its template stays", On: sim.Template, First: `pve_clone_guest {"vmid":$vmid,"newid":$newid}`, Args: `{"vmid":$newid,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}, Says: []string{`"vmid":$newid,"deleted":true`}},
		{Name: "CT, not confirmed", On: sim.CT, Args: `{"vmid":$vmid}`, Outcome: tool.NeedsConfirmation, Says: []string{"disk rootfs: $storage:"}},
		{Name: "CT", On: sim.CT, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteCT}, Sent: 6, Says: []string{`"deleted":true`}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"))}, Args: `{"vmid":103,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteCT}},
		{Name: "a CD stays", Options: with(sim.Set(105, "ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom")), Args: `{"vmid":105}`, Outcome: tool.NeedsConfirmation, Lacks: []string{"debian"}},
		{Name: "more than its configuration names", Args: `{"vmid":105,"purge":true,"destroy_unreferenced_disks":true}`, Outcome: tool.NeedsConfirmation, Says: []string{
			"it is removed from backup jobs, HA and replication", "every other disk of the id 105 on any storage is destroyed, too",
		}},
		{Name: "unreferenced disks", Args: `{"vmid":105,"destroy_unreferenced_disks":true,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}},
		{Name: "HA, purged", Options: with(stopped(103), sim.Guest(103, func(g *pvesim.Guest) { g.HA = "stopped" })), Args: `{"vmid":103,"purge":true,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}},
		{Name: "suspended, not confirmed", Args: `{"vmid":109}`, Outcome: tool.NeedsConfirmation, Says: []string{"its suspended state is lost"}},
		{Name: "suspended", Args: `{"vmid":109,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}, Says: []string{`"deleted":true`}},
		{Name: "template without clones", On: sim.Template, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.OK, Writes: []string{deleteVM}},
		{Name: "template with a linked clone, not confirmed", Options: with(linked), Args: `{"vmid":900}`, Outcome: tool.NeedsConfirmation,
			Says: []string{"linked clones of it need its disks: 105"}},
		{Name: "template without clones, not confirmed", On: sim.Template, Args: `{"vmid":$vmid}`, Outcome: tool.NeedsConfirmation, Says: []string{"no linked clone of it can be seen"}},
		{Name: "template with a linked clone", Options: with(linked), Args: `{"vmid":900,"confirm":true}`, Outcome: tool.Failed, Writes: []string{deleteVM},
			Says: []string{"base volume 'local-zfs:base-900-disk-0' is still in use by linked cloned"}, Lacks: []string{`"deleted"`}},
		{Name: "moved", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve1", "DELETE", "/105")}, Args: `{"vmid":105,"confirm":true}`,
			Outcome: tool.OK, Writes: []string{deleteVM, deleteVM}, Says: []string{`"deleted":true`}},
		{Name: "moved while it is looked at", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve1", "GET", "/config")}, Args: `{"vmid":105}`,
			Outcome: tool.NeedsConfirmation, Says: []string{"on pve1"}},

		{Name: "template with a clone, not confirmed", On: sim.Template, Bases: sim.KeepsBases, First: `pve_clone_guest {"vmid":$vmid,"newid":$newid}`, Args: `{"vmid":$vmid}`, Outcome: tool.NeedsConfirmation, Says: []string{"linked clones of it need its disks: $newid"}},
		{Name: "template with a clone", On: sim.Template, Bases: sim.KeepsBases, First: `pve_clone_guest {"vmid":$vmid,"newid":$newid}`, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.Failed, Writes: []string{deleteVM}, Says: []string{"is still in use by linked cloned"}},
		{Name: "template with a clone that lives without it, not confirmed", On: sim.Template, Bases: sim.FreesBases, First: `pve_clone_guest {"vmid":$vmid,"newid":$newid}`, Args: `{"vmid":$vmid}`,
			Outcome: tool.NeedsConfirmation, Says: []string{"linked clones of it on $storage (", ") are not known as such to PVE, and live on without it"}, Lacks: []string{"need its disks", "no linked clone"}},
		{Name: "template with a clone that lives without it", On: sim.Template, Bases: sim.FreesBases, First: `pve_clone_guest {"vmid":$vmid,"newid":$newid}`, Args: `{"vmid":$vmid,"confirm":true}`,
			Outcome: tool.OK, Writes: []string{deleteVM}, Says: []string{`"vmid":$vmid,"deleted":true`}},
		{Name: "protected a moment ago", On: sim.VM, First: `pve_update_guest_config {"vmid":$vmid,"set":{"protection":1}}`, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.Failed, Sent: 3,
			Says: []string{"VM $vmid (scratch) is protected against removal.", "delete: protection"}},
		{Name: "running", On: sim.RunningVM, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM $vmid (scratch) is running; only a stopped guest can be deleted.", "pve_guest_power"}},
		{Name: "running CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.Failed, Says: []string{"CT $vmid (scratch) is running"}},
		{Name: "paused", Args: `{"vmid":108,"confirm":true}`, Outcome: tool.Failed, Says: []string{"VM 108 (forensics) is paused"}},
		{Name: "locked", Args: `{"vmid":107,"confirm":true}`, Outcome: tool.Failed, Sent: 5, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "protected", Options: with(sim.Set(105, "protection=1")), Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Failed, Sent: 3, Says: []string{"VM 105 (build-1) is protected against removal.", "delete: protection"}},
		{Name: "protected CT", Options: with(sim.Set(204, "protection=1")), Args: `{"vmid":204,"confirm":true}`, Outcome: tool.Failed, Says: []string{"CT 204 (sandbox) is protected against removal."}},
		{Name: "protected meanwhile", Options: sim.Options{Before: sim.Meanwhile("DELETE", "/105", `pve_update_guest_config {"vmid":105,"set":{"protection":1}}`)}, Args: `{"vmid":105,"confirm":true}`,
			Outcome: tool.Failed, Writes: []string{deleteVM}, Says: []string{"can't remove VM 105 - protection mode enabled"}},
		{Name: "started meanwhile", Options: sim.Options{Model: sim.Cluster(stopped(104)), Before: sim.Meanwhile("DELETE", "/104", `pve_guest_power {"vmid":104,"action":"start"}`)},
			Args: `{"vmid":104,"confirm":true}`, Outcome: tool.Failed, Writes: []string{deleteVM}, Says: []string{"VM 104 is running - destroy failed"}},
		{Name: "HA", Options: with(stopped(103), sim.Guest(103, func(g *pvesim.Guest) { g.HA = "stopped" })), Args: `{"vmid":103,"confirm":true}`, Outcome: tool.Failed, Says: []string{"is managed by HA, so PVE does not delete it.", "purge: true"}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Failed, Writes: []string{deleteVM}, Says: []string{"lacks VM.Allocate on /vms/105.", "--roles PVEVMAdmin"}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "read-only", On: sim.VM, Options: sim.Options{Policy: policy.Policy{ReadOnly: true}}, Args: `{"vmid":$vmid,"confirm":true}`, Outcome: tool.Failed, Says: []string{"this server is read-only"}},
		{Name: "node down", Options: with(sim.Offline("pve3")), Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "task fails", Fault: pvesim.Fault{Match: "DELETE /nodes/*/qemu/105", TaskFails: "zfs destroy: dataset is busy"}, Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Failed, Writes: []string{deleteVM},
			Says: []string{"Deletion of VM 105 (build-1) on pve3 failed: zfs destroy: dataset is busy"}, Lacks: []string{`"deleted"`}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "DELETE /nodes/*/qemu/105", Drop: true}, Args: `{"vmid":105,"confirm":true}`, Outcome: tool.Unknown, Writes: []string{deleteVM}, Says: []string{"is unknown", `"found":["sent at `}},
		{Name: "bad flag", On: sim.VM, Args: `{"vmid":$vmid,"purge":"perhaps","confirm":true}`, Outcome: tool.Failed, Says: []string{"neither true nor false"}},
		{Name: "confirmed by a word", On: sim.VM, Args: `{"vmid":$vmid,"confirm":"yes"}`, Outcome: tool.Failed, Says: []string{"neither true nor false"}},
	})
}
