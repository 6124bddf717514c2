package backups_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// stopped makes a guest one that does not run.
func stopped(vmid int) func(*pvesim.Model) {
	return guest(vmid, func(g *pvesim.Guest) { g.Running, g.Up = false, 0 })
}

// set gives a guest's configuration a value.
func set(vmid int, key, value string) func(*pvesim.Model) {
	return guest(vmid, func(g *pvesim.Guest) { g.Config[key] = value })
}

// archive are the arguments of a restoration, without the last brace.
func archive(id string) string { return fmt.Sprintf(`{"archive":%q`, id) }

// restoration is a call of pve_restore_backup, and what comes of it.
type restoration struct {
	name    string
	model   *pvesim.Model
	token   string
	args    string
	outcome tool.Outcome
	message string
	vmid    float64
	node    string
	status  string
	notes   string
	before  int    // requests until the write
	storage string // of its disk
}

func (tt restoration) check(t *testing.T) {
	if tt.model == nil {
		tt.model = model(small)
	}
	w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token})
	a := w.Call("pve_restore_backup", tt.args+"}")
	if tt.outcome == "" {
		tt.outcome = tool.OK
	}
	if a.Outcome != tt.outcome || !strings.Contains(fmt.Sprint(a.Fields["message"]), tt.message) {
		t.Fatalf("%s\nwant %s", a.Text, tt.message)
	}
	if sent := w.Sent(); before(sent) != tt.before || len(sim.Writes(sent)) != 1 {
		t.Errorf("%d requests before the write: %v", before(sent), sent)
	}
	if tt.vmid == 0 {
		return
	}
	if a.Fields["vmid"] != tt.vmid || a.Fields["node"] != tt.node || a.Fields["status"] != tt.status || texts(a, "notes") != tt.notes {
		t.Errorf("%s", a.Text)
	}
	c := w.As("root@pam!full").Call("pve_guest_config", fmt.Sprintf(`{"vmid":%v}`, tt.vmid))
	if !strings.Contains(c.Text, tt.storage+":") || c.IsError {
		t.Errorf("%s", c.Text)
	}
}

func TestRestore(t *testing.T) {
	twin := func(what string) string {
		return "it has the MAC addresses of " + what + ", which still exists: do not run both in one network; unique: true makes new ones"
	}
	lab := pvesim.Lab()
	small(&lab)
	labArchive := "local:backup/vzdump-lxc-103-1999_12_31-02_00_00.tar"
	lab.Volumes = append(lab.Volumes, pvesim.Volume{ID: labArchive, Node: "pve", Content: "backup", Format: "tar", Size: gib, Used: gib, VMID: 103, Age: day})
	for _, tt := range []restoration{
		{name: "VM to the next free id", args: archive(webNew), message: "Restore of VM 110 from " + webNew + " on pve1: done.",
			vmid: 110, node: "pve1", status: "stopped", notes: twin("VM 100 (web-1)"), before: 7, storage: "local-zfs"},
		{name: "PVE 8", model: model(small, version("8.4.1")), args: archive(webNew), vmid: 110, node: "pve1", status: "stopped", notes: twin("VM 100 (web-1)"), before: 7, storage: "local-zfs"},
		{name: "to a given id, elsewhere", args: archive(webOld) + `,"vmid":321,"node":"pve3","storage":"nfs","unique":true`,
			vmid: 321, node: "pve3", status: "stopped", before: 7, storage: "nfs"},
		{name: "of a guest that there is no more", args: archive(gone), vmid: 110, node: "pve1", status: "stopped", before: 6},
		{name: "of such a guest to its own id", args: archive(gone) + `,"vmid":777`, vmid: 777, node: "pve1", status: "stopped", before: 6},
		{name: "CT", args: archive(proxy) + `,"storage":"local-zfs"`, vmid: 110, node: "pve1", status: "stopped", notes: twin("CT 200 (proxy)"), before: 9, storage: "local-zfs"},
		{name: "CT, started", args: archive(sandbox) + `,"storage":"nfs","start":true,"unique":true`, vmid: 110, node: "pve3", status: "running", before: 9, storage: "nfs"},
		{name: "CT to the only storage", model: &lab, args: archive(labArchive), vmid: 104, node: "pve", status: "stopped", notes: twin("CT 103 (jellyfin)"), before: 7, storage: "local-lvm"},
		{name: "VM, started", args: archive(webNew) + `,"start":true,"unique":true`, vmid: 110, node: "pve1", status: "running", before: 7},
		{name: "from a backup server", args: archive(served) + `,"unique":true`, vmid: 110, node: "pve2", status: "stopped", before: 7},
		{name: "CT from a backup server", args: archive(servedCT) + `,"unique":true,"storage":"nfs"`, vmid: 110, node: "pve3", status: "stopped", before: 7},
		{name: "its node is offline", model: model(small, offline), args: archive(servedCT) + `,"unique":true,"storage":"nfs"`, vmid: 110, node: "pve1", status: "stopped", before: 7},
		{name: "over another one", args: archive(gone) + `,"vmid":105,"overwrite":true,"confirm":true`, vmid: 105, node: "pve3", status: "stopped", before: 5},
		{name: "over its original", model: model(small, stopped(200)), args: archive(proxy) + `,"vmid":200,"overwrite":true,"storage":"local-zfs","confirm":true`,
			vmid: 200, node: "pve1", status: "stopped", before: 5},
		{name: "over another one, a twin", args: archive(webNew) + `,"vmid":105,"overwrite":true,"confirm":true,"storage":"nfs"`, vmid: 105, node: "pve3", status: "stopped",
			notes: twin("VM 100 (web-1)"), before: 6, storage: "nfs"},
		{name: "its start fails", args: archive(webNew) + `,"vmid":105,"overwrite":true,"confirm":true,"start":true,"unique":true`, outcome: tool.Failed,
			message: "on pve3: done. What comes after it: the start failed: start failed: QEMU exited with code 1",
			vmid:    105, node: "pve3", status: "stopped", before: 6},
		{name: "its start cannot be followed", args: archive(webNew) + `,"start":true,"unique":true`, vmid: 110, node: "pve1", status: "stopped", before: 7,
			model: model(small, fault(pvesim.Fault{Match: "GET /nodes/*/tasks", Status: 500, Message: "got timeout"})), notes: "it was restored, but is not running yet"},
		{name: "no room", outcome: tool.Failed, args: archive(proxy) + `,"storage":"nfs"`, before: 9, model: model(small, fault(pvesim.Fault{Match: "POST /nodes/*/lxc",
			TaskFails: "unable to restore CT 110 - unable to create temporary directory: No space left on device"})),
			message: "Restore of CT 110 from " + proxy + " on pve1 failed: unable to restore CT 110 - unable to create temporary directory: No space left on device"},
		{name: "a storage that the node lacks", outcome: tool.Failed, args: archive(webNew) + `,"node":"pve2"`, before: 7,
			model:   model(small, func(m *pvesim.Model) { m.Storages[1].Nodes = []string{"pve1", "pve3"}; m.Guests = m.Guests[:1] }),
			message: "Restore of VM 101 from " + webNew + " on pve2 failed: storage 'local-zfs' is not available on node 'pve2'"},
		{name: "without the right to see the storage", token: "none@pve!mcp", args: archive(webNew) + `,"vmid":321,"node":"pve2","storage":"nfs"`, vmid: 321, node: "pve2", status: "stopped", before: 7,
			model: model(small, unseen), notes: twin("VM 100 (web-1)")},
	} {
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, tt.check) })
	}
}

// A copy whose NICs are down when it is started takes no address of its original.
func TestRestoreWithNICsDown(t *testing.T) {
	two := func(m *pvesim.Model) {
		set(100, "net0", "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,link_down=0")(m)
		set(100, "net1", "model=e1000,macaddr=BC:24:11:00:00:65,bridge=vmbr0,tag=30")(m)
	}
	for _, tt := range []struct {
		name, args string
		change     func(*pvesim.Model)
		nics       map[string]string // patterns of their values
		notes      string
		status     string
	}{
		{"VM", archive(webNew) + `,"disconnect_nics":true,"start":true`, two, map[string]string{
			"net0": `^virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,link_down=1$`, "net1": `^e1000=BC:24:11:00:00:65,bridge=vmbr0,link_down=1,tag=30$`,
		}, "NICs that are down (link_down=1): net0 and net1; pve", "running"},
		{"VM, addresses of its own", archive(webNew) + `,"disconnect_nics":true,"unique":true`, two, map[string]string{
			"net0": `^virtio=BC:24:11:[0-9A-F:]{8},bridge=vmbr0,firewall=1,link_down=1$`, "net1": `^e1000=BC:24:11:[0-9A-F:]{8},bridge=vmbr0,link_down=1,tag=30$`,
		}, "NICs that are down (link_down=1): net0 and net1; pve", "stopped"},
		{"CT", archive(proxy) + `,"storage":"nfs","disconnect_nics":true,"start":true`, nil, map[string]string{"net0": `hwaddr=.*link_down=1`}, "NICs that are down (link_down=1): net0; pve", "running"},
		{"CT, addresses of its own", archive(proxy) + `,"storage":"nfs","disconnect_nics":true,"unique":true`, nil, map[string]string{"net0": `^name=eth0,bridge=vmbr0,hwaddr=BC:24:11:[0-9A-F:]{8},ip=dhcp,link_down=1,type=veth$`}, "NICs that are down (link_down=1): net0; pve", "stopped"},
		{"without any", archive(webNew) + `,"disconnect_nics":true`, guest(100, func(g *pvesim.Guest) { delete(g.Config, "net0") }), nil, "it has no NICs", "stopped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				changes := []func(*pvesim.Model){small}
				if tt.change != nil {
					changes = append(changes, tt.change)
				}
				w := sim.New(t, sim.Options{Model: model(changes...)})
				old := w.As("root@pam!full").Call("pve_guest_config", `{"vmid":100}`)
				a := w.Call("pve_restore_backup", tt.args+"}")
				if a.Outcome != tool.OK || a.Fields["status"] != tt.status || !strings.Contains(texts(a, "notes"), tt.notes) {
					t.Fatalf("%s", a.Text)
				}
				nics := map[string]string{}
				for _, n := range w.As("root@pam!full").Call("pve_guest_config", `{"vmid":110}`).Fields["nics"].([]any) {
					nics[n.(map[string]any)["key"].(string)] = n.(map[string]any)["value"].(string)
				}
				for key, pattern := range tt.nics {
					if !regexp.MustCompile(pattern).MatchString(nics[key]) {
						t.Errorf("%s: %s, want %s", key, nics[key], pattern)
					}
				}
				for _, mac := range []string{"BC:24:11:00:00:64", "BC:24:11:00:00:65"} {
					if strings.Contains(tt.name, "own") && strings.Contains(fmt.Sprint(nics), mac) {
						t.Errorf("%v has the address of %s", nics, old.Text)
					}
				}
				if len(nics) != len(tt.nics) {
					t.Errorf("%v", nics)
				}
			})
		})
	}
}

// A token that may make guests only in a pool has to name it.
func TestRestoreInAPool(t *testing.T) {
	m := model(small, sim.Grant("/pool/web", "PVEVMAdmin"), sim.Grant("/vms/100", "PVEVMUser"), sim.Grant("/storage", "PVEDatastoreUser"), sim.Grant("/sdn", "PVESDNUser"))
	sim.Tell(t, "pve_restore_backup", []sim.Story{
		{Name: "not named", Options: sim.Options{Model: m, Token: "none@pve!mcp"}, Args: archive(webNew) + `}`, Outcome: tool.Failed,
			Says: []string{"This token may make guests only in a pool: web.", `Name one of them, such as pool: \"web\".`}},
		{Name: "named", Options: sim.Options{Model: m, Token: "none@pve!mcp"}, Args: archive(webNew) + `,"pool":"web","name":"copy"}`, Outcome: tool.OK, Writes: []string{restoreVM},
			Says: []string{`"vmid":110,"name":"copy"`}},
	})
}

// What is sent is what was asked for; force only ever together with overwrite.
func TestRestoreSends(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{archive(webNew), "archive:" + webNew + " node:pve1 vmid:110"},
		{archive(webNew) + `,"start":true,"unique":true,"node":"pve2","storage":"nfs"`, "archive:" + webNew + " node:pve2 start:1 storage:nfs unique:1 vmid:110"},
		{archive(gone) + `,"vmid":105,"overwrite":true,"confirm":true`, "archive:" + gone + " force:1 node:pve3 vmid:105"},
		{archive(webNew) + `,"name":"copy","pool":"web"`, "archive:" + webNew + " name:copy node:pve1 pool:web vmid:110"},
		{archive(proxy) + `,"storage":"nfs","name":"copy"`, "hostname:copy node:pve1 ostemplate:" + proxy + " restore:1 storage:nfs vmid:110"},
		{archive(proxy) + `,"storage":"nfs","unique":true`, "node:pve1 ostemplate:" + proxy + " restore:1 storage:nfs unique:1 vmid:110"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: model(small)})
			a := w.Call("pve_restore_backup", tt.args+"}")
			sent := params(w)
			for k, v := range sent {
				sent[k] = fmt.Sprint(v)
			}
			if got := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(sent), "map["), "]"); a.Outcome != tool.OK || got != tt.want {
				t.Errorf("%s\nsent %s\nwant %s", a.Text, got, tt.want)
			}
		})
	}
}

func TestRestoreSaysWhatIsLost(t *testing.T) {
	for _, tt := range []struct{ name, args, want string }{
		{"VM", archive(webNew) + `,"vmid":104,"overwrite":true}`,
			"VM 104 (mail) on pve1 is replaced by the backup: its configuration, disks and snapshots are lost\n" +
				"a disk whose slot is empty in the backup is kept as an unused disk\n" +
				"it has the MAC addresses of VM 100 (web-1), which still exists: do not run both in one network; unique: true makes new ones\n" +
				"VM 104 (mail) on pve1 is stopped\ndisk scsi0: local-zfs:vm-104-disk-0, 80 GiB\n"},
		{"CT", archive(proxy) + `,"vmid":200,"overwrite":true,"storage":"nfs"}`,
			"CT 200 (proxy) on pve1 is replaced by the backup: its configuration, disks and snapshots are lost\n" +
				"CT 200 (proxy) on pve1 is stopped\ndisk rootfs: local-zfs:subvol-200-disk-0, 8 GiB\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: model(stopped(104), stopped(200))})
			a := w.Call("pve_restore_backup", tt.args)
			if got := texts(a, "consequences"); a.Outcome != tool.NeedsConfirmation || !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s\ngot %s\nwant %s", a.Text, got, tt.want)
			}
			if sent := w.Sent(); len(sim.Writes(sent)) != 0 {
				t.Errorf("requests %v", sent)
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	over := func(id string, vmid int) string {
		return archive(id) + fmt.Sprintf(`,"vmid":%d,"overwrite":true,"confirm":true,"storage":"nfs"}`, vmid)
	}
	refused(t, "pve_restore_backup", []refusal{
		{name: "no volid", args: `{"archive":"vzdump"}`, want: `The argument \"archive\": \"vzdump\" is not a volume id`},
		{name: "no backup", args: archive("local:iso/debian-12.11.0-amd64-netinst.iso") + "}", want: `\"archive\" is \"local:iso/debian-12.11.0-amd64-netinst.iso\", which is not the name of a backup`},
		{name: "it is not there", args: archive(strings.Replace(webNew, "1999", "1998", 1)) + "}", want: `There is no backup nfs:backup/vzdump-qemu-100-1998_12_31-02_00_00.vma.zst.","outcome":"failed","next":"pve_list_backups has those that there are.`},
		{name: "it is on another node", args: archive(proxy) + `,"node":"pve2","storage":"nfs"}`, want: "There is no backup " + proxy + "."},
		{name: "its node is offline", model: model(offline), args: archive(sandbox) + `,"storage":"nfs"}`,
			want: `There is no backup ` + sandbox + `.","outcome":"failed","next":"storage local on pve3 is not available, or its node is not: what it has is left out; pve_list_backups has`},
		{name: "no storage", args: archive("tape:backup/vzdump-qemu-100-1999_12_31-02_00_00.vma.zst") + "}", want: "There is no storage tape, or it is disabled, or this token may not see it."},
		{name: "no node", args: archive(webNew) + `,"node":"pve9"}`, want: `There is no node \"pve9\".`},
		{name: "an offline node", model: model(offline), args: archive(webNew) + `,"node":"pve3"}`, want: "The node pve3 is offline."},
		{name: "a node without the storage", model: model(func(m *pvesim.Model) { m.Storages[2].Nodes = []string{"pve1", "pve2"} }), args: archive(webNew) + `,"node":"pve3"}`,
			want: `pve3 does not have the storage nfs.","outcome":"failed","next":"These have it: pve1 and pve2.`},
		{name: "a broken storage", model: model(func(m *pvesim.Model) { m.Storages[2].Broken = "mount error" }), args: archive(webNew) + `}`,
			want: "storage nfs is not available, or its node is not: what it has is left out; pve_list_backups"},
		{name: "CT, several storages", args: archive(proxy) + "}", want: `pve1 has several storages for containers: local-zfs and nfs.","outcome":"failed","next":"Name one with storage.`},
		{name: "the id is taken", args: archive(webNew) + `,"vmid":104}`, want: `The id 104 is that of mail on pve1; nothing was sent.","outcome":"failed","next":"Give another one, or none for the next free one; overwrite: true replaces`},
		{name: "overwrite without an id", args: archive(webNew) + `,"overwrite":true}`, want: `The argument \"overwrite\" needs a vmid.`},
		{name: "nothing to overwrite", args: over(webNew, 555), want: `There is no guest 555 that this token may see, so there is nothing to overwrite.","outcome":"failed","next":"Leave overwrite out.`},
		{name: "it runs", args: over(webNew, 100), want: "VM 100 (web-1) is running; only a stopped guest can be overwritten."},
		{name: "it is paused", args: over(webNew, 108), want: "VM 108 (forensics) is paused; only a stopped guest can be overwritten."},
		{name: "it is suspended to disk", args: over(webNew, 109), want: "VM 109 is locked (suspended)."},
		{name: "it is locked", args: over(webNew, 107), want: "VM 107 is locked (backup)."},
		{name: "it is protected", model: model(set(105, "protection", "1")), args: over(webNew, 105), want: "VM 105 (build-1) is protected against removal."},
		{name: "another kind", args: over(proxy, 105), want: "VM 105 (build-1) is not of the backup's kind, so it cannot be overwritten."},
		{name: "it is on another node", args: archive(webNew) + `,"vmid":105,"overwrite":true,"node":"pve1"}`, want: `The argument \"node\" is \"pve1\", and the guest to overwrite is on pve3.`},
		{name: "no right to make guests", token: "audit@pve!mcp", args: archive(webNew) + "}", want: "The token audit@pve!mcp lacks VM.Allocate on /vms/110."},
		{name: "no right to the backup", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /vms", "PVEAuditor on /storage")), args: archive(webNew) + `}`,
			want: "The token none@pve!mcp lacks Datastore.AllocateSpace on /storage/nfs."},
		{name: "no right to its guest", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /vms", "PVEAuditor on /vms/100", "PVEDatastoreUser on /storage")), args: archive(webNew) + `}`,
			want: "The token none@pve!mcp lacks VM.Backup on /vms/100."},
		{name: "unseen, without a node", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /vms")), args: archive(webNew) + `}`, want: `or this token may not see it.","outcome":"failed","next":"Name the node.`},
		{name: "unseen", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /vms")), args: archive(webNew) + `,"node":"pve1"}`,
			want: "The token none@pve!mcp lacks Datastore.AllocateSpace on /storage/nfs."},
	})
}

// A guest's own backup may be restored by who may not list it.
func TestRestoreOfAnUnseenBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := model(small, granted("PVEVMAdmin on /vms", "PVEAuditor on /storage", "PVEDatastoreUser on /storage/local-zfs"))
		w := sim.New(t, sim.Options{Model: m, Token: "none@pve!mcp"})
		for _, args := range []string{archive(gone) + `,"vmid":777,"storage":"local-zfs"}`, archive(webNew) + `,"vmid":100,"overwrite":true,"confirm":true,"storage":"local-zfs"}`} {
			w.As("root@pam!full").Call("pve_guest_power", `{"vmid":100,"action":"stop"}`)
			if a := w.Call("pve_restore_backup", args); a.Outcome != tool.OK {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
	})
}

// An id that was chosen and is taken meanwhile is chosen again; one that was given is not.
func TestRestoreWhereTheIDIsTakenMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		args, want string
		outcome    tool.Outcome
		notes      string
	}{
		{archive(webNew) + `,"unique":true}`, `"vmid":111`, tool.OK, "the id 110 was taken meanwhile, so it has 111"},
		{archive(proxy) + `,"unique":true,"storage":"nfs"}`, `"vmid":111`, tool.OK, "the id 110 was taken meanwhile, so it has 111"},
		{archive(webNew) + `,"vmid":110}`, "PVE refused: unable to restore VM 110 - VM 110 already exists on node 'pve1'.", tool.Failed, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			between := &interfering{match: map[bool]string{true: "/lxc", false: "/qemu"}[strings.Contains(tt.args, "lxc")]}
			w := sim.New(t, sim.Options{Model: model(small), Wire: func(rt http.RoundTripper) http.RoundTripper {
				between.RoundTripper = rt
				return between
			}})
			other := w.As("root@pam!full")
			between.do = func() { other.Call("pve_restore_backup", archive(gone)+`,"vmid":110}`) }
			a := w.Call("pve_restore_backup", tt.args)
			if a.Outcome != tt.outcome || !strings.Contains(a.Text, tt.want) || texts(a, "notes") != tt.notes {
				t.Errorf("%s", a.Text)
			}
		})
	}
}

// A restoration that takes longer than the call goes on, with what is to be known of it.
func TestRestoreThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model()})
		a := w.Call("pve_restore_backup", archive(webNew)+`,"start":true,"wait":1}`)
		if next := fmt.Sprint(a.Fields["next"]); a.Outcome != tool.Running || !strings.HasSuffix(next, "Then it has the MAC addresses of VM 100 (web-1), which still exists: "+
			"do not run both in one network; unique: true makes new ones.") {
			t.Errorf("%s", a.Text)
		}
		time.Sleep(time.Hour)
		if s := w.Call("pve_guest_status", `{"vmid":110}`); s.Fields["status"] != "running" {
			t.Errorf("later: %s", s.Text)
		}
	})
}

func TestRestoreWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(fault(pvesim.Fault{Match: "POST /nodes/*/qemu", Drop: true}))})
		a := w.Call("pve_restore_backup", archive(webNew)+`}`)
		found := texts(a, "found")
		if a.Outcome != tool.Unknown || !strings.Contains(found, "VM 110 on pve1 is stopped now, locked by create") || !strings.Contains(found, "task qmrestore by ops@pve!mcp") {
			t.Errorf("%s", a.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) != 1 {
			t.Errorf("writes %v", writes)
		}
	})
}
