package guests_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	cloneVM = "POST /nodes/{node}/qemu/{vmid}/clone"
	cloneCT = "POST /nodes/{node}/lxc/{vmid}/clone"
	startVM = "POST /nodes/{node}/qemu/{vmid}/status/start"
	startCT = "POST /nodes/{node}/lxc/{vmid}/status/start"
)

// small puts a small disk of the VM 105 on shared storage.
var small = sim.Set(105, "scsi0=nfs:105/vm-105-disk-0.qcow2,size=2G")

func TestClone(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		{Name: "template, linked", Args: `{"vmid":900,"name":"web-3"}`, Outcome: tool.OK, Writes: []string{cloneVM}, Sent: 7, Says: []string{
			`"message":"VM 110 (web-3) on pve1 is a clone of 900."`, `"vmid":900,"newid":110,"name":"web-3","node":"pve1","status":"stopped"`,
		}},
		{Name: "template, in full, to a given id and storage", Args: `{"vmid":900,"newid":300,"full":true,"storage":"nfs","pool":"web","wait":45}`, Outcome: tool.OK, Writes: []string{cloneVM}, Sent: 6,
			Says: []string{`"newid":300,"name":"Copy-of-VM-debian-12"`}},
		{Name: "with a pool alone", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms/900", "PVETemplateUser"), sim.Grant("/pool/web", "PVEVMAdmin"),
			sim.Grant("/storage", "PVEDatastoreUser"), sim.Grant("/sdn", "PVESDNUser"))}, Args: `{"vmid":900,"pool":"web"}`, Outcome: tool.OK, Writes: []string{cloneVM}, Says: []string{`"newid":110`}},
		{Name: "linked, to a given id", On: sim.Template, Args: `{"vmid":$vmid,"newid":$newid,"name":"copy"}`, Outcome: tool.OK, Writes: []string{cloneVM}, Sent: 7, Says: []string{
			`"message":"VM $newid (copy) on $node is a clone of $vmid."`, `"vmid":$vmid,"newid":$newid,"name":"copy","node":"$node","status":"stopped"`,
		}},
		{Name: "linked, and started", On: sim.Template, Args: `{"vmid":$vmid,"newid":$newid,"start":true}`, Outcome: tool.OK, Writes: []string{cloneVM, startVM}, Says: []string{`"newid":$newid`, `"status":"running"`}},
		{Name: "template, in full", On: sim.Template, Args: `{"vmid":$vmid,"newid":$newid,"full":true,"storage":"$storage","wait":45}`, Outcome: tool.OK, Writes: []string{cloneVM}, Sent: 6, Says: []string{`"newid":$newid`, `"status":"stopped"`}},
		{Name: "no template, in full", On: sim.VM, Args: `{"vmid":$vmid,"newid":$newid,"name":"copy","wait":45}`, Outcome: tool.OK, Writes: []string{cloneVM}, Says: []string{`"newid":$newid,"name":"copy"`}},
		{Name: "scratch CT", On: sim.CT, Args: `{"vmid":$vmid,"newid":$newid,"name":"copy","start":true,"wait":45}`, Outcome: tool.OK, Writes: []string{cloneCT, startCT}, Says: []string{`"name":"copy","node":"$node","status":"running"`}},
		{Name: "started", Args: `{"vmid":900,"start":true}`, Outcome: tool.OK, Writes: []string{cloneVM, startVM}, Says: []string{`"status":"running"`}},
		{Name: "to another node", Options: with(sim.Set(900, "scsi0=nfs:900/base-900-disk-0.qcow2,size=16G")), Args: `{"vmid":900,"target":"pve3","start":true}`,
			Outcome: tool.OK, Writes: []string{cloneVM, startVM}, Says: []string{`"node":"pve3","status":"running"`}},
		{Name: "to another node, from local storage", Options: with(sim.Set(900, "scsi0=local-zfs:base-900-disk-0,size=1G")), Args: `{"vmid":900,"target":"pve3","wait":45}`, Outcome: tool.OK, Writes: []string{cloneVM, migrateVM}, Says: []string{
			`"message":"VM 110 (Copy-of-VM-debian-12) on pve3 is a clone of 900."`, `"node":"pve3","status":"stopped"`}},
		{Name: "a CT to another node, from local storage, and started", Args: `{"vmid":910,"target":"pve1","start":true,"wait":45}`, Outcome: tool.OK, Writes: []string{cloneCT, migrateCT, startCT}, Says: []string{
			`"node":"pve1","status":"running"`}},
		{Name: "to another node, and the migration fails", Options: with(sim.Set(900, "scsi0=local-zfs:base-900-disk-0,size=1G")), Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/110/migrate", TaskFails: "out of space"}, Args: `{"vmid":900,"target":"pve3","start":true,"wait":45}`,
			Outcome: tool.Failed, Writes: []string{cloneVM, migrateVM, deleteVM}, Says: []string{
				"Clone of VM 900 (debian-12) as 110: done. What comes after it: Migration of the clone 110 from pve1 to pve3 failed: out of space. Removal of VM 110: done."}},
		{Name: "to another node, and the migration fails, and the clone is kept", Options: with(sim.Set(900, "scsi0=local-zfs:base-900-disk-0,size=1G")), Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/110/migrate", TaskFails: "out of space"},
			Args: `{"vmid":900,"target":"pve3","start":true,"keep":true,"wait":45}`, Outcome: tool.Failed, Writes: []string{cloneVM, migrateVM}, Says: []string{"failed: out of space", `"node":"pve1","status":"stopped"`}},
		{Name: "CT template", Args: `{"vmid":910,"name":"web-3","start":true}`, Outcome: tool.OK, Writes: []string{cloneCT, startCT}, Says: []string{`"name":"web-3","node":"pve3","status":"running"`}},
		{Name: "running VM, in full", Args: `{"vmid":100,"wait":0,"start":true}`, Outcome: tool.Running, Writes: []string{cloneVM}, Says: []string{
			"Clone of VM 100 (web-1) as 110 is under way after 0s.", "Then start the clone with pve_guest_power: vmid 110.",
		}},
		{Name: "stopped CT, in full", Args: `{"vmid":204,"wait":45}`, Outcome: tool.OK, Writes: []string{cloneCT}, Says: []string{`"name":"sandbox"`}},
		{Name: "of a snapshot, in full", Options: with(small, sim.Snapshot(105, "monday")), Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.OK, Writes: []string{cloneVM}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"))}, Args: `{"vmid":900,"start":true}`, Outcome: tool.OK, Writes: []string{cloneVM, startVM},
			Says: []string{`"newid":104`, `"node":"pve","status":"running"`}},
		{Name: "moved", Options: sim.Options{Model: sim.Cluster(small), Before: sim.Moves(105, "pve1", "POST", "/clone")}, Args: `{"vmid":105}`,
			Outcome: tool.OK, Writes: []string{cloneVM, cloneVM}, Says: []string{`"node":"pve1"`}},
		{Name: "the id is taken meanwhile", Options: sim.Options{Before: sim.Meanwhile("POST", "/clone", `pve_clone_guest {"vmid":900}`)}, Args: `{"vmid":900}`,
			Outcome: tool.OK, Writes: []string{cloneVM, cloneVM}, Says: []string{`"message":"VM 111 (Copy-of-VM-debian-12) on pve1 is a clone of 900."`, `"newid":111`}},
	})
}

func TestCloneRefused(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		{Name: "locked", Args: `{"vmid":107}`, Outcome: tool.Failed, Sent: 5, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "linked, of no template", On: sim.VM, Args: `{"vmid":$vmid,"full":false}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM $vmid is not a template, so it cannot have linked clones.", "Make a full clone"}},
		{Name: "linked, of a snapshot on ZFS", Args: `{"vmid":102,"full":false,"snapname":"before-upgrade"}`, Outcome: tool.Failed, Sent: 3, Says: []string{"The storage of VM 102 cannot make linked clones.", "full: true"}},
		{Name: "in full, of a snapshot on ZFS", Args: `{"vmid":102,"snapname":"before-upgrade"}`, Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"Full clone feature is not supported for a snapshot of"}},
		{Name: "no such snapshot", On: sim.VM, Args: `{"vmid":$vmid,"newid":$newid,"snapname":"monday"}`, Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"snapshot 'monday' does not exist.", "pve_list_snapshots"}},
		{Name: "no such snapshot, linked", Args: `{"vmid":102,"snapname":"monday","full":false}`, Outcome: tool.Failed, Sent: 3, Says: []string{"snapshot 'monday' does not exist."}},
		{Name: "running CT", On: sim.RunningCT, Args: `{"vmid":$vmid}`, Outcome: tool.Failed, Sent: 2, Says: []string{"CT $vmid is running, and a running container can only be copied from a snapshot.", "shut it down first"}},
		{Name: "storage of a linked clone", On: sim.Template, Args: `{"vmid":$vmid,"newid":$newid,"storage":"$storage"}`, Outcome: tool.Failed, Sent: 2, Says: []string{"is for full clones"}},
		{Name: "the id is taken", On: sim.Template, Args: `{"vmid":$vmid,"newid":$vmid}`, Outcome: tool.Failed, Says: []string{"The id $vmid is that of scratch on $node; nothing was sent.", "none for the next free one"}},
		{Name: "the id is taken by somebody unseen", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms/900", "PVEVMAdmin"))}, Args: `{"vmid":900,"newid":105}`,
			Outcome: tool.Failed, Says: []string{"The id 105 is taken; nothing was sent."}},
		{Name: "bad id", On: sim.Template, Args: `{"vmid":$vmid,"newid":5}`, Outcome: tool.Failed, Says: []string{"newid", "from 100"}},
		{Name: "no such node", Args: `{"vmid":900,"target":"pve9"}`, Outcome: tool.Failed, Says: []string{"There is no node", "The nodes are pve1, pve2 and pve3."}},
		{Name: "target down", Options: with(sim.Offline("pve3")), Args: `{"vmid":900,"target":"pve3"}`, Outcome: tool.Failed, Says: []string{"The node pve3 is offline.", "Other nodes still answer."}},
		{Name: "linked to another node, from local storage", Args: `{"vmid":900,"target":"pve3","full":false}`, Outcome: tool.Failed, Says: []string{"VM 900 has disks on storages of its node alone", "Leave full out"}},
		{Name: "to another node, to a storage that it lacks", Args: `{"vmid":900,"target":"pve3","storage":"nowhere"}`, Outcome: tool.Failed, Says: []string{"pve3 has no storage nowhere"}},
		{Name: "no such storage", On: sim.Template, Args: `{"vmid":$vmid,"newid":$newid,"full":true,"storage":"nowhere"}`, Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"nowhere"}},
		{Name: "no such pool", Options: sim.Options{Token: "root@pam!full"}, Args: `{"vmid":900,"pool":"nowhere"}`, Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"nowhere"}},
		{Name: "bad name", On: sim.Template, Args: `{"vmid":$vmid,"newid":$newid,"name":"has space"}`, Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"name: invalid format - value does not look like a valid DNS name"}},
		{Name: "no privilege to clone", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":900}`, Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"lacks VM.Clone on /vms/900."}},
		{Name: "no privilege for the new one", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms/900", "PVEVMAdmin"))}, Args: `{"vmid":900}`,
			Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"lacks VM.Allocate on /vms/110."}},
		{Name: "a pool for the new one, not named", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms/900", "PVETemplateUser"), sim.Grant("/pool/web", "PVEVMAdmin"))}, Args: `{"vmid":900}`,
			Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"This token may make guests only in a pool: web.", `Name one of them, such as pool: \"web\".`}},
		{Name: "another pool", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(sim.Grant("/vms/900", "PVETemplateUser"), sim.Grant("/pool/web", "PVEVMAdmin"))}, Args: `{"vmid":900,"pool":"db"}`,
			Outcome: tool.Failed, Writes: []string{cloneVM}, Says: []string{"only in a pool: web."}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "node down", Options: with(sim.Offline("pve2")), Args: `{"vmid":901}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "task fails", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/900/clone", TaskFails: "clone failed: out of space"}, Args: `{"vmid":900,"start":true}`, Outcome: tool.Failed, Writes: []string{cloneVM},
			Says: []string{"Clone of VM 900 (debian-12) as 110 failed: clone failed: out of space"}, Lacks: []string{`"newid"`}},
		{Name: "the start fails", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/110/status/start", TaskFails: "start failed: no memory"}, Args: `{"vmid":900,"start":true}`, Outcome: tool.Failed, Writes: []string{cloneVM, startVM, deleteVM},
			Says: []string{"Clone of VM 900 (debian-12) as 110: done. What comes after it: ", "start failed: no memory. Removal of VM 110: done."}, Lacks: []string{"Then start", `"newid"`}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/900/clone", Drop: true}, Args: `{"vmid":900}`, Outcome: tool.Unknown, Writes: []string{cloneVM},
			Says: []string{"Whether PVE carried out POST /nodes/pve1/qemu/900/clone is unknown", "VM 110 on pve1 is "}},
		{Name: "lost before it was begun", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/900/clone", Status: 596, Message: "Connection timed out"}, Args: `{"vmid":900}`, Outcome: tool.Unknown, Writes: []string{cloneVM},
			Says: []string{"guest 110 cannot be looked at: There is no guest 110"}},
	})
}
