package backups_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// small makes the disks of guests small, so that their backups take seconds.
func small(m *pvesim.Model) {
	for i := range m.Guests {
		config := m.Guests[i].Config
		for _, key := range []string{"scsi0", "rootfs"} {
			if disk, _, ok := strings.Cut(config[key], ",size="); ok {
				config[key] = disk + ",size=1G"
			}
		}
	}
}

// params are those of the last write that reached the simulator.
func params(w *sim.World) map[string]any {
	all := w.Sim.Requests()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Method != http.MethodGet {
			return all[i].Params
		}
	}
	return nil
}

// data is what PVE itself tells root of something.
func data(w *sim.World, path string) map[string]any {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.Sim.URL()+"/api2/json"+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", w.Model.Token("root@pam!full").Header())
	resp, err := w.Sim.Transport().RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Data map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		w.Fatal(err)
	}
	return answer.Data
}

// before counts the requests up to the first write.
func before(sent []string) int {
	for i, s := range sent {
		if !strings.HasPrefix(s, "GET ") {
			return i
		}
	}
	return len(sent)
}

// row is what an answer shows of the new backup.
func row(a sim.Answer) map[string]any {
	r, _ := a.Fields["backup"].(map[string]any)
	return r
}

// creation is a call of pve_create_backup, and what comes of it.
type creation struct {
	name    string
	model   *pvesim.Model
	token   string
	args    string
	outcome tool.Outcome
	message string
	volid   string // of the new backup, its beginning
	after   string // the guest's status
	log     string // a line of the task's log, "" if it has none to show
}

func (tt creation) check(t *testing.T) {
	if tt.model == nil {
		tt.model = model(small)
	}
	w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token})
	a := w.Call("pve_create_backup", tt.args)
	if a.Outcome != tt.outcome || !strings.Contains(fmt.Sprint(a.Fields["message"]), tt.message) || !strings.Contains(texts(a, "log"), tt.log) {
		t.Errorf("%s", a.Text)
	}
	if volid := fmt.Sprint(row(a)["volid"]); tt.volid != "" && !strings.HasPrefix(volid, tt.volid) || tt.volid == "" && row(a) != nil {
		t.Errorf("backup %s, want %s", volid, tt.volid)
	}
	sent := w.Sent()
	if n := before(sent); n != 3 || len(sim.Writes(sent)) != 1 {
		t.Errorf("%d requests before the write: %v", n, sent)
	}
	if tt.after == "" {
		return
	}
	time.Sleep(30 * time.Second) // a container starts after its backup
	if got := w.As("root@pam!full").Call("pve_guest_status", fmt.Sprintf(`{"vmid":%v}`, a.Fields["vmid"])); got.Fields["status"] != tt.after {
		t.Errorf("after it: %s", got.Text)
	}
}

func TestCreateBackup(t *testing.T) {
	lab := pvesim.Lab()
	small(&lab)
	for _, tt := range []creation{
		{name: "VM, snapshot", args: `{"vmid":104,"storage":"nfs"}`, outcome: tool.OK, message: "Backup of VM 104 (mail) on pve1 to nfs: done.",
			volid: "nfs:backup/vzdump-qemu-104-2000_01_01-00_00_00.vma.zst", after: "running"},
		{name: "VM on PVE 8", model: model(small, version("8.4.1")), args: `{"vmid":104,"storage":"nfs"}`, outcome: tool.OK,
			volid: "nfs:backup/vzdump-qemu-104-2000_01_01-00_00_00.vma.zst", after: "running"},
		{name: "VM, suspend", args: `{"vmid":104,"storage":"nfs","mode":"suspend"}`, outcome: tool.OK,
			message: "Backup of VM 104 (mail) on pve1 to nfs (mode suspend: it is paused meanwhile): done.", volid: "nfs:backup/vzdump-qemu-104-", after: "running"},
		{name: "VM, stop", args: `{"vmid":104,"storage":"nfs","mode":"stop"}`, outcome: tool.OK,
			message: "Backup of VM 104 (mail) on pve1 to nfs (mode stop: it is shut down and started again): done.", volid: "nfs:backup/vzdump-qemu-104-", after: "running"},
		{name: "stopped VM", args: `{"vmid":105,"storage":"local","mode":"stop","compress":"gzip"}`, outcome: tool.OK,
			message: "Backup of VM 105 (build-1) on pve3 to local: done.", volid: "local:backup/vzdump-qemu-105-2000_01_01-00_00_00.vma.gz", after: "stopped"},
		{name: "CT, snapshot", args: `{"vmid":200,"storage":"nfs","compress":"lzo"}`, outcome: tool.OK, volid: "nfs:backup/vzdump-lxc-200-2000_01_01-00_00_00.tar.lzo", after: "running"},
		{name: "CT, suspend", args: `{"vmid":200,"storage":"local","mode":"suspend"}`, outcome: tool.OK, volid: "local:backup/vzdump-lxc-200-", after: "running"},
		{name: "CT, stop", args: `{"vmid":200,"storage":"nfs","mode":"stop"}`, outcome: tool.OK, volid: "nfs:backup/vzdump-lxc-200-", after: "running"},
		{name: "template, uncompressed", args: `{"vmid":900,"storage":"nfs","compress":"0"}`, outcome: tool.OK, volid: "nfs:backup/vzdump-qemu-900-2000_01_01-00_00_00.vma", after: "stopped"},
		{name: "backup server", args: `{"vmid":202,"storage":"pbs"}`, outcome: tool.OK, volid: "pbs:backup/ct/202/2000-01-01T00:00:00Z", after: "running"},
		{name: "the only storage", model: &lab, args: `{"vmid":103}`, outcome: tool.OK, message: "Backup of CT 103 (jellyfin) on pve to local: done.",
			volid: "local:backup/vzdump-lxc-103-2000_01_01-00_00_00.tar.zst", after: "stopped"},
		{name: "HA in mode snapshot", args: `{"vmid":103,"storage":"nfs"}`, outcome: tool.OK, volid: "nfs:backup/vzdump-qemu-103-", after: "running"},
		{name: "without the right to see storages", token: "none@pve!mcp", args: `{"vmid":200,"storage":"nfs"}`, outcome: tool.OK, volid: "nfs:backup/vzdump-lxc-200-", after: "running",
			model: model(small, unseen)},
		{name: "the guest does not shut down", args: `{"vmid":106,"storage":"nfs","mode":"stop"}`, outcome: tool.Running, message: "is under way after 20s"},
		{name: "too many", outcome: tool.Failed, args: `{"vmid":100,"storage":"nfs"}`, message: "Backup of VM 100 (web-1) on pve1 to nfs failed: There is a max backup limit of 2", after: "running",
			model: model(small, func(m *pvesim.Model) { m.Storages[2].Options = map[string]string{"prune-backups": "keep-last=2"} }),
			log:   "ERROR: Backup of VM 100 failed - There is a max backup limit of 2 enforced by the target storage"},
		{name: "the storage is lost", args: `{"vmid":100,"storage":"nfs"}`, outcome: tool.Failed, after: "running",
			model:   model(small, func(m *pvesim.Model) { m.Storages[2].Broken = "mount error: no route to host" }),
			message: "Backup of VM 100 (web-1) on pve1 to nfs failed: could not activate storage 'nfs': mount error: no route to host"},
		{name: "warnings", model: model(small, fault(pvesim.Fault{Match: "POST /nodes/*/vzdump", TaskWarns: "late"})), args: `{"vmid":200,"storage":"nfs"}`, volid: "nfs:backup/vzdump-lxc-200-", log: "WARN: late",
			outcome: tool.Warnings, message: "Backup of CT 200 (proxy) on pve1 to nfs: done, with warnings (1).", after: "running"},
	} {
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, tt.check) })
	}
}

// What is sent is what was asked for, and keeps older backups unless that was.
func TestCreateBackupSends(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{`{"vmid":200,"storage":"nfs"}`, "map[compress:zstd mode:snapshot node:pve1 remove:0 storage:nfs vmid:200]"},
		{`{"vmid":200,"storage":"nfs","mode":"stop","compress":"0","notes":"one\r\ntwo\n\"C:\\new\" – 100 % {{guestname}}","protected":true}`,
			`map[compress:0 mode:stop node:pve1 notes-template:one\ntwo\n"C:\\new" – 100 % {{guestname}} protected:1 remove:0 storage:nfs vmid:200]`},
		{`{"vmid":200,"storage":"nfs","prune":"keep-last=3,keep-weekly=2","confirm":true}`,
			"map[compress:zstd mode:snapshot node:pve1 prune-backups:keep-last=3,keep-weekly=2 remove:1 storage:nfs vmid:200]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: model(small), Token: "root@pam!full"})
			a := w.Call("pve_create_backup", tt.args)
			sent := params(w)
			for k, v := range sent { // flags are numbers
				sent[k] = fmt.Sprint(v)
			}
			if got := fmt.Sprint(sent); a.Outcome != tool.OK || got != tt.want {
				t.Errorf("%s: %s\nsent %s\nwant %s", tt.args, a.Text, got, tt.want)
			}
		})
	}
}

// Notes keep their line breaks and backslashes; lists show their first line.
func TestCreateBackupWithNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(small)})
		a := w.Call("pve_create_backup", `{"vmid":200,"storage":"nfs","notes":"before C:\\new\n100 %","protected":true}`)
		if r := row(a); r["notes"] != `before C:\new` || r["protected"] != true || r["age"] == nil || r["node"] != nil {
			t.Errorf("%s", a.Text)
		}
		path := "/nodes/pve1/storage/nfs/content/" + url.PathEscape(row(a)["volid"].(string))
		if got := data(w, path)["notes"]; got != "before C:\\new\n100 %" {
			t.Errorf("notes %q", got)
		}
	})
}

func TestCreateBackupPrunes(t *testing.T) {
	both := fmt.Sprintf("the backup %s is deleted\nthe backup %s is deleted", webOld, webNew)
	none := "none of the present backups"
	protected := volume(webNew, func(v *pvesim.Volume) { v.Protected = true })
	for _, tt := range []struct {
		name, args   string
		model        *pvesim.Model
		consequences string
		left         string // of the older ones
	}{
		{"the new one alone stays", `"prune":"keep-last=1"`, model(small), "older backups of VM 100 on nfs are deleted by the rule keep-last=1\n" + both, ""},
		{"the new one counts", `"prune":"keep-last=2"`, model(small),
			"older backups of VM 100 on nfs are deleted by the rule keep-last=2\nthe backup " + webOld + " is deleted", webNew},
		{"there is room", `"prune":"keep-last=3"`, model(small), "older backups of VM 100 on nfs are deleted by the rule keep-last=3\n" + none, webNew + " " + webOld},
		{"a protected one stays", `"prune":"keep-last=1"`, model(small, protected),
			"older backups of VM 100 on nfs are deleted by the rule keep-last=1\nthe backup " + webOld + " is deleted", webNew},
		{"the new one is protected", `"prune":"keep-last=1","protected":true`, model(small),
			"older backups of VM 100 on nfs are deleted by the rule keep-last=1; the new one is protected and does not count\nthe backup " + webOld + " is deleted", webNew},
		{"by the day", `"prune":"keep-daily=1"`, model(small), "older backups of VM 100 on nfs are deleted by the rule keep-daily=1, " +
			"which counts the new one, so other backups than these may be deleted\nthe backup " + webOld + " is deleted", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: tt.model, Token: "root@pam!full"})
				args := `{"vmid":100,"storage":"nfs",` + tt.args
				a := w.Call("pve_create_backup", args+`}`)
				if got := texts(a, "consequences"); a.Outcome != tool.NeedsConfirmation || a.IsError || !strings.HasPrefix(got, tt.consequences+"\nVM 100 (web-1) on pve1 is running\n") {
					t.Errorf("%s\ngot %s\nwant %s", a.Text, got, tt.consequences)
				}
				if sent := w.Sent(); len(sim.Writes(sent)) != 0 {
					t.Errorf("requests %v", sent)
				}
				if a = w.Call("pve_create_backup", args+`,"confirm":true}`); a.Outcome != tool.OK {
					t.Fatalf("%s", a.Text)
				}
				left := strings.TrimSpace(strings.TrimPrefix(ids(w.Call("pve_list_backups", `{"vmid":100}`)), row(a)["volid"].(string)))
				if left != tt.left {
					t.Errorf("left %s, want %s", left, tt.left)
				}
			})
		})
	}
}

// refusal is a call that fails before anything is written, and what it says.
type refusal struct {
	name, token string
	model       *pvesim.Model
	args        string
	want        string
}

// refused makes the calls of a tool, each on a cluster of its own.
func refused(t *testing.T, name string, calls []refusal) {
	t.Helper()
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.model == nil {
					tt.model = model()
				}
				w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token})
				a := w.Call(name, tt.args)
				if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.want) {
					t.Errorf("%s\nwant %s", a.Text, tt.want)
				}
				if sent := w.Sent(); len(sim.Writes(sent)) != 0 {
					t.Errorf("requests %v", sent)
				}
			})
		})
	}
}

func TestCreateBackupRefuses(t *testing.T) {
	refused(t, "pve_create_backup", []refusal{
		{name: "unknown guest", args: `{"vmid":999}`, want: "There is no guest 999"},
		{name: "bad mode", args: `{"vmid":100,"mode":"live"}`, want: `The argument \"mode\" is \"live\", which is none of snapshot, suspend and stop.`},
		{name: "bad rule", token: "root@pam!full", args: `{"vmid":100,"storage":"nfs","prune":"all"}`, want: "PVE refused the parameters: prune-backups: "},
		{name: "several storages", args: `{"vmid":100}`, want: `pve1 has several storages for backups: local, nfs and pbs.","outcome":"failed","next":"Name one with storage.`},
		{name: "no storage", args: `{"vmid":100}`, model: model(func(m *pvesim.Model) {
			m.Storages[0].Content, m.Storages[2].Broken, m.Storages[4].Disabled = "iso,vztmpl", "mount error", true
		}), want: "pve1 has no storage for backups that this token may see"},
		{name: "no storage of that name", args: `{"vmid":100,"storage":"old-nas"}`, want: `There is no storage \"old-nas\", or it is disabled, or this token may not see it.","outcome":"failed","next":"There are local, local-zfs, nfs and pbs.`},
		{name: "a storage of another node", args: `{"vmid":100,"storage":"pbs"}`, model: model(func(m *pvesim.Model) { m.Storages[4].Nodes = []string{"pve2"} }),
			want: `There is no storage \"pbs\", or it is disabled, or this token may not see it.","outcome":"failed","next":"There are local, local-zfs and nfs.`},
		{name: "not for backups", args: `{"vmid":100,"storage":"local-zfs"}`, want: `The storage local-zfs may not hold backups.","outcome":"failed","next":"These may: local, nfs and pbs.`},
		{name: "locked", args: `{"vmid":107,"storage":"nfs"}`, want: "VM 107 is locked (backup)."},
		{name: "suspended to disk", args: `{"vmid":109,"storage":"nfs"}`, want: `VM 109 is locked (suspended).","outcome":"failed","next":"It is suspended to disk: resume it first with pve_guest_power.`},
		{name: "HA in mode stop", args: `{"vmid":103,"storage":"nfs","mode":"stop"}`, want: "HA keeps VM 103 running, so PVE does not stop it for a backup."},
		{name: "an auditor", token: "audit@pve!mcp", args: `{"vmid":100,"storage":"nfs"}`, want: "The token audit@pve!mcp lacks VM.Backup on /vms/100."},
		{name: "no space", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /vms", "PVEAuditor on /storage")), args: `{"vmid":100,"storage":"nfs"}`,
			want: "The token none@pve!mcp lacks Datastore.AllocateSpace on /storage/nfs."},
		{name: "no storages to be seen", token: "none@pve!mcp", model: model(granted("PVEVMAdmin on /vms")), args: `{"vmid":100,"storage":"nfs"}`,
			want: "The token none@pve!mcp lacks Datastore.AllocateSpace on /storage/nfs."},
		{name: "no right to prune", args: `{"vmid":100,"storage":"nfs","prune":"keep-last=1","confirm":true}`, want: "The token ops@pve!mcp lacks Datastore.Allocate on /storage/nfs, which its user has."},
		{name: "its node is offline", model: model(offline), args: `{"vmid":105,"storage":"nfs"}`, want: "PVE could not get an answer from the node for /nodes/pve3/qemu/105/status/current"},
	})
}

// interfering does something when a first write passes by.
type interfering struct {
	http.RoundTripper
	match string // the end of the path
	do    func()
}

func (i *interfering) RoundTrip(req *http.Request) (*http.Response, error) {
	if do := i.do; do != nil && req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, i.match) {
		i.do = nil
		do()
	}
	return i.RoundTripper.RoundTrip(req)
}

// For a guest that is elsewhere PVE answers OK and does nothing.
func TestCreateBackupOfAGuestThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		between := &interfering{match: "/vzdump"}
		w := sim.New(t, sim.Options{Model: model(small), Wire: func(rt http.RoundTripper) http.RoundTripper {
			between.RoundTripper = rt
			return between
		}})
		mover := w.As("root@pam!full")
		between.do = func() {
			if a := mover.Call("pve_migrate_guest", `{"vmid":105,"target":"pve1"}`); a.Outcome != tool.OK {
				t.Errorf("%s", a.Text)
			}
			w.Sent()
		}
		a := w.Call("pve_create_backup", `{"vmid":105,"storage":"local"}`)
		if a.Outcome != tool.OK || a.Fields["node"] != "pve1" || row(a)["node"] != "pve1" || !strings.HasPrefix(a.Fields["upid"].(string), "UPID:pve1:") {
			t.Errorf("%s", a.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) != 2 {
			t.Errorf("writes %v", writes)
		}
	})
}

func TestCreateBackupThatIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model()})
		first := w.Call("pve_create_backup", `{"vmid":104,"storage":"nfs","wait":0}`)
		if first.Outcome != tool.Running || !strings.Contains(first.Text, "Follow it with pve_task_status") {
			t.Fatalf("%s", first.Text)
		}
		if a := w.Call("pve_create_backup", `{"vmid":104,"storage":"nfs"}`); a.Outcome != tool.Failed || !strings.Contains(a.Text, "VM 104 is locked (backup).") {
			t.Errorf("meanwhile: %s", a.Text)
		}
		client, err := w.Host.Client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		upid, err := proxmox.ParseUPID(first.Fields["upid"].(string))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := client.StopTask(t.Context(), upid); err != nil {
			t.Fatal(err)
		}
		a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
		if a.Fields["state"] != "failed" || a.Fields["exit_status"] != "interrupted by signal" || !strings.Contains(texts(a, "log"), "ERROR: Backup of VM 104 failed - interrupted by signal") {
			t.Errorf("%s", a.Text)
		}
		if got := ids(w.Call("pve_list_backups", `{"vmid":104}`)); got != "" {
			t.Errorf("left: %s", got)
		}
	})
}

// A backup whose answer is lost may be under way: what is true now is said, and nothing
// is sent again.
func TestCreateBackupWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: model(fault(pvesim.Fault{Match: "POST /nodes/*/vzdump", Drop: true}))})
		a := w.Call("pve_create_backup", `{"vmid":104,"storage":"nfs"}`)
		found := texts(a, "found")
		if a.Outcome != tool.Unknown || !a.IsError || !strings.Contains(found, "VM 104 on pve1 is running now, locked by backup") ||
			!strings.Contains(found, "task vzdump by ops@pve!mcp") {
			t.Errorf("%s", a.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) != 1 {
			t.Errorf("writes %v", writes)
		}
	})
}
