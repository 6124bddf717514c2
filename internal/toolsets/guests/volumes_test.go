package guests_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// protecting is a policy that protects guests.
func protecting(t *testing.T, rules string) policy.Policy {
	t.Helper()
	protect, err := policy.ParseRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Policy{Protect: protect, Confirm: policy.Param}
}

func turnedOff(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) { g.Running, g.HA = false, "" })
}

// A protected guest is not changed through another one, whatever the volume is named in.
func TestVolumesOfProtectedGuests(t *testing.T) {
	for _, set := range []string{
		`"scsi1":"local-zfs:vm-103-disk-0"`,
		`"scsi1":"size=200G,file=local-zfs:vm-103-disk-0"`,
		`"scsi1":"local-zfs:0,import-from=local-zfs:vm-103-disk-0"`,
		`"unused3":"local-zfs:vm-103-disk-0"`,
		`"efidisk0":"local-zfs:vm-103-disk-0"`,
		`"tpmstate0":"local-zfs:vm-103-disk-0,version=v2.0"`,
		`"ide2":"local-zfs:vm-103-cloudinit,media=cdrom"`,
		`"scsi1":"/dev/zvol/rpool/data/vm-103-disk-0"`,
	} {
		w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: protecting(t, "103")})
		a := w.Call("pve_update_guest_config", fmt.Sprintf(`{"vmid":105,"confirm":true,"set":{%s}}`, set))
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "guest 103 is protected (PVE_MCP_PROTECT: 103)") || len(sim.Writes(w.Sent())) != 0 {
			t.Errorf("%s: %s", set, a.Text)
		}
	}
}

// What has a disk of a protected guest is left alone, now, from its next start on, or in the
// snapshot that it is about.
func TestGuestsWithVolumesOfProtectedOnes(t *testing.T) {
	disk := sim.Set(105, "scsi1=local-zfs:vm-103-disk-0,size=200G")
	for _, tt := range []struct {
		name   string
		change []func(*pvesim.Model)
		call   string
	}{
		{"start", nil, `pve_guest_power {"vmid":105,"action":"start"}`},
		{"configuration", nil, `pve_update_guest_config {"vmid":105,"set":{"cores":2}}`},
		{"snapshot", nil, `pve_create_snapshot {"vmid":105,"snapname":"before"}`},
		{"resize", nil, `pve_resize_disk {"vmid":105,"disk":"scsi0","size":"+1G"}`},
		{"rollback", []func(*pvesim.Model){sim.Snapshot(105, "before")}, `pve_rollback_snapshot {"vmid":105,"snapname":"before","confirm":true}`},
		{"delete snapshot", []func(*pvesim.Model){sim.Snapshot(105, "before")}, `pve_delete_snapshot {"vmid":105,"snapname":"before","confirm":true}`},
		{"delete", nil, `pve_delete_guest {"vmid":105,"confirm":true}`},
		{"restore", nil, `pve_restore_backup {"archive":"%s","vmid":105,"node":"pve3","storage":"nfs","overwrite":true,"confirm":true}`},
		{"clone", nil, `pve_clone_guest {"vmid":105,"newid":300}`},
		{"migrate", nil, `pve_migrate_guest {"vmid":105,"target":"pve1"}`},
		{"backup", nil, `pve_create_backup {"vmid":105,"storage":"nfs","mode":"stop"}`},
	} {
		w := sim.New(t, sim.Options{Model: sim.Cluster(append([]func(*pvesim.Model){disk}, tt.change...)...), Token: "root@pam!full", Policy: protecting(t, "103")})
		name, args, _ := strings.Cut(tt.call, " ")
		if strings.Contains(args, "%s") {
			args = fmt.Sprintf(args, regexp.MustCompile(`nfs:backup/vzdump-qemu-104-[^"]*`).FindString(w.Call("pve_list_backups", `{"vmid":104}`).Text))
		}
		a := w.Call(name, args)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "guest 103 is protected (PVE_MCP_PROTECT: 103)") || len(sim.Writes(w.Sent())) != 0 {
			t.Errorf("%s: %s", tt.name, a.Text)
		}
	}
}

// Without rules a human is asked about both guests, and a running one keeps its volumes.
func TestVolumesOfOtherGuests(t *testing.T) {
	quiet := sim.Options{Model: sim.Cluster(turnedOff(103)), Token: "root@pam!full"}
	const set = `"vmid":105,"set":{"scsi1":"local-zfs:vm-103-disk-0"}`
	sim.Tell(t, "pve_update_guest_config", []sim.Story{
		{Name: "asks", Options: quiet, Args: "{" + set + "}", Outcome: tool.NeedsConfirmation,
			Says: []string{"scsi1: local-zfs:vm-103-disk-0 is a volume of VM 103 (db-2): what happens to it in VM 105 happens to that guest"}},
		{Name: "confirmed", Options: quiet, Args: "{" + set + `,"confirm":true}`, Outcome: tool.OK, Writes: []string{putVM}},
		{Name: "runs", Options: sim.Options{Token: "root@pam!full"}, Args: "{" + set + `,"confirm":true}`, Outcome: tool.Failed,
			Says: []string{"a volume of guest 103 is named, which is running"}},
		{Name: "not to be seen", Options: sim.Options{Model: sim.Cluster(sim.Grant("/vms/105", "Administrator"), sim.Grant("/storage", "Administrator")), Token: "none@pve!mcp"},
			Args: "{" + set + `,"confirm":true}`, Outcome: tool.Failed, Says: []string{"whether guest 103, whose volume is named, is running is unknown", "VM.Audit"}},
		{Name: "of a guest that is gone", Options: quiet, Args: `{"vmid":105,"confirm":true,"set":{"scsi1":"local-zfs:vm-777-disk-0"}}`, Outcome: tool.Failed, Says: []string{"does not exist"}, Writes: []string{putVM}},
		{Name: "nobody's by its name", Options: quiet, Args: `{"vmid":105,"set":{"scsi1":"iscsi:0.0.0.scsi-1"}}`, Outcome: tool.NeedsConfirmation,
			Says: []string{"scsi1: the name of iscsi:0.0.0.scsi-1 does not show whose volume it is"}},
		{Name: "its own", Options: sim.Options{Model: sim.Cluster(sim.Set(105, "unused0=local-zfs:vm-105-disk-0")), Token: "root@pam!full"},
			Args: `{"vmid":105,"set":{"scsi1":"local-zfs:vm-105-disk-0"}}`, Outcome: tool.OK, Writes: []string{putVM}},
	})
	shared := func(more ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(append(more, sim.Set(105, "scsi1=local-zfs:vm-103-disk-0,size=200G"), sim.Snapshot(105, "before"))...), Token: "root@pam!full"}
	}
	sim.Tell(t, "pve_rollback_snapshot", []sim.Story{
		{Name: "asks", Options: shared(turnedOff(103)), Args: `{"vmid":105,"snapname":"before"}`, Outcome: tool.NeedsConfirmation, Says: []string{"is a volume of VM 103 (db-2)"}},
		{Name: "runs", Options: shared(), Args: `{"vmid":105,"snapname":"before","confirm":true}`, Outcome: tool.Failed, Says: []string{"a volume of guest 103 is named, which is running"}},
	})
	sim.Tell(t, "pve_create_snapshot", []sim.Story{
		{Name: "of another's", Options: shared(turnedOff(103)), Args: `{"vmid":105,"snapname":"now"}`, Outcome: tool.Failed,
			Says: []string{"VM 105 has a volume of VM 103 (db-2), of which it would be a snapshot, too; nothing was sent.", "Snapshot that guest, or take the volume off"}},
	})
	sim.Tell(t, "pve_resize_disk", []sim.Story{
		{Name: "another's", Options: shared(turnedOff(103)), Args: `{"vmid":105,"disk":"scsi1","size":"+1G"}`, Outcome: tool.Failed,
			Says: []string{"scsi1 of VM 105 is a volume of VM 103 (db-2); nothing was sent.", "Grow it there."}},
		{Name: "its own", Options: shared(), Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`, Outcome: tool.OK, Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/resize"}},
	})
	sim.Tell(t, "pve_delete_guest", []sim.Story{
		{Name: "keeps it", Options: shared(), Args: `{"vmid":105}`, Outcome: tool.NeedsConfirmation,
			Says: []string{"scsi1 (local-zfs:vm-103-disk-0) is only detached: it belongs to VM 103 (db-2)"}},
	})
}

// A disk that is named in two ways is not exchanged unseen: PVE takes one of the two.
func TestDiskNamedTwice(t *testing.T) {
	var stories []sim.Story
	for _, set := range []string{"local-zfs:vm-105-disk-0,volume=nfs:105/vm-105-disk-1.qcow2", "file=local-zfs:vm-105-disk-0,size=1G,volume=local-zfs:8"} {
		stories = append(stories, sim.Story{Name: set, Options: sim.Options{Token: "root@pam!full", Model: sim.Cluster(sim.Set(105, "unused0=nfs:105/vm-105-disk-1.qcow2"))},
			Args: fmt.Sprintf(`{"vmid":105,"set":{"scsi0":%q}}`, set), Outcome: tool.Failed, Says: []string{"names two volumes"}})
	}
	sim.Tell(t, "pve_update_guest_config", stories)
}

// What a change of a configuration takes from a guest that needs it is asked about.
func TestTakenOff(t *testing.T) {
	disks := sim.Set(105, "scsi1=nfs:105/vm-105-disk-1.qcow2,size=5G", "scsi2=local-zfs:vm-103-disk-0", "scsi3=/dev/disk/by-id/ata-X", "ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom")
	still := sim.Options{Model: sim.Cluster(disks), Token: "root@pam!full"}
	runs := sim.Options{Model: sim.Cluster(disks, sim.Guest(105, func(g *pvesim.Guest) { g.Running = true })), Token: "root@pam!full"}
	boots := sim.Options{Model: sim.Cluster(disks, sim.Set(105, "boot=order=ide2;scsi2;scsi3")), Token: "root@pam!full"}
	ask, ok := tool.NeedsConfirmation, tool.OK
	var stories []sim.Story
	for _, tt := range []struct {
		name    string
		options sim.Options
		args    string
		outcome tool.Outcome
		says    string
	}{
		{"of a stopped VM", still, `"delete":["scsi1"]`, ok, ""},
		{"of a running VM", runs, `"delete":["scsi1"]`, ask, "the disk scsi1 (nfs:105/vm-105-disk-1.qcow2,size=5G) is detached while the guest runs"},
		{"its boot disk", still, `"delete":["scsi0"]`, ask, "the disk scsi0 (local-zfs:vm-105-disk-0,size=120G), from which it boots, is detached"},
		{"CD of a running VM", runs, `"delete":["ide2"]`, ok, ""},
		{"CD that it boots from", boots, `"delete":["ide2"]`, ok, ""},
		{"another's volume", boots, `"delete":["scsi2"]`, ok, ""},
		{"another's volume, running", runs, `"delete":["scsi2"]`, ask, "detached while the guest runs"},
		{"device", boots, `"delete":["scsi3"]`, ok, ""},
		{"another's volume, replaced", still, `"set":{"scsi2":"nfs:105/vm-105-disk-1.qcow2"}`, ok, ""},
		{"another's volume, with force", still, `"delete":["scsi2"],"force":true`, ask, "scsi2 (local-zfs:vm-103-disk-0) is only detached: it belongs to VM 103 (db-2)"},
		{"device, with force", still, `"delete":["scsi3"],"force":true`, ask, "scsi3 (/dev/disk/by-id/ata-X) is only detached: it is a device or a folder of the node"},
		{"CD, with force", still, `"delete":["ide2"],"force":true`, ask, "is only detached: it is a CD"},
		{"template", still, `"set":{"template":true}`, ask, "it becomes a template, which cannot run and cannot become a guest again"},
	} {
		s := sim.Story{Name: tt.name, Options: tt.options, Args: `{"vmid":105,` + tt.args + `}`, Outcome: tt.outcome}
		if tt.says != "" {
			s.Says = []string{tt.says}
		} else {
			s.Writes = []string{putVM}
		}
		stories = append(stories, s)
	}
	sim.Tell(t, "pve_update_guest_config", stories)
}

// What HA moves together with a guest is named, and is not moved where it is protected.
func TestMigrationTakesAlong(t *testing.T) {
	together := sim.Cluster(func(m *pvesim.Model) {
		m.HARules = append(m.HARules, pvesim.HASection{ID: "pair", Type: "resource-affinity", Options: map[string]string{"affinity": "positive", "resources": "vm:103,vm:105"}})
	}, sim.Guest(105, func(g *pvesim.Guest) { g.HA = "stopped" }))
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: together, Token: "root@pam!full"})
		a := w.Call("pve_migrate_guest", `{"vmid":105,"target":"pve2","wait":40}`)
		if a.Outcome != tool.OK || !strings.Contains(a.Text, "Migration of VM 105 (build-1) from pve3 to pve2, and with it, by rules of HA, VM 103 (db-2)") {
			t.Errorf("%s", a.Text)
		}
		if b := w.Call("pve_guest_status", `{"vmid":103}`); b.Fields["node"] != "pve2" {
			t.Errorf("it stayed: %s", b.Text)
		}
	})
	w := sim.New(t, sim.Options{Model: together, Token: "root@pam!full", Policy: protecting(t, "103")})
	a := w.Call("pve_migrate_guest", `{"vmid":105,"target":"pve2"}`)
	if a.Outcome != tool.Failed || !strings.Contains(a.Text, "HA moves guest 103, too: guest 103 is protected") || len(sim.Writes(w.Sent())) != 0 {
		t.Errorf("%s", a.Text)
	}
}

// A rule about a pool is about the pools in it, too.
func TestNestedPools(t *testing.T) {
	nested := sim.Cluster(func(m *pvesim.Model) { m.Pools = append(m.Pools, pvesim.Pool{ID: "db/old", VMIDs: []int{105}}) })
	w := sim.New(t, sim.Options{Model: nested, Policy: protecting(t, "pool:db")})
	a := w.Call("pve_update_guest_config", `{"vmid":105,"set":{"cores":2}}`)
	if a.Outcome != tool.Failed || !strings.Contains(a.Text, "guest 105 is protected (PVE_MCP_PROTECT: pool:db)") {
		t.Errorf("%s", a.Text)
	}
	w = sim.New(t, sim.Options{Model: nested, Policy: protecting(t, "pool:db/old")})
	if a := w.Call("pve_update_guest_config", `{"vmid":103,"set":{"cores":2}}`); a.Outcome != tool.OK {
		t.Errorf("%s", a.Text)
	}
}

// Pools that the token may not see may be in one that a rule names, and have any guest.
func TestHiddenPools(t *testing.T) {
	for name, acl := range map[string]pvesim.ACL{
		"not propagated": {Path: "/pool/db", Role: "PVEPoolUser", NoPropagate: true},
		"closed below":   {Path: "/pool/db/old", Role: "PVEVMUser"},
	} {
		w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Grant("/vms", "PVEVMAdmin"), sim.Grant("/pool/db", "PVEPoolUser"), func(m *pvesim.Model) {
			m.Pools = append(m.Pools, pvesim.Pool{ID: "db/old", VMIDs: []int{105}})
			m.ACL = slices.DeleteFunc(m.ACL, func(a pvesim.ACL) bool { return a.Path == acl.Path && strings.HasPrefix(a.Who, "none@pve") })
			for _, who := range []string{"none@pve", "none@pve!mcp"} {
				m.ACL = append(m.ACL, pvesim.ACL{Path: acl.Path, Who: who, Role: acl.Role, NoPropagate: acl.NoPropagate})
			}
		}), Token: "none@pve!mcp", Policy: protecting(t, "pool:db")})
		a := w.Call("pve_update_guest_config", `{"vmid":105,"set":{"cores":2}}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "whether guest 105 is protected is unknown: rule pool:db") || len(sim.Writes(w.Sent())) != 0 {
			t.Errorf("%s: %s", name, a.Text)
		}
	}
}

// What a protected guest has of another one's is not changed through that one either.
func TestVolumesThatProtectedGuestsHave(t *testing.T) {
	model := sim.Cluster(sim.Snapshot(105, "before"), sim.Set(103, "scsi1=local-zfs:vm-105-disk-0,size=120G"))
	for _, rules := range []string{"103", "tag:db"} {
		for _, call := range []string{
			`pve_delete_guest {"vmid":105,"confirm":true}`,
			`pve_resize_disk {"vmid":105,"disk":"scsi0","size":"+1G"}`,
			`pve_rollback_snapshot {"vmid":105,"snapname":"before","confirm":true}`,
			`pve_update_guest_config {"vmid":105,"delete":["scsi0"],"force":true,"confirm":true}`,
		} {
			w := sim.New(t, sim.Options{Model: model, Token: "root@pam!full", Policy: protecting(t, rules)})
			name, args, _ := strings.Cut(call, " ")
			a := w.Call(name, args)
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "guest 103 has local-zfs:vm-105-disk-0 as scsi1: guest 103 is protected") || len(sim.Writes(w.Sent())) != 0 {
				t.Errorf("%s, %s: %s", rules, call, a.Text)
			}
		}
	}
}
