package pvesim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// saved returns what Save writes.
func (w *world) saved() string {
	w.Helper()
	var b bytes.Buffer
	if err := w.sim.Save(&b); err != nil {
		w.Fatal(err)
	}
	return b.String()
}

// loaded is the world after it was saved and loaded, with a clock that has moved on
// by d.
func (w *world) loaded(d time.Duration) *world {
	w.Helper()
	clock := pvesim.NewVirtual(w.clock.Now().Add(d))
	sim, err := pvesim.Load(strings.NewReader(w.saved()), pvesim.Options{Clock: clock})
	if err != nil {
		w.Fatal(err)
	}
	other := *w
	other.sim, other.clock = sim, clock
	return &other
}

// everything is the answer to each read that shows what a cluster is.
func (w *world) everything() map[string]string {
	w.Helper()
	all := map[string]string{}
	read := func(path string, args ...any) any {
		path = fmt.Sprintf(path, args...)
		where, query, _ := strings.Cut(path, "?")
		form, _ := url.ParseQuery(query)
		r := w.do("GET", where, form)
		text, err := json.Marshal(r)
		if err != nil {
			w.Fatal(err)
		}
		all[path] = string(text)
		return r.Body.Data
	}
	for _, path := range []string{
		"/version", "/cluster/status", "/cluster/tasks", "/cluster/backup", "/cluster/backup-info/not-backed-up", "/cluster/options",
		"/cluster/log", "/cluster/ha/resources", "/cluster/ha/status/current", "/cluster/ha/rules", "/cluster/ha/groups",
		"/cluster/nextid", "/storage", "/pools", "/pools?poolid=web", "/access/users?full=1", "/access/acl", "/access/roles",
		"/access/permissions", "/access/users/ops@pve/token",
	} {
		read(path)
	}
	for _, item := range read("/cluster/resources").([]any) {
		r := item.(map[string]any)
		switch r["type"] {
		case "node":
			for _, sub := range []string{"status", "version", "storage", "qemu", "lxc"} {
				read("/nodes/%s/%s", r["node"], sub)
			}
			tasks, _ := read("/nodes/%s/tasks?limit=0", r["node"]).([]any)
			for _, item := range tasks {
				read("/nodes/%s/tasks/%s/status", r["node"], item.(map[string]any)["upid"])
				read("/nodes/%s/tasks/%s/log", r["node"], item.(map[string]any)["upid"])
			}
		case "storage":
			read("/nodes/%s/storage/%s/status", r["node"], r["storage"])
			read("/nodes/%s/storage/%s/content", r["node"], r["storage"])
		case "qemu", "lxc":
			guest := fmt.Sprintf("/nodes/%s/%s", r["node"], r["id"])
			for _, sub := range []string{"config", "config?current=1", "pending", "status/current", "feature?feature=snapshot", "rrddata?timeframe=hour", "agent/get-osinfo"} {
				read("%s/%s", guest, sub)
			}
			snaps, _ := read("%s/snapshot", guest).([]any)
			for _, item := range snaps {
				read("%s/snapshot/%s/config", guest, item.(map[string]any)["name"])
			}
		}
	}
	return all
}

// A cluster that was saved and loaded answers as it did, and is saved the same.
func TestSaveAndLoad(t *testing.T) {
	for name, model := range map[string]pvesim.Model{"lab": pvesim.Lab(), "cluster": pvesim.Cluster(), "recorded": pvesim.Recorded(), "recorded-2": pvesim.Recorded2()} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, model)
			again := w.loaded(0)
			if diff := cmp.Diff(w.saved(), again.saved()); diff != "" {
				t.Errorf("(-saved +saved again):\n%s", diff)
			}
			if diff := cmp.Diff(w.everything(), again.everything()); diff != "" {
				t.Errorf("(-saved +loaded):\n%s", diff)
			}
		})
	}
}

// What has been done since the model was built is saved too.
func TestSaveAfterALife(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		POST /nodes/pve1/qemu/100/snapshot?snapname=one&vmstate=1            => OK
		PUT /nodes/pve1/qemu/100/config?cores=8&description=busy             => null
		PUT /nodes/pve1/qemu/100/config?delete=agent                         => null
		POST /nodes/pve1/qemu?vmid=120&scsi0=local-zfs:8&net0=virtio,bridge=vmbr0 => OK
		POST /nodes/pve1/qemu/120/status/start                               => OK
		POST /nodes/pve1/vzdump?vmid=120&storage=nfs                         => OK
		POST /nodes/pve1/qemu/900/clone?newid=121                            => OK
		POST /nodes/pve1/qemu/104/status/suspend                             => OK
		DELETE /nodes/pve3/lxc/204                                           => OK
		POST /nodes/pve3/qemu/105/status/start                               => start failed: QEMU exited with code 1
		POST /nodes/pve2/lxc/201/status/stop                                 => OK
		wait 30s
		POST /nodes/pve1/qemu/120/status/stop                                => OK
		DELETE /nodes/pve1/storage/local-zfs/content/vm-104-disk-0           => OK
		POST /pools?poolid=new                                               => null
	`)
	if err := w.sim.SetOnline("pve2", false); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Second)
	again := w.loaded(0)
	if diff := cmp.Diff(w.saved(), again.saved()); diff != "" {
		t.Errorf("(-saved +saved again):\n%s", diff)
	}
	if diff := cmp.Diff(w.everything(), again.everything()); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	// It lives on: what was pending comes to pass, backups restore, and nothing that was
	// made up is made up again.
	for _, each := range []*world{w, again} {
		each.story(`
			POST /nodes/pve1/qemu/100/status/stop                        => OK
			POST /nodes/pve1/qemu/100/status/start                       => OK
			GET /nodes/pve1/qemu/100/config?current=1#cores              => 8
			GET /nodes/pve1/qemu/100/config?current=1#agent              => null
			POST /nodes/pve1/qemu/100/status/stop                        => OK
			POST /nodes/pve1/qemu/100/snapshot/one/rollback              => OK
			GET /nodes/pve1/qemu/100/config#cores                        => 4
			POST /nodes/pve1/qemu/120/config?net1=virtio,bridge=vmbr0    => OK
		`)
		backup := ""
		for _, item := range each.do("GET", "/nodes/pve1/storage/nfs/content", url.Values{"vmid": {"120"}}).Body.Data.([]any) {
			backup = item.(map[string]any)["volid"].(string)
		}
		each.story("POST /nodes/pve1/qemu?vmid=122&archive=" + backup + " => OK")
	}
	if diff := cmp.Diff(w.everything(), again.everything()); diff != "" {
		t.Errorf("what came after (-saved +loaded):\n%s", diff)
	}
}

// What is under way cannot be saved, unless it is interrupted.
func TestSaveUnderWay(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	refused := func(want string) {
		t.Helper()
		if err := w.sim.Save(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	upid := w.do("POST", "/nodes/pve1/vzdump", url.Values{"vmid": {"100"}, "storage": {"nfs"}}).Body.Data.(string)
	refused("tasks run that cannot be saved: 1, such as " + upid)
	w.sim.Interrupt()
	w.loaded(0).story("GET /nodes/pve1/tasks/" + url.PathEscape(upid) + "/status#exitstatus => interrupted by signal\nGET /nodes/pve1/qemu/100/config#lock => null")

	w.story("POST /nodes/pve2/lxc/201/status/stop => OK")
	refused("something is about to happen")
	w.sim.Interrupt()
	w.loaded(0).story("GET /nodes/pve2/lxc/201/status/current#status => running\nwait 1m\nGET /nodes/pve2/lxc/201/status/current#status => stopped")

	w.story("POST /cluster/ha/resources/vm:103/migrate?node=pve2 => map[requested-node:pve2 sid:vm:103]")
	refused("something is about to happen")
	w.story("wait 2m\nPOST /nodes/pve3/status?command=reboot => null")
	refused("something is about to happen")
	w.clock.Advance(time.Minute)
	refused("something is about to happen")
	w.sim.Interrupt()
	w.loaded(0).story("GET /cluster/resources#node/pve3#status => online")
}

// What rules took down is not down in what is saved.
func TestSaveWithRules(t *testing.T) {
	m := pvesim.Cluster()
	m.Faults = []pvesim.Fault{{Node: "pve2", Down: true}, {Storage: "nfs", Down: true}, {Node: "pve3", Down: true, Delay: time.Hour}}
	w := newWorld(t, m)
	w.story("GET /cluster/resources#node/pve2#status => offline")
	w.loaded(0).story(`
		GET /cluster/resources#node/pve2#status     => online
		GET /nodes/pve1/storage/nfs/status#active   => 1
	`)
	w.sim.Interrupt()
	w.clock.Advance(2 * time.Hour)
	w.story("GET /cluster/resources#node/pve3#status => offline")
}

// Time goes on while nobody looks, and never back.
func TestLoadLater(t *testing.T) {
	w := newWorld(t, pvesim.Lab())
	before := w.get("/nodes/pve/qemu/100/status/current")["uptime"].(float64)
	later := w.loaded(time.Hour)
	if up := later.get("/nodes/pve/qemu/100/status/current")["uptime"].(float64); up != before+3600 {
		t.Errorf("up for %v s an hour after %v s", up, before)
	}
	earlier := w.loaded(-time.Hour)
	if now := earlier.sim.Now(); !now.Equal(w.clock.Now()) {
		t.Errorf("it is %v; %v was saved", now, w.clock.Now())
	}
	earlier.story("POST /nodes/pve/qemu/100/status/shutdown => OK")
	if before := w.clock.Now(); !earlier.sim.Now().After(before) {
		t.Error("time stands still")
	}
}

func TestLoadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "this is no model of a cluster: EOF",
		`{"Nodes": [{"Nmae": "pve1"}]}`: `unknown field "Nmae"`,
		`{}`:                            "a model needs a node",
		`{"PVE": "9", "Nodes": [{"Name": "a"}], "Tasks": [{"UPID": "UPID:a:x"}]}`: `task "UPID:a:x": that is no UPID`,
	} {
		_, err := pvesim.Load(strings.NewReader(text), pvesim.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A model can be written by hand.
func ExampleLoad() {
	const text = `{
		"Seed": 1, "PVE": "9.0.11",
		"Nodes": [{"Name": "pve", "CPUs": 4, "Memory": 8589934592}],
		"Storages": [{"ID": "local", "Type": "dir", "Content": "images", "Size": 107374182400}],
		"Guests": [{"VMID": 100, "Kind": "qemu", "Node": "pve", "Config": {"name": "web", "scsi0": "local:100/vm-100-disk-0.qcow2,size=8G"}}],
		"Users": [{"ID": "root@pam"}],
		"Tokens": [{"ID": "root@pam!full", "Secret": "00000000-0000-4000-8000-000000000001"}]
	}`
	sim, err := pvesim.Load(strings.NewReader(text), pvesim.Options{})
	if err != nil {
		panic(err)
	}
	req, err := http.NewRequest("GET", sim.URL()+"/api2/json/nodes/pve/qemu/100/status/current", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken=root@pam!full=00000000-0000-4000-8000-000000000001")
	resp, err := sim.Transport().RoundTrip(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	var answer struct{ Data struct{ Name, Status string } }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		panic(err)
	}
	fmt.Println(answer.Data.Name, "is", answer.Data.Status)
	// Output: web is stopped
}

// A fingerprint that a client has pinned stays good when the cluster was saved.
func TestCertificatesAreSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	pinned := w.listen("pve2").Fingerprint()
	var file bytes.Buffer
	if err := w.sim.Save(&file); err != nil {
		t.Fatal(err)
	}
	again, err := pvesim.Load(&file, pvesim.Options{Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.sim = again
	if got := w.listen("pve2").Fingerprint(); got != pinned {
		t.Errorf("the fingerprint is %s, and was %s", got, pinned)
	}
}
