package provision_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	moveVM       = "POST /nodes/{node}/qemu/{vmid}/move_disk"
	moveCT       = "POST /nodes/{node}/lxc/{vmid}/move_volume"
	configVM     = "POST /nodes/{node}/qemu/{vmid}/config"
	configCT     = "PUT /nodes/{node}/lxc/{vmid}/config"
	moveToNFS    = `{"vmid":105,"disk":"scsi0","storage":"nfs"%s}`
	moveSandbox  = `{"vmid":204,"disk":"rootfs","storage":"nfs"%s}`
	giveToBuild  = `{"vmid":107,"disk":"scsi0","target_vmid":105%s}`
	confirmedNow = `,"confirm":true,"wait":45`
)

// smallDisks makes the disks small that the stories move.
func smallDisks(changes ...func(*pvesim.Model)) sim.Options {
	return sim.Options{Model: sim.Cluster(append([]func(*pvesim.Model){
		sim.Set(105, "scsi0=local-zfs:vm-105-disk-0,size=4G"), sim.Set(107, "scsi0=local-zfs:vm-107-disk-0,size=4G", "lock="), sim.Set(104, "scsi0=local-zfs:vm-104-disk-0,size=2G"),
	}, changes...)...), Token: everyone}
}

// storage adds a storage.
func storage(st pvesim.Storage) func(*pvesim.Model) {
	return func(m *pvesim.Model) { m.Storages = append(m.Storages, st) }
}

// failsWith plants a fault at a request.
func failsWith(match string, f pvesim.Fault) func(*pvesim.Model) {
	return func(m *pvesim.Model) { f.Match = match; m.Faults = append(m.Faults, f) }
}

// A disk goes to another storage, and the original stays until the copy was looked at.
func TestMoveDisk(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.1"} {
		with := func(changes ...func(*pvesim.Model)) sim.Options {
			return smallDisks(append(changes, sim.Version(version))...)
		}
		sim.Tell(t, "pve_move_disk", []sim.Story{
			{Name: "a VM's on " + version, Options: with(), Args: fmt.Sprintf(moveToNFS, `,"format":"qcow2","wait":45`), Outcome: tool.OK, Writes: []string{moveVM}, Says: []string{
				`"message":"scsi0 of VM 105 (build-1) is on nfs now: nfs:105/vm-105-disk-0.qcow2. The original stays as unused0."`, `"size":"4 GiB"`,
				`"left":{"disk":"unused0","volume":"local-zfs:vm-105-disk-0","remove":{"tool":"pve_delete_volume","arguments":{"node":"pve3","volumes":["local-zfs:vm-105-disk-0"]}}}`,
				`"undo":{"tool":"pve_move_disk","arguments":{"disk":"scsi0","storage":"local-zfs","vmid":105}}`,
			}},
			{Name: "a running VM's on " + version, Options: with(), Args: `{"vmid":104,"disk":"scsi0","storage":"nfs","wait":45}`, Outcome: tool.OK, Writes: []string{moveVM}, Says: []string{
				"scsi0 of VM 104 (mail) is on nfs now: nfs:104/vm-104-disk-0.raw. The original stays as unused1.", "of which PVE makes no snapshots; with format: qcow2 it does",
			}},
			{Name: "deletion is not confirmed on " + version, Options: with(), Args: fmt.Sprintf(moveToNFS, `,"delete":true`), Outcome: tool.NeedsConfirmation, Says: []string{
				"Move of scsi0 of VM 105 (build-1) on pve3 from local-zfs to nfs", "the original local-zfs:vm-105-disk-0 (4 GiB) is deleted once the copy is seen on nfs with the same size",
			}},
			{Name: "and the original is deleted on " + version, Options: with(), Args: fmt.Sprintf(moveToNFS, `,"delete":true`+confirmedNow), Outcome: tool.OK, Writes: []string{moveVM, configVM}, Says: []string{
				"is on nfs now: nfs:105/vm-105-disk-0.raw. The original is deleted.", `"deleted":"local-zfs:vm-105-disk-0"`,
			}, Lacks: []string{`"left"`}},
			{Name: "a container's on " + version, Options: with(), Args: fmt.Sprintf(moveSandbox, `,"wait":45`), Outcome: tool.OK, Writes: []string{moveCT}, Says: []string{
				"rootfs of CT 204 (sandbox) is on nfs now: nfs:204/vm-204-disk-0.raw. The original stays as unused0.",
			}},
			{Name: "a container's, and the original is deleted on " + version, Options: with(), Args: fmt.Sprintf(moveSandbox, `,"delete":true`+confirmedNow), Outcome: tool.OK, Writes: []string{moveCT, configCT}, Says: []string{
				`"deleted":"local-zfs:subvol-204-disk-0"`,
			}},
			{Name: "to another VM on " + version, Options: with(), Args: fmt.Sprintf(giveToBuild, confirmedNow), Outcome: tool.OK, Writes: []string{moveVM}, Says: []string{
				`"message":"scsi0 of VM 107 (erp-old) is scsi1 of VM 105 (build-1) now: local-zfs:vm-105-disk-1."`,
				`"undo":{"tool":"pve_move_disk","arguments":{"disk":"scsi1","target_disk":"scsi0","target_vmid":107,"vmid":105}}`,
			}},
			{Name: "to another VM, not confirmed on " + version, Options: with(), Args: fmt.Sprintf(giveToBuild, ""), Outcome: tool.NeedsConfirmation, Says: []string{
				"Move of scsi0 of VM 107 (erp-old) to VM 105 (build-1) as scsi1", "VM 107 (erp-old) boots from scsi0, and will not start without it", "VM 105 (build-1) on pve3 is stopped", "VM 107 (erp-old) on pve3 is stopped",
			}},
			{Name: "a detached disk to another VM on " + version, Options: with(), Args: `{"vmid":104,"disk":"unused0","target_vmid":100` + confirmedNow + `}`, Outcome: tool.OK, Writes: []string{moveVM}, Says: []string{
				"unused0 of VM 104 (mail) is unused0 of VM 100 (web-1) now: local-zfs:vm-100-disk-1.",
			}},
			{Name: "a mount point to another container on " + version, Options: with(sim.Set(204, "mp0=local-zfs:subvol-204-disk-1,mp=/srv,size=1G"), stopped(202)),
				Args: `{"vmid":204,"disk":"mp0","target_vmid":202` + confirmedNow + `}`, Outcome: tool.OK, Writes: []string{moveCT}, Says: []string{"mp0 of CT 204 (sandbox) is mp0 of CT 202 (gitea) now"}},
			{Name: "it is there already on " + version, Options: with(), Args: `{"vmid":105,"disk":"scsi0","storage":"local-zfs"}`, Outcome: tool.OK, Says: []string{"scsi0 of VM 105 (build-1) is on local-zfs already; nothing was sent."}},
			{Name: "a plan on " + version, Options: with(), Args: fmt.Sprintf(moveToNFS, `,"delete":true,"plan":true`), Outcome: tool.Planned, Says: []string{
				`"steps":["Move of scsi0 of VM 105 (build-1) on pve3 from local-zfs to nfs","Deletion of the original local-zfs:vm-105-disk-0"]`,
			}},
			{Name: "a replicated guest's on " + version, Options: with(func(m *pvesim.Model) {
				m.Replications = append(m.Replications, pvesim.Replication{ID: "105-0", Target: "pve1"})
			}), Args: fmt.Sprintf(moveToNFS, `,"plan":true`), Outcome: tool.Planned, Says: []string{"it is replicated to pve1, which fails with a disk on nfs"}},
			{Name: "a cloud-init drive on " + version, Options: with(sim.Set(105, "ide2=local-zfs:vm-105-cloudinit,media=cdrom,size=4M")), Args: `{"vmid":105,"disk":"ide2","storage":"nfs","wait":45}`, Outcome: tool.OK, Writes: []string{moveVM},
				Says: []string{"ide2 of VM 105 (build-1) is on nfs now"}},
		})
	}
}

// What PVE would refuse, or do to somebody's loss, is refused before anything is sent.
func TestMoveDiskRefused(t *testing.T) {
	refuse := func(name string, o sim.Options, args string, says ...string) sim.Story {
		return sim.Story{Name: name, Options: o, Args: args, Outcome: tool.Failed, Says: says}
	}
	thick := storage(pvesim.Storage{ID: "san", Type: "lvm", Content: "images,rootdir", Size: 3 << 30})
	tight := func(free int64, more ...string) func(*pvesim.Model) {
		options := map[string]string{}
		for _, o := range more {
			options[o] = "1"
		}
		return storage(pvesim.Storage{ID: "tight", Type: "zfspool", Content: "images,rootdir", Size: 900 << 30, Used: 900<<30 - free, Options: options})
	}
	sim.Tell(t, "pve_move_disk", []sim.Story{
		refuse("no goal", smallDisks(), `{"vmid":105,"disk":"scsi0"}`, `The argument \"storage\" is needed`),
		refuse("two goals", smallDisks(), `{"vmid":105,"disk":"scsi0","storage":"nfs","target_vmid":107}`, `The argument \"target_vmid\" and storage are two moves`),
		refuse("no such disk", smallDisks(), `{"vmid":104,"disk":"scsi7","storage":"nfs"}`, `VM 104 (mail) has no disk \"scsi7\"`, "It has scsi0 and unused0."),
		refuse("a CD drive", smallDisks(sim.Set(105, "ide2=none,media=cdrom")), `{"vmid":105,"disk":"ide2","storage":"nfs"}`, "is a CD drive"),
		refuse("another guest's volume", smallDisks(sim.Set(105, "scsi1=local-zfs:vm-104-disk-1,size=1G")), `{"vmid":105,"disk":"scsi1","storage":"nfs"}`, "it belongs to VM 104 (mail)"),
		refuse("a device", smallDisks(sim.Set(105, "scsi1=/dev/sdx,size=1G")), `{"vmid":105,"disk":"scsi1","storage":"nfs"}`, "it is a device or a folder of the node"),
		refuse("a detached disk to a storage", smallDisks(), `{"vmid":104,"disk":"unused0","storage":"nfs"}`, "is detached, and PVE copies only disks that are attached"),
		refuse("no such storage", smallDisks(), `{"vmid":105,"disk":"scsi0","storage":"fast"}`, `There is no storage \"fast\"`, "These take it: local-zfs and nfs."),
		refuse("a storage for other things", smallDisks(), `{"vmid":105,"disk":"scsi0","storage":"local"}`, "The storage local is not for disks of VMs (its content lacks images)"),
		refuse("a storage of another node", smallDisks(storage(pvesim.Storage{ID: "fast", Type: "lvmthin", Content: "images", Size: 1 << 40, Nodes: []string{"pve1"}})),
			`{"vmid":105,"disk":"scsi0","storage":"fast"}`, "The storage fast is not on pve3"),
		refuse("a format that the storage has not", smallDisks(), `{"vmid":105,"disk":"scsi0","storage":"local-zfs","format":"qcow2"}`, "The storage local-zfs (zfspool) keeps raw disks alone, not qcow2"),
		refuse("a format of a container", smallDisks(), fmt.Sprintf(moveSandbox, `,"format":"qcow2"`), `The argument \"format\" is for VMs`),
		refuse("no room for its whole size", smallDisks(thick), `{"vmid":105,"disk":"scsi0","storage":"san"}`, "san has 3 GiB free, and the copy needs 4 GiB: disks take their whole size there"),
		refuse("no room, and reserved", smallDisks(tight(3<<30)), `{"vmid":105,"disk":"scsi0","storage":"tight"}`, "the copy needs 4 GiB: disks take their whole size there"),
		refuse("no room for what is in it", smallDisks(tight(1<<30, "sparse")), `{"vmid":105,"disk":"scsi0","storage":"tight"}`, "tight has 1 GiB free, and the copy needs 1.6 GiB, which is what the original takes now"),
		refuse("a running container", smallDisks(), `{"vmid":200,"disk":"rootfs","storage":"nfs"}`, "CT 200 (proxy) is running, and PVE copies a container's volume only while it is stopped", `pve_guest_power {\"vmid\":200,\"action\":\"shutdown\"}`),
		refuse("the TPM of a running VM", smallDisks(sim.Set(104, "tpmstate0=local-zfs:vm-104-disk-2,size=4M,version=v2.0")), `{"vmid":104,"disk":"tpmstate0","storage":"nfs"}`, "copies the state of its TPM only while it is stopped"),
		refuse("locked", smallDisks(sim.Set(105, "lock=backup")), fmt.Sprintf(moveToNFS, ""), "VM 105 is locked (backup)"),
		refuse("snapshots need the original", smallDisks(sim.Snapshot(105, "monday")), fmt.Sprintf(moveToNFS, `,"delete":true`+confirmedNow), "Snapshots of VM 105 (build-1) need the original local-zfs:vm-105-disk-0: monday"),
		refuse("the guest is protected", smallDisks(sim.Set(105, "protection=1")), fmt.Sprintf(moveToNFS, `,"delete":true`+confirmedNow), "VM 105 (build-1) is protected, so PVE would not delete the original"),
		refuse("another guest has the original", smallDisks(sim.Set(107, "scsi3=local-zfs:vm-105-disk-0,size=4G")), fmt.Sprintf(moveToNFS, `,"delete":true`+confirmedNow), "has another user: VM 107 (erp-old) has it as scsi3"),
		refuse("linked clones need the original", smallDisks(func(m *pvesim.Model) {
			m.Volumes = append(m.Volumes, pvesim.Volume{ID: "local-zfs:base-900-disk-0/vm-777-disk-0", Node: "pve1", Content: "images", VMID: 777, Size: 1 << 30, Parent: "local-zfs:base-900-disk-0"})
		}), `{"vmid":900,"disk":"scsi0","storage":"nfs","delete":true`+confirmedNow+`}`, "Linked clones need the original"),
		refuse("to itself", smallDisks(), `{"vmid":105,"disk":"scsi0","target_vmid":105}`, "is the guest itself"),
		refuse("to a guest of another kind", smallDisks(), `{"vmid":105,"disk":"scsi0","target_vmid":204}`, "are not of one kind"),
		refuse("to a guest of another node", smallDisks(), `{"vmid":105,"disk":"scsi0","target_vmid":104}`, "PVE moves a disk only between guests of one node", `pve_migrate_guest {\"vmid\":104,\"target\":\"pve3\"}`),
		refuse("to a template", smallDisks(), `{"vmid":104,"disk":"unused0","target_vmid":900}`, "PVE moves no disk from or to a template"),
		refuse("to a locked guest", smallDisks(sim.Set(105, "lock=backup")), fmt.Sprintf(giveToBuild, ""), "VM 105 is locked (backup)"),
		refuse("of a running VM to another", smallDisks(), `{"vmid":104,"disk":"scsi0","target_vmid":100}`, "VM 104 (mail) is running and has scsi0 attached"),
		refuse("with snapshots to another", smallDisks(sim.Snapshot(107, "monday")), fmt.Sprintf(giveToBuild, ""), "Snapshots of VM 107 (erp-old) need scsi0: monday"),
		refuse("to a key that is used", smallDisks(), fmt.Sprintf(giveToBuild, `,"target_disk":"scsi0"`), "VM 105 (build-1) has something as scsi0 already", "give scsi1, which is free"),
		refuse("to no key", smallDisks(), fmt.Sprintf(giveToBuild, `,"target_disk":"net0"`), `The argument \"target_disk\" is \"net0\"`),
		refuse("the root of a container", smallDisks(), `{"vmid":204,"disk":"rootfs","target_vmid":202}`, "The root of a container cannot be given to another one"),
		refuse("to a path that is used", smallDisks(sim.Set(204, "mp0=local-zfs:subvol-204-disk-1,mp=/srv,size=1G"), sim.Set(202, "mp3=local-zfs:subvol-202-disk-1,mp=/srv,size=1G")),
			`{"vmid":204,"disk":"mp0","target_vmid":202}`, "CT 202 (gitea) has a volume at /srv already (mp3)"),
		{Name: "a token of a pool", Options: sim.Options{Model: sim.Cluster(sim.Grant("/pool/web", "PVEVMAdmin")), Token: "none@pve!mcp"}, Args: `{"vmid":101,"disk":"scsi0","storage":"nfs"}`, Outcome: tool.Failed,
			Says: []string{`There is no storage \"nfs\", or it is disabled, or this token may not see it`}},
		{Name: "a token that may not use the storage", Options: sim.Options{Model: sim.Cluster(sim.Grant("/pool/web", "PVEVMAdmin"), sim.Grant("/storage", "PVEAuditor")), Token: "none@pve!mcp"}, Args: `{"vmid":101,"disk":"scsi0","storage":"nfs"}`, Outcome: tool.Failed,
			Says: []string{"lacks Datastore.AllocateSpace on /storage/nfs"}},
		{Name: "a token that may not give to the other guest", Options: sim.Options{Model: sim.Cluster(sim.Grant("/vms/105", "PVEVMAdmin"), sim.Grant("/vms/103", "PVEAuditor"), sim.Grant("/storage", "PVEDatastoreUser")), Token: "none@pve!mcp"},
			Args: `{"vmid":105,"disk":"scsi0","target_vmid":103,"confirm":true}`, Outcome: tool.Failed, Says: []string{"lacks VM.Config.Disk on /vms/103"}},
	})
}

// Rules hold for both guests.
func TestMoveDiskOfProtectedGuests(t *testing.T) {
	for _, rule := range []string{"105", "107", "storage:local-zfs"} {
		rules, err := policy.ParseRules(rule)
		if err != nil {
			t.Fatal(err)
		}
		o := smallDisks()
		o.Policy.Protect = rules
		story := sim.Story{Name: rule, Options: o, Args: fmt.Sprintf(giveToBuild, confirmedNow), Outcome: tool.Failed, Says: []string{"is protected (PVE_MCP_PROTECT: " + rule + ")"}}
		if rule == "storage:local-zfs" { // as said of storages: disks of guests on it are not protected by it
			story.Outcome, story.Writes, story.Says = tool.OK, []string{moveVM}, nil
		}
		sim.Tell(t, "pve_move_disk", []sim.Story{story})
	}
}

// What goes wrong on the way costs no data: the original stays, and the answer says where the
// disk is.
func TestMoveDiskFaults(t *testing.T) {
	const move, config = "POST /nodes/*/qemu/*/move_disk", "POST /nodes/*/qemu/*/config"
	deleted := fmt.Sprintf(moveToNFS, `,"delete":true`+confirmedNow)
	with := func(match string, f pvesim.Fault) sim.Options { return smallDisks(failsWith(match, f)) }
	sim.Tell(t, "pve_move_disk", []sim.Story{
		{Name: "the copy fails", Options: with(move, pvesim.Fault{TaskFails: "storage migration failed: mirroring error"}), Args: deleted, Outcome: tool.Failed, Writes: []string{moveVM},
			Says: []string{"failed: storage migration failed", `"volume":"local-zfs:vm-105-disk-0"`}},
		{Name: "nothing was copied", Options: with(move, pvesim.Fault{TaskIdle: true}), Args: deleted, Outcome: tool.Failed, Writes: []string{moveVM},
			Says: []string{"The original local-zfs:vm-105-disk-0 was not deleted: scsi0 is still local-zfs:vm-105-disk-0"}},
		{Name: "nothing was copied, and nothing to delete", Options: with(move, pvesim.Fault{TaskIdle: true}), Args: fmt.Sprintf(moveToNFS, `,"wait":45`), Outcome: tool.Failed, Writes: []string{moveVM},
			Says: []string{"PVE's task succeeded, but scsi0 is still local-zfs:vm-105-disk-0"}},
		{Name: "nothing was given", Options: with(move, pvesim.Fault{TaskIdle: true}), Args: fmt.Sprintf(giveToBuild, confirmedNow), Outcome: tool.Failed, Writes: []string{moveVM},
			Says: []string{"PVE's task succeeded, but VM 107 (erp-old) still has scsi0"}},
		{Name: "the answer is lost", Options: with(move, pvesim.Fault{Drop: true}), Args: deleted, Outcome: tool.Unknown, Writes: []string{moveVM}, Says: []string{"task qmmove"}},
		{Name: "the copy cannot be looked at", Options: with("GET /nodes/*/storage/nfs/content/**", pvesim.Fault{Status: 500, Message: "got timeout"}), Args: deleted, Outcome: tool.Failed, Writes: []string{moveVM},
			Says: []string{"was not deleted: the copy could not be looked at: PVE refused: got timeout", `"left":{"disk":"unused0"`}},
		{Name: "the copy cannot be looked at, and the original stays", Options: with("GET /nodes/*/storage/nfs/content/**", pvesim.Fault{Status: 500, Message: "got timeout"}), Args: fmt.Sprintf(moveToNFS, `,"wait":45`), Outcome: tool.Warnings, Writes: []string{moveVM},
			Says: []string{"is nfs:105/vm-105-disk-0.raw now, which could not be looked at", `"left":{"disk":"unused0"`}},
		{Name: "the deletion is refused", Options: with(config, pvesim.Fault{Status: 500, Message: "no"}), Args: deleted, Outcome: tool.Failed, Writes: []string{moveVM, configVM},
			Says: []string{": done. What comes after it:", `pve_delete_volume {\"volumes\":[\"local-zfs:vm-105-disk-0\"]}`, `"left":{"disk":"unused0"`, `"volume":"nfs:105/vm-105-disk-0.raw"`}},
		{Name: "the deletion fails", Options: with(config, pvesim.Fault{TaskFails: "dataset is busy"}), Args: deleted, Outcome: tool.Failed, Writes: []string{moveVM, configVM},
			Says: []string{"dataset is busy", `"left":{"disk":"unused0"`}},
		{Name: "nothing was deleted", Options: with(config, pvesim.Fault{TaskIdle: true}), Args: deleted, Outcome: tool.Warnings, Writes: []string{moveVM, configVM},
			Says: []string{"was to be deleted, and is still there as unused0"}},
		{Name: "the configuration changes before it is sent", Options: sim.Options{Model: smallDisks().Model, Token: everyone, Before: sim.Meanwhile("POST", "/move_disk", `pve_update_guest_config {"vmid":105,"set":{"cores":3}}`)},
			Args: fmt.Sprintf(moveToNFS, `,"wait":45`), Outcome: tool.Failed, Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/config", moveVM}, Says: []string{"detected modified configuration"}},
	})
}

// The original is deleted later only by a call with consent: another process does not take that
// step.
func TestMoveDiskThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, smallDisks())
		a := w.Call("pve_move_disk", fmt.Sprintf(moveToNFS, `,"delete":true,"confirm":true,"wait":0`))
		if a.Outcome != tool.Running || !strings.Contains(a.Text, "Then delete the original: pve_delete_volume") {
			t.Fatalf("%s", a.Text)
		}
		time.Sleep(time.Hour)
		later := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, a.Fields["handle"]))
		if !strings.Contains(later.Text, `"left":{"disk":"unused0"`) || !strings.Contains(later.Text, "pve_delete_volume") {
			t.Errorf("%s", later.Text)
		}
	})
}
