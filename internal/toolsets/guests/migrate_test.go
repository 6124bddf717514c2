package guests_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	migrateVM = "POST /nodes/{node}/qemu/{vmid}/migrate"
	migrateCT = "POST /nodes/{node}/lxc/{vmid}/migrate"
)

// onNFS puts the first disk of a guest where all nodes see it.
func onNFS(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) {
		if g.Kind == "lxc" {
			g.Config["rootfs"] = "nfs:200/vm-200-disk-0.raw,size=8G"
			return
		}
		g.Config["scsi0"] = "nfs:100/vm-100-disk-0.qcow2,size=32G"
	})
}

func TestMigrate(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	eight := sim.Version("8.4.1")
	cloudInit := sim.Set(100, "ide2=local-zfs:vm-100-cloudinit,media=cdrom,size=4M")
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "stopped VM", Options: with(shared), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.OK, Writes: []string{migrateVM}, Sent: 8, Says: []string{
			`"message":"Migration of VM 105 (build-1) from pve3 to pve1: done."`, `"vmid":105,"name":"build-1","node":"pve1","status":"stopped"`,
		}},
		{Name: "running VM", Options: with(onNFS(100)), Args: `{"vmid":100,"target":"pve2","wait":45}`, Outcome: tool.OK, Writes: []string{migrateVM}, Sent: 8, Says: []string{`"node":"pve2","status":"running"`}},
		{Name: "running VM, PVE 8", Options: with(onNFS(100), eight), Args: `{"vmid":100,"target":"pve2","wait":45}`, Outcome: tool.OK, Writes: []string{migrateVM}},
		{Name: "running VM with local disks", Args: `{"vmid":100,"target":"pve2","with_local_disks":true}`, Outcome: tool.Running, Writes: []string{migrateVM}, Says: []string{"is under way after 20s.", "pve_task_status"}},
		{Name: "cloud-init goes with it", Options: with(onNFS(100), cloudInit), Args: `{"vmid":100,"target":"pve2","wait":45}`, Outcome: tool.OK, Writes: []string{migrateVM}, Says: []string{`"node":"pve2"`}},
		{Name: "so do detached disks", Options: with(onNFS(100), sim.Set(100, "unused0=local-zfs:vm-100-disk-7,size=1G")), Args: `{"vmid":100,"target":"pve2","wait":45}`, Outcome: tool.OK, Writes: []string{migrateVM}},
		{Name: "to another storage", Options: with(shared), Args: `{"vmid":105,"target":"pve1","targetstorage":"nfs:nfs"}`, Outcome: tool.OK, Writes: []string{migrateVM}},
		{Name: "stopped CT", Args: `{"vmid":204,"target":"pve1","targetstorage":"nfs","wait":0}`, Outcome: tool.Running, Writes: []string{migrateCT}},
		{Name: "running CT", Options: with(onNFS(200)), Args: `{"vmid":200,"target":"pve2","restart":true}`, Outcome: tool.OK, Writes: []string{migrateCT}, Says: []string{`"node":"pve2","status":"running"`}},
		{Name: "running CT, PVE 8", Options: with(onNFS(200), eight), Args: `{"vmid":200,"target":"pve2","restart":true}`, Outcome: tool.OK, Writes: []string{migrateCT}, Says: []string{`"node":"pve2","status":"running"`}},
		{Name: "HA is waited for", Args: `{"vmid":103,"target":"pve1","with_local_disks":true,"wait":45}`, Outcome: tool.OK, Writes: []string{migrateVM}, Says: []string{`"node":"pve1","status":"running"`}},
		{Name: "HA, not long enough", Args: `{"vmid":103,"target":"pve1","with_local_disks":true,"wait":4}`, Outcome: tool.Running, Writes: []string{migrateVM}, Says: []string{"has not reached that state yet", `"node":"pve3"`}},
		{Name: "HA, CT", Args: `{"vmid":201,"target":"pve1","restart":true,"wait":45}`, Outcome: tool.OK, Writes: []string{migrateCT}, Says: []string{`"node":"pve1","status":"running"`}},
		{Name: "there already", Args: `{"vmid":100,"target":"pve1"}`, Outcome: tool.OK, Sent: 3, Says: []string{"VM 100 is on pve1 already; nothing was sent."}},
		{Name: "single node, there already", Options: sim.Options{Model: sim.Lab()}, Args: `{"vmid":100,"target":"pve"}`, Outcome: tool.OK, Says: []string{"VM 100 is on pve already"}},
		{Name: "moved meanwhile, and back", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve2", "POST", "/migrate")}, Args: `{"vmid":105,"target":"pve1"}`,
			Outcome: tool.OK, Writes: []string{migrateVM, migrateVM}, Says: []string{`"node":"pve1"`}},
		{Name: "moved while PVE is asked", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve2", "GET", "/migrate")}, Args: `{"vmid":105,"target":"pve1"}`,
			Outcome: tool.OK, Writes: []string{migrateVM}, Says: []string{`"node":"pve1"`}},
	})
}

func TestMigrateToANodeInMaintenance(t *testing.T) {
	maintained := func(m *pvesim.Model) { m.Nodes[0].Maintenance = true }
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(append(changes, maintained)...)}
	}
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "it is said", Options: with(shared), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.OK, Writes: []string{migrateVM}, Sent: 8,
			Says: []string{"Migration of VM 105 (build-1) from pve3 to pve1, which is in HA maintenance: done."}},
		{Name: "before PVE 8.3", Options: with(shared, sim.Version("8.2.4")), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.OK, Writes: []string{migrateVM},
			Sent: 9, Says: []string{"to pve1, which is in HA maintenance: done."}},
		{Name: "HA moves none there", Options: with(), Args: `{"vmid":103,"target":"pve1","with_local_disks":true}`, Outcome: tool.Failed,
			Says: []string{"HA manages VM 103, and does not move guests to pve1 while that is in maintenance.", "Choose another node"}},
		{Name: "another node", Options: with(shared), Args: `{"vmid":105,"target":"pve2"}`, Outcome: tool.OK, Writes: []string{migrateVM}, Lacks: []string{"maintenance"}},
	})
}

func TestMigrateRefused(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	cd := sim.Set(100, "ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom,size=670M")
	onTwo := func(m *pvesim.Model) {
		m.Storages = append(m.Storages, pvesim.Storage{ID: "fast", Type: "lvmthin", Content: "images,rootdir", Nodes: []string{"pve2", "pve3"}, Size: 1 << 40})
	}
	onFast := sim.Set(105, "scsi0=fast:vm-105-disk-0,size=2G")
	ctOnFast := sim.Set(204, "rootfs=fast:vm-204-disk-0,size=2G")
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "locked", Args: `{"vmid":107,"target":"pve1"}`, Outcome: tool.Failed, Sent: 6, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "suspended", Args: `{"vmid":109,"target":"pve1"}`, Outcome: tool.Failed, Says: []string{"VM 109 is locked (suspended).", "resume it first"}},
		{Name: "no such node", Args: `{"vmid":100,"target":"pve9"}`, Outcome: tool.Failed, Sent: 1, Says: []string{`There is no node \"pve9\".`, "The nodes are pve1, pve2 and pve3."}},
		{Name: "single node", Options: sim.Options{Model: sim.Lab()}, Args: `{"vmid":100,"target":"pve2"}`, Outcome: tool.Failed, Says: []string{"The nodes are pve."}},
		{Name: "target down", Options: with(sim.Offline("pve3")), Args: `{"vmid":100,"target":"pve3"}`, Outcome: tool.Failed, Sent: 1, Says: []string{"The node pve3 is offline.", "Other nodes still answer."}},
		{Name: "its node is down", Options: with(sim.Offline("pve3")), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "running CT", Args: `{"vmid":200,"target":"pve2"}`, Outcome: tool.Failed, Sent: 3, Says: []string{"CT 200 runs, and a container can only be moved by stopping it for a while.", "restart: true"}},
		{Name: "running CT, HA", Args: `{"vmid":201,"target":"pve1"}`, Outcome: tool.Failed, Sent: 3, Says: []string{"CT 201 runs", "restart: true"}},
		{Name: "local disks", Args: `{"vmid":100,"target":"pve2"}`, Outcome: tool.Failed, Sent: 4, Says: []string{"VM 100 runs and has disks that only its node has: local-zfs:vm-100-disk-0 (32 GiB).", "with_local_disks: true"}},
		{Name: "local CD", Options: with(onNFS(100), cd), Args: `{"vmid":100,"target":"pve2","with_local_disks":true}`, Outcome: tool.Failed, Sent: 4, Says: []string{
			"The CD drive ide2 of VM 100 holds local:iso/debian-12.11.0-amd64-netinst.iso, which only its node has.", "set ide2: none,media=cdrom."}},
		{Name: "storage missing there", Options: with(onTwo, onFast), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed, Sent: 4, Says: []string{"pve1 has no storage fast, on which VM 105 has disks.", "targetstorage"}},
		{Name: "storage missing there, CT", Options: with(onTwo, ctOnFast), Args: `{"vmid":204,"target":"pve1"}`, Outcome: tool.Failed, Says: []string{"pve1 has no storage fast, on which CT 204 has disks.", "targetstorage"}},
		{Name: "storage missing there, CT, PVE 8", Options: with(onTwo, ctOnFast, sim.Version("8.4.1")), Args: `{"vmid":204,"target":"pve1"}`, Outcome: tool.Failed, Says: []string{"pve1 has no storage fast"}},
		{Name: "no such target storage", Options: with(shared), Args: `{"vmid":105,"target":"pve1","targetstorage":"nowhere"}`, Outcome: tool.Failed, Writes: []string{migrateVM}, Says: []string{"storage 'nowhere' does not exist"}},
		{Name: "restart of a VM", Args: `{"vmid":100,"target":"pve2","restart":true}`, Outcome: tool.Failed, Says: []string{"is for containers; a running VM is moved without interruption"}},
		{Name: "local disks of a CT", Args: `{"vmid":204,"target":"pve2","with_local_disks":true}`, Outcome: tool.Failed, Says: []string{"is for VMs; a container's volumes are always moved"}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp", Model: sim.Cluster(shared)}, Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed, Sent: 5, Says: []string{"lacks VM.Migrate on /vms/105.", "--roles PVEVMAdmin"}},
		{Name: "no privilege for the target storage", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(shared, sim.Grant("/vms", "PVEVMAdmin"))}, Args: `{"vmid":105,"target":"pve1","targetstorage":"nfs"}`,
			Outcome: tool.Failed, Writes: []string{migrateVM}, Says: []string{"lacks Datastore.AllocateSpace on /storage/nfs."}},
		{Name: "no guest", Args: `{"vmid":111,"target":"pve1"}`, Outcome: tool.Failed, Says: []string{"There is no guest 111"}},
		{Name: "task fails", Options: with(shared), Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/105/migrate", TaskFails: "migration aborted"}, Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed, Writes: []string{migrateVM},
			Says: []string{"Migration of VM 105 (build-1) from pve3 to pve1 failed: migration aborted", `"node":"pve3"`}},
		{Name: "lost answer", Options: with(shared), Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/105/migrate", Drop: true}, Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Unknown, Writes: []string{migrateVM},
			Says: []string{"is unknown", "VM 105 on pve3 is stopped now, locked by migrate", "task qmigrate by ops@pve!mcp"}},
		{Name: "HA, and the state cannot be read", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/103/status/current", Skip: 1, Status: 500, Message: "got timeout"},
			Args: `{"vmid":103,"target":"pve1","with_local_disks":true}`, Outcome: tool.Running, Writes: []string{migrateVM}, Says: []string{"whether it is done cannot be seen. PVE refused: got timeout."}},
	})
}

// What the simulator has none of: HA rules, and devices of a node.
func TestMigrateWhatPVESays(t *testing.T) {
	saying := func(data string) sim.Options {
		return sim.Options{Wire: sim.Answers("/migrate", data)}
	}
	rule := `{"pve1":{"blocking-ha-resources":[{"sid":"vm:103","cause":"resource-affinity"}]}}`
	sim.Tell(t, "pve_migrate_guest", []sim.Story{
		{Name: "HA rule", Options: saying(`{"running":0,"allowed_nodes":[],"not_allowed_nodes":` + rule + `}`), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed,
			Says: []string{"HA does not let VM 105 go to pve1 because of vm:103 (resource-affinity)."}},
		{Name: "HA rule, CT", Options: saying(`{"running":0,"allowed-nodes":["pve2"],"not-allowed-nodes":` + rule + `}`), Args: `{"vmid":204,"target":"pve1"}`, Outcome: tool.Failed,
			Says: []string{"HA does not let CT 204 go to pve1 because of vm:103 (resource-affinity)."}},
		{Name: "devices", Options: saying(`{"running":0,"allowed_nodes":["pve1"],"local_resources":["hostpci0"]}`), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed,
			Says: []string{"VM 105 uses devices of its node: hostpci0."}},
		{Name: "mapped devices", Options: saying(`{"running":0,"not_allowed_nodes":{"pve1":{"unavailable-resources":["gpu"]}}}`), Args: `{"vmid":105,"target":"pve1"}`, Outcome: tool.Failed,
			Says: []string{"pve1 does not offer gpu, which VM 105 uses."}},
		{Name: "PVE 7, of a running VM", Options: saying(`{"running":1,"local_disks":[]}`), Args: `{"vmid":100,"target":"pve2","wait":0}`, Outcome: tool.Running, Writes: []string{migrateVM}},
	})
}
