package backups_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	gib = int64(1) << 30
	day = 24 * time.Hour
)

// Backups that the models of the tests have.
const (
	webOld   = "nfs:backup/vzdump-qemu-100-1999_12_25-02_00_00.vma.zst"
	webNew   = "nfs:backup/vzdump-qemu-100-1999_12_31-02_00_00.vma.zst"
	proxy    = "local:backup/vzdump-lxc-200-1999_12_30-02_00_00.tar.zst" // on pve1
	sandbox  = "local:backup/vzdump-lxc-204-1999_12_29-02_00_00.tar.zst" // on pve3
	gone     = "nfs:backup/vzdump-qemu-777-1999_12_28-02_00_00.vma.zst"  // of a guest that there is no more
	served   = "pbs:backup/vm/102/1999-12-31T03:00:00Z"
	servedCT = "pbs:backup/ct/202/1999-12-27T03:00:00Z"
)

// model returns the preset cluster with backups of its own, and changed.
func model(changes ...func(*pvesim.Model)) *pvesim.Model {
	m := pvesim.Cluster()
	m.Volumes = slices.DeleteFunc(m.Volumes, func(v pvesim.Volume) bool { return v.Content == "backup" })
	for i := range m.Storages { // PVE's own pruning is another story
		delete(m.Storages[i].Options, "prune-backups")
	}
	backup := func(id, node string, vmid int, age time.Duration) pvesim.Volume {
		format := map[bool]string{true: "vma.zst", false: "tar.zst"}[strings.Contains(id, "qemu")]
		return pvesim.Volume{ID: id, Node: node, Content: "backup", Format: format, Size: 9 * gib, Used: 9 * gib, VMID: vmid, Age: age}
	}
	m.Volumes = append(m.Volumes,
		backup(webOld, "", 100, 7*day-2*time.Hour), backup(webNew, "", 100, day-2*time.Hour), backup(gone, "", 777, 4*day-2*time.Hour),
		backup(proxy, "pve1", 200, 2*day-2*time.Hour), backup(sandbox, "pve3", 204, 3*day-2*time.Hour),
		pvesim.Volume{ID: served, Content: "backup", Format: "pbs-vm", Size: 200 * gib, Used: 200 * gib, VMID: 102, Age: 21 * time.Hour, Verification: "ok", Encrypted: "a1:b2:c3:d4"},
		pvesim.Volume{ID: servedCT, Content: "backup", Format: "pbs-ct", Size: 50 * gib, Used: 50 * gib, VMID: 202, Age: 4*day + 21*time.Hour, Verification: "failed"},
	)
	for _, change := range changes {
		change(&m)
	}
	return &m
}

// version gives the nodes a version.
func version(v string) func(*pvesim.Model) { return func(m *pvesim.Model) { m.PVE = v } }

// offline takes the last node away.
func offline(m *pvesim.Model) { m.Nodes[len(m.Nodes)-1].Offline = true }

// fault adds a fault.
func fault(f pvesim.Fault) func(*pvesim.Model) {
	return func(m *pvesim.Model) { m.Faults = append(m.Faults, f) }
}

// guest changes a guest.
func guest(vmid int, change func(*pvesim.Guest)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Guests {
			if m.Guests[i].VMID == vmid {
				change(&m.Guests[i])
			}
		}
	}
}

// volume changes a volume.
func volume(id string, change func(*pvesim.Volume)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Volumes {
			if m.Volumes[i].ID == id {
				change(&m.Volumes[i])
			}
		}
	}
}

// granted gives none@pve!mcp roles on paths, each written ROLE on PATH.
func granted(grants ...string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for _, g := range grants {
			role, path, _ := strings.Cut(g, " on ")
			for _, who := range []string{"none@pve", "none@pve!mcp"} {
				m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: who, Role: role})
			}
		}
	}
}

// unseen lets none@pve!mcp use storages that it may not see.
func unseen(m *pvesim.Model) {
	m.Roles = map[string][]string{"Space": {"Datastore.AllocateSpace"}}
	granted("PVEVMAdmin on /vms", "Space on /storage")(m)
}

// ids returns the volids of a list of backups.
func ids(a sim.Answer) string {
	var out []string
	list, _ := a.Fields["backups"].([]any)
	for _, b := range list {
		out = append(out, b.(map[string]any)["volid"].(string))
	}
	return strings.Join(out, " ")
}

// texts are the elements of a list of an answer, each on a line.
func texts(a sim.Answer, field string) string {
	var out []string
	list, _ := a.Fields[field].([]any)
	for _, s := range list {
		out = append(out, fmt.Sprint(s))
	}
	return strings.Join(out, "\n")
}

// noSpace are the notes on storages whose backups a token may not see.
func noSpace(storages ...string) string {
	var out []string
	for _, s := range storages {
		out = append(out, fmt.Sprintf("backups on %s are not visible to this token: it lacks Datastore.AllocateSpace on /storage/%s", s, s))
	}
	return strings.Join(out, "\n")
}

func TestListBackups(t *testing.T) {
	all := strings.Join([]string{served, webNew, proxy, sandbox, gone, servedCT, webOld}, " ")
	lab := pvesim.Lab()
	lab.Volumes = slices.DeleteFunc(lab.Volumes, func(v pvesim.Volume) bool { return v.Content == "backup" })
	lab.Volumes = append(lab.Volumes, pvesim.Volume{ID: "local:backup/vzdump-lxc-102-1999_12_31-02_00_00.tar", Node: "pve", Content: "backup", Format: "tar", Size: gib, Used: gib, VMID: 102, Age: day})
	noAudit := "this token lacks Datastore.Audit on /storage: there may be storages with backups that it cannot see"
	away := "storage local on pve3 is not available, or its node is not: what it has is left out"
	for _, tt := range []struct {
		name, token string
		model       *pvesim.Model
		args, want  string
		notes       string
		sent        int
	}{
		{name: "all, newest first", args: `{}`, want: all, sent: 7},
		{name: "PVE 8", model: model(version("8.4.1")), args: `{}`, want: all, sent: 7},
		{name: "root", token: "root@pam!full", args: `{}`, want: all, sent: 7},
		{name: "of a VM", args: `{"vmid":100}`, want: webNew + " " + webOld, sent: 7},
		{name: "of a container", args: `{"vmid":204}`, want: sandbox, sent: 7},
		{name: "of a guest without any", args: `{"vmid":105}`, sent: 7},
		{name: "of a guest that is not there", args: `{"vmid":999}`, sent: 12,
			notes: "no guest 999 can be seen, nor anything of it; what there is, is of 100, 102, 200, 202, 204 and 777"},
		{name: "on a storage", args: `{"storage":"pbs"}`, want: served + " " + servedCT, sent: 3},
		{name: "on a storage of each node", args: `{"storage":"local"}`, want: proxy + " " + sandbox, sent: 5},
		{name: "of a guest on a storage", args: `{"storage":"nfs","vmid":777}`, want: gone, sent: 3},
		{name: "single node", model: &lab, args: `{}`, want: "local:backup/vzdump-lxc-102-1999_12_31-02_00_00.tar", sent: 3},
		{name: "an auditor sees none", token: "audit@pve!mcp", args: `{}`, notes: noSpace("local", "nfs", "pbs"), sent: 7},
		{name: "an auditor sees none on a storage", token: "audit@pve!mcp", args: `{"storage":"pbs"}`, notes: noSpace("pbs"), sent: 3},
		{name: "a role for VMs alone", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /")), args: `{}`, notes: noAudit, sent: 2},
		{name: "a role for VMs alone, on a storage", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /")), args: `{"storage":"nfs"}`, sent: 2,
			notes: "this token lacks Datastore.Audit on /storage/nfs: whether it has backups is not visible"},
		{name: "no right to guests", token: "none@pve!mcp", model: model(granted("PVEDatastoreUser on /storage/nfs")), args: `{}`, sent: 3,
			notes: noAudit + "\nbackups on nfs of guests on which this token lacks VM.Backup are not visible"},
		{name: "the right to one guest", token: "none@pve!mcp", model: model(granted("PVEDatastoreUser on /storage", "PVEVMUser on /vms/200")), args: `{"storage":"local"}`,
			want: proxy, sent: 5, notes: "backups on local of guests on which this token lacks VM.Backup are not visible"},
		{name: "no right to one guest", token: "none@pve!mcp", model: model(granted("PVEDatastoreUser on /storage", "PVEVMUser on /vms", "PVEAuditor on /vms/100")), args: `{"storage":"nfs"}`,
			want: gone, sent: 3, notes: "backups on nfs of /vms/100 are not visible: this token lacks VM.Backup there"},
		{name: "a storage that may not be seen", token: "none@pve!mcp", model: model(granted("PVEDatastoreUser on /storage", "PVEVMUser on /vms", "PVEVMUser on /storage/pbs")), args: `{"vmid":777}`,
			want: gone, sent: 6, notes: "this token lacks Datastore.Audit on /storage/pbs: whether there are backups is not visible"},
		{name: "a node is offline", model: model(offline), args: `{}`, want: strings.Replace(all, sandbox+" ", "", 1), notes: away, sent: 6},
		{name: "a storage is broken", args: `{}`, want: strings.Join([]string{served, proxy, sandbox, servedCT}, " "), sent: 6,
			model: model(func(m *pvesim.Model) { m.Storages[2].Broken = "mount error" }),
			notes: "storage nfs is not available, or its node is not: what it has is left out"},
		{name: "a storage breaks just now", args: `{}`, want: strings.Join([]string{webNew, proxy, sandbox, gone, webOld}, " "), sent: 7,
			model: model(fault(pvesim.Fault{Match: "GET /nodes/*/storage/pbs/content", Status: 500, Message: "error fetching datastores - 500 Can't connect to pbs.lan:8007"})),
			notes: "storage pbs could not be asked: PVE refused: error fetching datastores - 500 Can't connect to pbs.lan:8007."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.model == nil {
					tt.model = model()
				}
				w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token})
				a := w.Call("pve_list_backups", tt.args)
				if got := ids(a); a.IsError || got != tt.want {
					t.Errorf("got %s\nwant %s\n%s", got, tt.want, a.Text)
				}
				if got := texts(a, "notes"); got != tt.notes {
					t.Errorf("notes %s\nwant %s", got, tt.notes)
				}
				if sent := w.Sent(); len(sent) != tt.sent {
					t.Errorf("%d requests, want %d: %v", len(sent), tt.sent, sent)
				}
			})
		})
	}
}

func TestListBackupsShowsWhatPVEKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(volume(webNew, func(v *pvesim.Volume) {
			v.Notes, v.Protected = "before \u202ethe\x1b[2J upgrade\nsecond line", true
		}))})
		for args, want := range map[string]string{
			`{"vmid":100,"limit":1}`: `{"backups":[{"volid":"` + webNew + `","vmid":100,"name":"web-1","type":"qemu","created":"1999-12-31T02:00:00Z","age":"22h",` +
				`"size":9663676416,"size_human":"9 GiB","notes":"before the upgrade","protected":true}],"total":2,"left_out":1,"more":"offset: 1, or a filter"}`,
			`{"vmid":100,"limit":1,"offset":1}`: `"total":2,"left_out":1}`,
			`{"vmid":100,"offset":7}`:           `{"backups":[],"total":2,"left_out":2}`,
			`{"vmid":777}`:                      `{"backups":[{"volid":"` + gone + `","vmid":777,"type":"qemu","created":"1999-12-28T02:00:00Z","age":"3d 22h",`,
			`{"vmid":200}`:                      `"name":"proxy","type":"lxc","created":"1999-12-30T02:00:00Z","age":"1d 22h","size":9663676416,"size_human":"9 GiB","node":"pve1"}`,
			`{"vmid":102}`:                      `"name":"db-1","type":"qemu","created":"1999-12-31T03:00:00Z","age":"21h","size":214748364800,"size_human":"200 GiB","verified":"ok","encrypted":true}`,
			`{"vmid":202}`:                      `"verified":"failed"`,
		} {
			if a := w.Call("pve_list_backups", args); !strings.Contains(a.Text, want) {
				t.Errorf("%s: %s\nwant %s", args, a.Text, want)
			}
		}
	})
}

// A node's clock may be ahead of ours.
func TestListBackupsOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model()})
		w.Host.Now = func() time.Time { return time.Now().Add(-48 * time.Hour) }
		if a := w.Call("pve_list_backups", `{"vmid":102}`); !strings.Contains(a.Text, `"created":"1999-12-31T03:00:00Z","age":"0s"`) {
			t.Errorf("%s", a.Text)
		}
	})
}

func TestListBackupsRefuses(t *testing.T) {
	for _, tt := range []struct {
		model      *pvesim.Model
		args, want string
	}{
		{model(), `{"storage":"nowhere"}`, `There is no storage "nowhere", or it is disabled, or this token may not see it. There are local, local-zfs, nfs and pbs.`},
		{model(), `{"storage":"old-nas"}`, `There is no storage "old-nas", or it is disabled`},
		{model(), `{"storage":"local-zfs"}`, "The storage local-zfs may not hold backups. These may: local, nfs and pbs."},
		{model(), `{"vmid":1}`, `The argument "vmid" is 1, which is not a whole number from 100.`},
		{model(), `{"guest":100}`, `There is no argument "guest".`},
		// Nobody answers: that is not none.
		{model(fault(pvesim.Fault{Match: "GET /nodes/*/storage/*/content", Status: 500, Message: "unable to open"})), `{}`, "PVE refused: unable to open."},
	} {
		if a := sim.New(t, sim.Options{Model: tt.model}).Call("pve_list_backups", tt.args); !a.IsError || !strings.Contains(a.Text, tt.want) {
			t.Errorf("%s: %s\nwant %s", tt.args, a.Text, tt.want)
		}
	}
}
