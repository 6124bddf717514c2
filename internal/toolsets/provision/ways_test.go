package provision_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// way is a way to make a guest.
type way struct {
	name, tool string
	args       string            // without the closing brace
	refuses    string            // what PVE 8 cannot do, in the answer's words
	downloads  string            // a volume that is fetched, and stays
	config     map[string]string // parts of the guest's values
	stopped    bool
	unknown    bool // nothing tells the address
}

const (
	ubuntuImage = "nfs:import/noble-server-cloudimg-amd64.qcow2"
	ownData     = `#cloud-config\npackages: [qemu-guest-agent]\nssh_authorized_keys: [x]\n`
	debianImage = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
)

// ways are the twelve ways to make a guest.
var ways = []way{
	{
		name: "image", tool: "pve_create_vm", args: `{"name":"made","source":"almalinux 9","disks":["20G"],"ssh_keys":["` + key + `"],"tags":["web"]`,
		config: map[string]string{"scsi0": "size=20G", "ide2": "cloudinit", "sshkeys": "ssh-ed25519", "ipconfig0": "ip=dhcp", "agent": "1", "tags": "web", "scsihw": "virtio-scsi-single", "boot": "order=scsi0"},
	},
	{
		name: "image with user data", tool: "pve_create_vm", args: `{"name":"made","source":"` + ubuntuImage + `","user_data":"` + ownData + `"`,
		config: map[string]string{"scsi0": "nfs:", "ide3": "none,media=cdrom", "ide2": "", "net0": "virtio="},
	},
	{
		name: "image that is downloaded", tool: "pve_create_vm", args: `{"name":"made","source":"` + debianImage + `","download":true,"disks":["20G"],"ssh_keys":["` + key + `"]`,
		downloads: "nfs:import/debian-12-genericcloud-amd64.qcow2", config: map[string]string{"scsi0": "size=20G", "ide3": "none,media=cdrom"},
	},
	{
		name: "OVA", tool: "pve_create_vm", args: `{"name":"made","source":"nfs:import/shop.ova"`,
		config: map[string]string{"cores": "2", "memory": "4096", "name": "made", "scsi0": "size=10G"},
	},
	{
		name: "VMDK", tool: "pve_create_vm", args: `{"name":"made","source":"nfs:import/legacy.vmdk","memory":"3G"`,
		config: map[string]string{"memory": "3072", "scsi0": "size=8G", "ide2": ""},
	},
	{
		name: "full clone", tool: "pve_create_vm", args: `{"name":"made","source":"ubuntu-24.04","full":true,"cores":4,"disks":["30G"]`,
		config: map[string]string{"cores": "4", "scsi0": "size=30G", "ipconfig0": "ip=dhcp"},
	},
	{
		name: "linked clone", tool: "pve_create_vm", args: `{"name":"made","source":"901","ssh_keys":["` + key + `"]`,
		config: map[string]string{"scsi0": "base-901-disk-0/", "sshkeys": "ssh-ed25519", "ipconfig0": "ip=dhcp"},
	},
	{
		name: "installer", tool: "pve_create_vm", args: `{"name":"made","iso":"local:iso/debian-12.11.0-amd64-netinst.iso","disks":["20G"],"wait_for":"started"`,
		config: map[string]string{"ide2": "local:iso/debian-12.11.0-amd64-netinst.iso", "boot": "order=scsi0;ide2"}, unknown: true,
	},
	{
		name: "empty", tool: "pve_create_vm", args: `{"name":"made","disks":["8G","4G"],"set":{"onboot":1},"start":false`,
		config: map[string]string{"scsi0": "size=8G", "scsi1": "size=4G", "onboot": "1"}, stopped: true,
	},
	{
		name: "container", tool: "pve_create_container", args: `{"name":"made","template":"rocky 9","ssh_keys":["` + key + `"],"mounts":["4G:/data"]`,
		config: map[string]string{"hostname": "made", "unprivileged": "1", "features": "nesting=1", "mp0": "mp=/data", "rootfs": "size=8G"},
	},
	{
		name: "container that is downloaded", tool: "pve_create_container", args: `{"name":"made","template":"ubuntu 24.04","download":true,"node":"pve2"`,
		downloads: "local:vztmpl/ubuntu-24.04-standard_24.04-2_amd64.tar.zst", config: map[string]string{"net0": "ip=dhcp"},
	},
	{
		name: "OCI", tool: "pve_create_container", args: `{"name":"made","template":"local:vztmpl/nginx_latest.tar","entrypoint":"nginx -v"`,
		refuses: "makes no containers of OCI images", config: map[string]string{"entrypoint": "nginx -v", "env": "NGINX_VERSION=1.29"},
	},
}

// sources is the preset cluster with all from which guests are made.
func sources(version string) *pvesim.Model {
	m := withTemplates(sim.Version(version))
	m.Volumes = append(m.Volumes, withImages().Volumes[len(pvesim.Cluster().Volumes):]...)
	m.Volumes = append(m.Volumes,
		pvesim.Volume{ID: "nfs:import/legacy.vmdk", Content: "import", Size: 2 << 30, Image: pvesim.Image{System: "debian 10", Virtual: 8 << 30, Agent: true, NoCloudInit: true}},
		pvesim.Volume{ID: "nfs:import/shop.ova", Content: "import", Size: 3 << 30, Image: pvesim.Image{
			Disks: map[string]pvesim.Image{"shop-disk1.vmdk": {System: "debian 11", Virtual: 10 << 30, Agent: true, NoCloudInit: true}},
			Guest: map[string]string{"name": "shop", "cores": "2", "memory": "4096"},
		}})
	return m
}

// eachWay runs a test of each way on each version of PVE on which there is the way, in a
// bubble of its own.
func eachWay(t *testing.T, test func(t *testing.T, way way, version string)) {
	t.Helper()
	for i, way := range ways {
		for j, version := range []string{"8.4.1", "9.2.0"} {
			if !effort.Of(i%4 == 2*j, true, true) {
				continue
			}
			if way.refuses != "" && version < "9" {
				continue
			}
			t.Run(way.name+" on "+version, func(t *testing.T) { test(t, way, version) })
		}
	}
}

// finish calls a tool, and asks for the end of what that has begun. The answer is that of the
// change, from the tool itself or from pve_task_status.
func finish(w *sim.World, name, args string) sim.Answer {
	w.Helper()
	a := w.Call(name, args)
	return follow(w, a)
}

// follow asks for the end of what an answer says to be under way.
func follow(w *sim.World, a sim.Answer) sim.Answer {
	w.Helper()
	args := fmt.Sprintf(`{"handle":%q,"wait":45}`, a.Fields["handle"])
	if a.Fields["handle"] == nil {
		args = fmt.Sprintf(`{"upid":%q,"wait":45}`, a.Fields["upid"])
	}
	for range 60 {
		if a.Outcome != tool.Running {
			break
		}
		time.Sleep(10 * time.Second)
		seen := w.Call("pve_task_status", args)
		if seen.Fields == nil {
			continue // it could not be looked at
		}
		change, ok := seen.Fields["change"].(map[string]any)
		if !ok { // it was no more than a task
			change = map[string]any{"outcome": seen.Fields["state"]}
		}
		a.Fields, a.Text, a.IsError = change, seen.Text, seen.IsError
		a.Outcome = tool.Outcome(fmt.Sprint(change["outcome"]))
	}
	return a
}

// settle lets what goes on in the background come to its end.
func settle() { time.Sleep(time.Hour) }

// contents are the guests of a cluster, and the volumes on its storages.
type contents struct {
	Guests  map[string]string // configuration by id
	Volumes []string
}

func contentsOf(t *testing.T, w *sim.World) contents {
	t.Helper()
	m, err := w.Sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	c := contents{Guests: map[string]string{}}
	for _, g := range m.Guests {
		c.Guests[strconv.Itoa(g.VMID)] = fmt.Sprint(g.Kind, g.Node, g.Running, g.Config)
	}
	for _, v := range m.Volumes {
		c.Volumes = append(c.Volumes, v.ID)
	}
	slices.Sort(c.Volumes)
	return c
}

// sinceThen are the guests and volumes that were not there before. What was there is as it was.
func (now contents) sinceThen(t *testing.T, before contents) (guests, volumes []string) {
	t.Helper()
	for id, was := range before.Guests {
		if now.Guests[id] != was {
			t.Errorf("guest %s is %s, and was %s", id, now.Guests[id], was)
		}
	}
	for _, id := range before.Volumes {
		if !slices.Contains(now.Volumes, id) {
			t.Errorf("%s is gone", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(now.Guests)) {
		if before.Guests[id] == "" {
			guests = append(guests, id)
		}
	}
	for _, id := range now.Volumes {
		if !slices.Contains(before.Volumes, id) {
			volumes = append(volumes, id)
		}
	}
	return guests, volumes
}

// Each way makes a guest, which is what the answer says that it is, in one call.
func TestWays(t *testing.T) {
	eachWay(t, func(t *testing.T, way way, version string) {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: sources(version), Token: everyone})
			w.Host.Stays = true
			before := contentsOf(t, w)
			a := finish(w, way.tool, way.args+`,"wait":45}`)
			defer settle()
			if a.Outcome != tool.OK {
				t.Fatalf("%s", a.Text)
			}
			way.checkMade(t, w, before, a)
		})
	})
}

// checkMade compares the guest that was made with the way, and with what the answer says of it.
func (way way) checkMade(t *testing.T, w *sim.World, before contents, a sim.Answer) {
	t.Helper()
	guests, volumes := contentsOf(t, w).sinceThen(t, before)
	made := guestNamed(t, w, "made")
	if id := strconv.Itoa(made.VMID); !slices.Equal(guests, []string{id}) || a.Fields["guest"] != id+" made" || a.Fields["node"] != made.Node {
		t.Errorf("guests %v were made, %d on %s: %s", guests, made.VMID, made.Node, a.Text)
	}
	for key, part := range way.config {
		value, _ := url.PathUnescape(made.Config[key])
		if !strings.Contains(value, part) || part == "" && value != "" {
			t.Errorf("%s is %q, without %q", key, value, part)
		}
	}
	if made.Running == way.stopped || a.Fields["status"] == "running" == way.stopped {
		t.Errorf("it runs: %v: %s", made.Running, a.Text)
	}
	way.checkVolumes(t, made, volumes)
	if is := addressOf(t, w, made); is != fmt.Sprint(a.Fields["address"]) && !way.unknown && !way.stopped {
		t.Errorf("its address is %q: %s", is, a.Text)
	}
	way.checkChosen(t, made, a)
	undo, _ := json.Marshal(a.Fields["undo"])
	if want := fmt.Sprintf(`{"arguments":{"vmid":%d},"tool":"pve_delete_guest"}`, made.VMID); string(undo) != want {
		t.Errorf("undo %s, want %s", undo, want)
	}
}

// checkVolumes checks that there are the guest's volumes, and what was to be fetched.
func (way way) checkVolumes(t *testing.T, made pvesim.Guest, volumes []string) {
	t.Helper()
	fetched := false
	for _, id := range volumes {
		switch {
		case id == way.downloads:
			fetched = true
		case !slices.ContainsFunc(slices.Collect(maps.Values(made.Config)), func(v string) bool { return strings.HasPrefix(v, id) }):
			t.Errorf("%s is left over", id)
		}
	}
	if way.downloads != "" && !fetched {
		t.Errorf("%s was not fetched: %v", way.downloads, volumes)
	}
}

// checkChosen compares node and storage with what the answer says to have chosen.
func (way way) checkChosen(t *testing.T, made pvesim.Guest, a sim.Answer) {
	t.Helper()
	chosen, _ := a.Fields["chosen"].(map[string]any)
	if text, ok := chosen["node"].(string); ok && !strings.HasPrefix(text, made.Node+": ") {
		t.Errorf("it is on %s: %s", made.Node, text)
	}
	disk := made.Config["scsi0"] + made.Config["rootfs"]
	if text, ok := chosen["storage"].(string); ok && !strings.HasPrefix(disk, strings.Split(text, ": ")[0]+":") {
		t.Errorf("its disk is %s: %s", disk, text)
	}
}

// addressOf is the address that PVE tells of a guest, "" if none.
func addressOf(t *testing.T, w *sim.World, g pvesim.Guest) string {
	t.Helper()
	path := fmt.Sprintf("/api2/json/nodes/%s/qemu/%d/agent/network-get-interfaces", g.Node, g.VMID)
	if g.Kind == "lxc" {
		path = fmt.Sprintf("/api2/json/nodes/%s/lxc/%d/interfaces", g.Node, g.VMID)
	}
	resp, err := w.Sim.Do(t.Context(), pvesim.Request{Method: http.MethodGet, Path: path, Header: http.Header{"Authorization": {w.Model.Token(everyone).Header()}}})
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(resp.Body), `"`) {
		if strings.HasPrefix(part, "10.") {
			address, _, _ := strings.Cut(part, "/")
			return address
		}
	}
	return ""
}

// What PVE 8 cannot do is refused before anything is sent.
func TestWaysOfLaterVersions(t *testing.T) {
	for _, way := range ways {
		if way.refuses == "" {
			continue
		}
		w := sim.New(t, sim.Options{Model: sources("8.4.1"), Token: everyone})
		a := w.Call(way.tool, way.args+"}")
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, way.refuses) || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s", a.Text)
		}
	}
}

// A plan says what would be done, and its handle does exactly that.
func TestWaysByPlan(t *testing.T) {
	eachWay(t, func(t *testing.T, way way, version string) {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: sources(version), Token: everyone})
			w.Host.Stays = true
			before := contentsOf(t, w)
			planned := w.Call(way.tool, way.args+`,"plan":true}`)
			if planned.Outcome != tool.Planned || len(sim.Writes(w.Sent())) > 0 {
				t.Fatalf("%s", planned.Text)
			}
			if diff := cmp.Diff(before, contentsOf(t, w)); diff != "" {
				t.Errorf("a plan changes something: %s", diff)
			}
			time.Sleep(20 * time.Minute) // so that the figures by which it was chosen are others
			a := finish(w, way.tool, fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, planned.Fields["plan_handle"]))
			defer settle()
			if a.Outcome != tool.OK {
				t.Fatalf("%s\n%s", planned.Text, a.Text)
			}
			steps, _ := planned.Fields["steps"].([]any)
			if sent := sim.Writes(w.Sent()); max(len(steps), 1) != len(sent) {
				t.Errorf("%v were planned, and %v sent", steps, sent)
			}
		})
	})
}
