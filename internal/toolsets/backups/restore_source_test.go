package backups_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A guest is restored from its newest good backup, and the answer says which that is, and which
// newer ones are not good.
func TestRestoreOfAGuest(t *testing.T) {
	restored := func(name, args string, o sim.Options, write string, says ...string) sim.Story {
		return sim.Story{Name: name, Options: o, Args: args, Outcome: tool.OK, Writes: []string{write}, Says: says}
	}
	refused := func(name, args string, o sim.Options, says ...string) sim.Story {
		return sim.Story{Name: name, Options: o, Args: args, Outcome: tool.Failed, Says: says}
	}
	reused := func(m *pvesim.Model) { // the id was a container's
		v := m.Volumes[0]
		v.ID, v.VMID, v.Age, v.Content, v.Format = "nfs:backup/vzdump-lxc-100-1999_12_31-20_00_00.tar.zst", 100, time.Hour, "backup", "tar.zst"
		m.Volumes = append(m.Volumes, v)
	}
	for _, version := range []string{"8.4.1", "9.1.1"} {
		with := func(changes ...func(*pvesim.Model)) sim.Options {
			return sim.Options{Model: model(append(changes, small, func(m *pvesim.Model) { m.PVE = version })...)}
		}
		sim.Tell(t, "pve_restore_backup", []sim.Story{
			restored("by id on "+version, `{"source_guest":100,"name":"copy","disconnect_nics":true}`, with(), restoreVM,
				`"message":"Restore of VM 110 from `+webNew, "the backup is "+webNew+", made 1999-12-31T02:00:00Z, the newest good one of VM 100 (web-1)"),
			restored("by name on "+version, `{"source_guest":"web-1","unique":true}`, with(), restoreVM, "from "+webNew),
			restored("a backup on one node on "+version, `{"source_guest":200,"storage":"nfs","unique":true}`, with(), restoreCT, "Restore of CT 110 from "+proxy+" on pve1"),
			restored("the newest has failed its verification on "+version, `{"source_guest":100}`, with(volume(webNew, func(v *pvesim.Volume) { v.Verification = "failed" })), restoreVM,
				"from "+webOld, "a newer one was passed over: "+webNew+", made 1999-12-31T02:00:00Z: it failed its verification"),
			restored("a guest that is gone on "+version, `{"source_guest":777}`, with(), restoreVM, "from "+gone, "of guest 777, which is not there or cannot be seen"),
			restored("one that had the id before on "+version, `{"source_guest":100}`, with(reused), restoreVM, "from "+webNew, "it is of another guest, which had the id before"),
			refused("none is good on "+version, `{"source_guest":202}`, with(), "No backup of CT 202 (gitea) is good that can be restored here: "+servedCT, "it failed its verification"),
			refused("there is none on "+version, `{"source_guest":105}`, with(), "There is no backup of VM 105 (build-1) that this token can see"),
			refused("the node does not reach it on "+version, `{"source_guest":200,"node":"pve2","storage":"nfs"}`, with(), "pve2 does not reach it"),
			refused("both on "+version, archive(webNew)+`,"source_guest":100}`, with(), "chooses the backup; leave archive out"),
			refused("neither on "+version, `{"name":"copy"}`, with(), `The argument \"archive\" is needed`),
		})
	}
}

// A token that sees only some backups says that there may be newer ones.
func TestRestoreOfAGuestBySomeoneBlind(t *testing.T) {
	m := model(small, sim.Grant("/pool/web", "PVEVMAdmin"), sim.Grant("/storage/nfs", "PVEDatastoreUser"), sim.Grant("/sdn", "PVESDNUser"))
	sim.Tell(t, "pve_restore_backup", []sim.Story{
		{Name: "a pool", Options: sim.Options{Model: m, Token: "none@pve!mcp"}, Args: `{"source_guest":100,"pool":"web","storage":"nfs"}`, Outcome: tool.OK, Writes: []string{restoreVM},
			Says: []string{"from " + webNew, "a newer one may be there: this token lacks Datastore.Audit on /storage"}},
	})
}

// A copy is not started with the fixed address of a guest that runs.
func TestRestoreWithAFixedAddress(t *testing.T) {
	ct := model(set(200, "net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:00,ip=10.10.1.2/24,gw=10.10.1.1,type=veth"))
	vm := model(small, set(100, "ipconfig0", "ip=10.10.1.11/24,gw=10.10.1.1"))
	sim.Tell(t, "pve_restore_backup", []sim.Story{
		{Name: "a container", Options: sim.Options{Model: ct}, Args: `{"source_guest":200,"storage":"nfs","unique":true,"start":true}`, Outcome: tool.Failed,
			Says: []string{"The copy would start with the fixed address 10.10.1.2 of CT 200 (proxy), which runs. Nothing was sent.", "disconnect_nics: true"}},
		{Name: "a VM", Options: sim.Options{Model: vm}, Args: `{"source_guest":100,"unique":true,"start":true}`, Outcome: tool.Failed, Says: []string{"the fixed address 10.10.1.11 of VM 100 (web-1)"}},
		{Name: "a VM that is not started", Options: sim.Options{Model: vm}, Args: `{"source_guest":100,"unique":true}`, Outcome: tool.OK, Writes: []string{restoreVM},
			Says: []string{"it has the fixed address 10.10.1.11 of VM 100 (web-1), which still exists: change it with pve_update_guest_config before both run"}},
		{Name: "planned", Options: sim.Options{Model: vm}, Args: `{"source_guest":100,"plan":true}`, Outcome: tool.Planned, Says: []string{"it has the fixed address 10.10.1.11", "the backup is " + webNew}},
		{Name: "without a network", Options: sim.Options{Model: vm}, Args: `{"source_guest":100,"unique":true,"disconnect_nics":true,"start":true}`, Outcome: tool.OK, Writes: []string{restoreVM}, Says: []string{`"status":"running"`}},
		{Name: "the original is off", Options: sim.Options{Model: model(small, stopped(100), set(100, "ipconfig0", "ip=10.10.1.11/24"))}, Args: `{"source_guest":100,"unique":true,"start":true}`, Outcome: tool.OK, Writes: []string{restoreVM},
			Says: []string{"it has the fixed address 10.10.1.11"}},
		{Name: "the backup cannot be looked into", Options: sim.Options{Model: vm}, Fault: pvesim.Fault{Match: "GET /nodes/*/vzdump/extractconfig", Status: 500, Message: "got timeout"}, Args: `{"source_guest":100,"unique":true}`, Outcome: tool.OK, Writes: []string{restoreVM},
			Says: []string{"whether it has a fixed address that VM 100 (web-1) has as well is not known"}},
	})
}

// A plan names its backup. When there is a newer one, the plan no longer holds.
func TestPlanOfARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(small)})
		plan := func() string {
			return fmt.Sprint(w.Call("pve_restore_backup", `{"source_guest":100,"plan":true}`).Fields["plan_handle"])
		}
		first := plan()
		time.Sleep(time.Hour)
		if a := w.Call("pve_restore_backup", fmt.Sprintf(`{"plan_handle":%q}`, first)); a.Outcome != tool.OK || !strings.Contains(a.Text, webNew) {
			t.Errorf("%s", a.Text)
		}
		second := plan()
		if a := w.Call("pve_create_backup", `{"vmid":100,"storage":"nfs","wait":45}`); a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		if a := w.Call("pve_restore_backup", fmt.Sprintf(`{"plan_handle":%q}`, second)); a.Outcome != tool.Failed || !strings.Contains(a.Text, "the plan no longer holds") {
			t.Errorf("%s", a.Text)
		}
	})
}
