package snapshots_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	create     = "POST /nodes/{node}/qemu/{vmid}/snapshot"
	createCT   = "POST /nodes/{node}/lxc/{vmid}/snapshot"
	rollback   = "POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback"
	rollbackCT = "POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback"
	remove     = "DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}"
	removeCT   = "DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}"
)

// shared puts the disk of the VM 105, which is stopped, where all nodes see it.
var shared = sim.Set(105, "scsi0=nfs:105/vm-105-disk-0.qcow2,size=2G")

func with(changes ...func(*pvesim.Model)) sim.Options {
	return sim.Options{Model: sim.Cluster(changes...)}
}

// moved is a world in which the VM 105, with a snapshot, moves before a request.
func moved(method, path string) sim.Options {
	return sim.Options{Model: sim.Cluster(shared, sim.Snapshot(105, "monday")), Before: sim.Moves(105, "pve1", method, path)}
}

func TestList(t *testing.T) {
	ram := sim.Guest(102, func(g *pvesim.Guest) { g.Snapshots[1].VMState = "local-zfs:vm-102-state-after-upgrade" })
	sim.Tell(t, "pve_list_snapshots", []sim.Story{
		{Name: "VM", Options: with(ram), Args: `{"vmid":102}`, Outcome: tool.OK, Sent: 2, Says: []string{
			`{"snapshots":[{"name":"before-upgrade","created":"1999-12-30T22:00:00Z","age":"1d 2h","description":"PostgreSQL 15"},` +
				`{"name":"after-upgrade","parent":"before-upgrade","created":"1999-12-30T23:00:00Z","age":"1d 1h","description":"PostgreSQL 16","ram":true}],` +
				`"total":2,"current_parent":"after-upgrade","vmid":102,"node":"pve2"}`}},
		{Name: "CT", Options: with(sim.Snapshot(200, "a1"), sim.Snapshot(200, "a2")), Args: `{"vmid":200}`, Outcome: tool.OK, Sent: 2, Says: []string{
			`{"name":"a1","created"`, `{"name":"a2","parent":"a1"`, `"current_parent":"a2"`}},
		{Name: "none", On: sim.RunningVM, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 2, Says: []string{`{"snapshots":[],"total":0,"vmid":$vmid,"node":"$node"}`}},
		{Name: "new ones", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}
			pve_create_snapshot {"vmid":$vmid,"snapname":"tuesday","description":"before the change"}`, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 2, Says: []string{
			`{"name":"monday","created":"`, `{"name":"tuesday","parent":"monday","created":"`, `"description":"before the change"}],"total":2,"current_parent":"tuesday"`}},
		{Name: "new one, CT", On: sim.CT, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 2, Says: []string{
			`{"name":"monday","created":"`, `"current_parent":"monday"`}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"), sim.Snapshot(100, "monday"))}, Args: `{"vmid":100}`, Outcome: tool.OK, Says: []string{`"name":"monday"`, `"node":"pve"`}},
		{Name: "hostile", Options: with(sim.Guest(102, func(g *pvesim.Guest) { g.Snapshots[0].Description = "a\u202e\x1b[31mb\nc" })), Args: `{"vmid":102}`, Outcome: tool.OK, Says: []string{`"description":"ab c"`}},
		{Name: "one under way", First: `pve_create_snapshot {"vmid":100,"snapname":"monday","vmstate":true,"wait":0}`, Args: `{"vmid":100}`, Outcome: tool.OK, Says: []string{`"state":"prepare"`}},
		{Name: "moved", Options: moved("GET", "/snapshot"), Args: `{"vmid":105}`, Outcome: tool.OK, Sent: 4, Says: []string{`"node":"pve1"`}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "no privilege", Options: sim.Options{Token: "none@pve!mcp"}, Args: `{"vmid":102}`, Outcome: tool.Failed, Sent: 1, Says: []string{"VM.Audit"}},
		{Name: "node down", Options: with(sim.Offline("pve2")), Args: `{"vmid":102}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/*/snapshot", Drop: true}, Args: `{"vmid":102}`, Outcome: tool.Failed, Says: []string{"no usable answer"}},
	})
}

// The snapshots of several guests are counted, and the oldest are listed.
func TestListOfMany(t *testing.T) {
	ram := sim.Guest(102, func(g *pvesim.Guest) { g.Snapshots[1].VMState = "local-zfs:vm-102-state-after-upgrade" })
	aged := sim.Guest(200, func(g *pvesim.Guest) { g.Snapshots[0].Age = 40 * 24 * time.Hour })
	pool := func(m *pvesim.Model) {
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/db", Who: "none@pve", Role: "PVEVMAdmin"}, pvesim.ACL{Path: "/pool/db", Who: "none@pve!mcp", Role: "PVEVMAdmin"})
	}
	for _, version := range []string{"8.4.1", "9.0.11"} {
		sim.Tell(t, "pve_list_snapshots", []sim.Story{
			{Name: "all on " + version, Options: with(ram, sim.Snapshot(200, "monday"), aged, sim.Version(version)), Args: `{}`, Outcome: tool.OK, Sent: 17, Says: []string{
				`{"message":"3 snapshots of 2 of the 15 guests that were asked, 1 of them with RAM.","snapshots":[{"guest":"102 db-1","name":"after-upgrade"`,
				`{"guest":"200 proxy","name":"monday","created":"1999-11-22T00:00:00Z","age":"40d"}],"total":3,"with_ram":1,"guests":2}`}},
		})
	}
	sim.Tell(t, "pve_list_snapshots", []sim.Story{
		{Name: "the oldest", Options: with(ram, sim.Snapshot(200, "monday"), aged), Args: `{"limit":1}`, Outcome: tool.OK, Says: []string{`"snapshots":[{"guest":"200 proxy"`, `"total":3,"left_out":2,"more":"offset: 1, or a filter"`}},
		{Name: "old ones", Options: with(ram, sim.Snapshot(200, "monday"), aged), Args: `{"older_than":"30d"}`, Outcome: tool.OK,
			Says: []string{`"message":"1 snapshot older than 30d of 1 of the 15 guests that were asked."`}, Lacks: []string{"102 db-1"}},
		{Name: "old ones of one guest", Args: `{"vmid":102,"older_than":"25.5h"}`, Outcome: tool.OK, Says: []string{`"name":"before-upgrade"`, `"total":1,"current_parent":"after-upgrade"`}, Lacks: []string{`"name":"after-upgrade"`}},
		{Name: "a selection", Args: `{"guests":"tag:db"}`, Outcome: tool.OK, Sent: 4, Says: []string{"2 snapshots of 1 of the 2 guests"}},
		{Name: "a node is away", Options: with(sim.Offline("pve2")), Args: `{}`, Outcome: tool.OK, Says: []string{
			`0 snapshots of 0 of the 10 guests that were asked; not all guests were: see blind.`, `"blind":[{"check":"snapshots","on":["101 web-2","102 db-1","106 win-2022","109 desktop","201 dns"],"missing":"its node is not online"}]`}},
		{Name: "one does not answer", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/100/snapshot", Drop: true}, Args: `{}`, Outcome: tool.OK, Says: []string{`of the 14 guests that were asked; not all`, `"on":["100 web-1"]`}},
		{Name: "a pool's token", Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(pool)}, Args: `{}`, Outcome: tool.OK, Says: []string{"2 snapshots of 1 of the 2 guests", `"missing":"VM.Audit on /vms"`}},
		{Name: "an auditor", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{}`, Outcome: tool.OK, Says: []string{"2 snapshots of 1 of the 15 guests"}, Lacks: []string{"blind"}},
		{Name: "both", Args: `{"vmid":102,"guests":"tag:db"}`, Outcome: tool.Failed, Says: []string{"used instead of vmid"}},
		{Name: "no such tag", Args: `{"guests":"tag:bd"}`, Outcome: tool.Failed, Says: []string{"bd", "db"}},
		{Name: "no age", Args: `{"older_than":"a while"}`, Outcome: tool.Failed, Says: []string{"no age such as 30d"}},
	})
}

// On 10,000 guests, a tenth of them is asked, and the answer says so.
func TestListOfManyIsBounded(t *testing.T) {
	effort.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Huge()
		w := sim.New(t, sim.Options{Model: &m})
		a := w.Call("pve_list_snapshots", `{}`)
		if sent := w.Sent(); a.IsError || len(a.Text) > 6000 || len(sent) != 1002 || !strings.Contains(a.Text, "a call asks 1000 guests at most") {
			t.Errorf("%d requests, %d bytes: %.500s", len(sent), len(a.Text), a.Text)
		}
	})
}

func TestCreate(t *testing.T) {
	raw := sim.Set(105, "scsi0=nfs:105/vm-105-disk-0.raw,size=2G")
	rawCT := sim.Set(200, "rootfs=nfs:200/vm-200-disk-0.raw,size=2G")
	sim.Tell(t, "pve_create_snapshot", []sim.Story{
		{Name: "VM", On: sim.VM, Args: `{"vmid":$vmid,"snapname":"monday","description":"before\nthe change; a=b&c"}`, Outcome: tool.OK, Writes: []string{create}, Sent: 7, Says: []string{
			`"message":"Snapshot monday of VM $vmid (scratch): done."`, `"vmid":$vmid,"node":"$node","snapshot":{"name":"monday","created":"`, `"description":"before the change; a=b&c"}`}, Lacks: []string{`"ram"`}},
		{Name: "running VM", Args: `{"vmid":102,"snapname":"monday"}`, Outcome: tool.OK, Writes: []string{create}, Says: []string{`{"name":"monday","parent":"after-upgrade"`}},
		{Name: "running VM without an agent", On: sim.RunningVM, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.OK, Writes: []string{create}, Says: []string{`{"name":"monday","created":"`}},
		{Name: "with little RAM", On: sim.RunningVM, Args: `{"vmid":$vmid,"snapname":"monday","vmstate":true,"wait":45}`, Outcome: tool.OK, Writes: []string{create}, Says: []string{`"ram":true`}},
		{Name: "with RAM", Args: `{"vmid":100,"snapname":"monday","vmstate":true,"wait":45}`, Outcome: tool.OK, Writes: []string{create}, Says: []string{`"ram":true`}},
		{Name: "CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.OK, Writes: []string{createCT}, Sent: 7, Says: []string{"Snapshot monday of CT $vmid (scratch): done."}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"))}, Args: `{"vmid":102,"snapname":"monday"}`, Outcome: tool.OK, Writes: []string{createCT}},
		{Name: "moved", Options: moved("POST", "/snapshot"), Args: `{"vmid":105,"snapname":"tuesday"}`, Outcome: tool.OK, Writes: []string{create, create}, Says: []string{`"node":"pve1"`}},
		{Name: "moved while it is looked at", Options: moved("GET", "/feature"), Args: `{"vmid":105,"snapname":"tuesday"}`, Outcome: tool.OK, Writes: []string{create}},

		{Name: "template", On: sim.Template, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM $vmid is a template, of which there are no snapshots."}},
		{Name: "locked", Args: `{"vmid":107,"snapname":"monday"}`, Outcome: tool.Failed, Sent: 5, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "suspended", Args: `{"vmid":109,"snapname":"monday"}`, Outcome: tool.Failed, Says: []string{"VM 109 is locked (suspended).", "resume it first"}},
		{Name: "RAM of a stopped VM", On: sim.VM, Args: `{"vmid":$vmid,"snapname":"monday","vmstate":true}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM $vmid is stopped, so there is no RAM to keep.", "Leave vmstate out."}},
		{Name: "RAM of a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"snapname":"monday","vmstate":true}`, Outcome: tool.Failed, Says: []string{"is for VMs only"}},
		{Name: "the only name is taken", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.Failed, Sent: 3,
			Says: []string{"VM $vmid has a snapshot monday already."}},
		{Name: "the name is taken", Args: `{"vmid":102,"snapname":"before-upgrade"}`, Outcome: tool.Failed, Sent: 3, Says: []string{"VM 102 has a snapshot before-upgrade already.", "there are before-upgrade and after-upgrade."}},
		{Name: "the name is taken meanwhile", Options: sim.Options{Before: sim.Meanwhile("POST", "/snapshot", `pve_create_snapshot {"vmid":105,"snapname":"monday"}`)}, Args: `{"vmid":105,"snapname":"monday"}`,
			Outcome: tool.Failed, Writes: []string{create}, Says: []string{"failed: snapshot name 'monday' already used"}},
		{Name: "storage without snapshots", Options: with(raw), Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.Failed, Sent: 5, Says: []string{"The storage of VM 105 cannot make snapshots of all its disks.", "pve_create_backup"}},
		{Name: "storage without snapshots, CT", Options: with(rawCT), Args: `{"vmid":200,"snapname":"monday"}`, Outcome: tool.Failed, Sent: 5, Says: []string{"The storage of CT 200 cannot make snapshots of all its disks."}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.Failed, Writes: []string{create}, Says: []string{"lacks VM.Snapshot on /vms/105.", "--roles PVEVMAdmin"}},
		{Name: "read-only", On: sim.VM, Options: sim.Options{Policy: policy.Policy{ReadOnly: true}}, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.Failed, Says: []string{"Nothing was sent"}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"snapname":"monday"}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "node down", Options: with(sim.Offline("pve3")), Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "task fails", Fault: pvesim.Fault{Match: create105, TaskFails: "zfs error: out of space"}, Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.Failed, Writes: []string{create},
			Says: []string{"Snapshot monday of VM 105 (build-1) failed: zfs error: out of space"}, Lacks: []string{`"snapshot"`}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: create105, Drop: true}, Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.Unknown, Writes: []string{create}, Says: []string{"is unknown", "task qmsnapshot by ops@pve!mcp"}},
	})
}

const create105 = "POST /nodes/*/qemu/105/snapshot"

func TestCreateRefusesNames(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for _, name := range []string{"x", "1st", "has space", "current", "pending", "Pending", "a/b", "ü2", strings.Repeat("a", 41)} {
		a := w.Call("pve_create_snapshot", fmt.Sprintf(`{"vmid":105,"snapname":%q}`, name))
		if a.Fault != tool.BadArguments || !strings.Contains(a.Text, "it takes a letter, then letters, digits, - and _, 2 to 40 in all, and neither current nor pending") {
			t.Errorf("%q: %s", name, a.Text)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("requests %v", sent)
	}
}
