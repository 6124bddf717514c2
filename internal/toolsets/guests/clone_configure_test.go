package guests_test

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

// A clone gets settings and tags of its own, keeps what it is not told to change, and says its
// address.
func TestCloneWithSettings(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.1"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Version(version), sim.Set(901, "tags=linux", "net0=virtio=BC:24:11:00:09:01,bridge=vmbr0,tag=20"))})
			a := w.Call("pve_clone_guest", `{"vmid":901,"name":"web-9","set":{"memory":"8G","net0":{"tag":30},"ciuser":"me","ipconfig0":{"ip":"dhcp"}},"add_tags":["web"],"start":true,"wait_for":"address","wait":45}`)
			if a.Outcome != tool.OK || !strings.Contains(a.Text, `"agent":"answers"`) || !strings.Contains(a.Text, "VM 110 (web-9) runs on pve2 and answers at 10.") || !strings.Contains(a.Text, `"undo":{"tool":"pve_delete_guest","arguments":{"vmid":110}}`) {
				t.Errorf("%s: %s", version, a.Text)
			}
			config := w.Call("pve_guest_config", `{"vmid":110}`).Text
			for _, want := range []string{"8192", "bridge=vmbr0,tag=30", "linux;web", `"ciuser"`} {
				if !strings.Contains(config, want) {
					t.Errorf("%s lacks %s", config, want)
				}
			}
		})
	}
}

func TestCloneSteps(t *testing.T) {
	const set = `{"vmid":901,"newid":110,"set":{"cores":4},"add_tags":["web"],"start":true,"wait":45%s}`
	args := fmt.Sprintf(set, "")
	fails := func(path string) pvesim.Fault { return pvesim.Fault{Match: path, TaskFails: "no space left"} }
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		{Name: "a container", Args: `{"vmid":910,"set":{"memory":512,"net0":{"ip":"10.10.1.77/24"}},"add_tags":["web"],"start":true,"wait_for":"address","wait":45}`, Outcome: tool.OK, Writes: []string{cloneCT, putCT, startCT},
			Says: []string{`"address":"10.10.1.77"`, "runs on pve3 and answers at 10.10.1.77"}},
		{Name: "a plan", Args: fmt.Sprintf(set, `,"plan":true`), Outcome: tool.Planned, Says: []string{`"steps":["Clone of VM 901 (ubuntu-24.04) as 110","Configuration of the clone 110","the start"]`}},
		{Name: "its settings fail", Fault: fails("POST /nodes/*/qemu/110/config"), Args: args, Outcome: tool.Failed, Writes: []string{cloneVM, postVM, deleteVM},
			Says: []string{"Configuration of the clone 110 failed: no space left. Removal of VM 110: done."}, Lacks: []string{"Then configure"}},
		{Name: "its settings are refused", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/110/config", Status: 500, Message: "no"}, Args: args, Outcome: tool.Failed, Writes: []string{cloneVM, postVM, deleteVM},
			Says: []string{"Removal of VM 110: done."}},
		{Name: "its settings are not answered", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/110/config", Drop: true}, Args: args, Outcome: tool.Unknown, Writes: []string{cloneVM, postVM}, Lacks: []string{"Removal"}},
		{Name: "it is kept", Fault: fails("POST /nodes/*/qemu/110/config"), Args: fmt.Sprintf(set, `,"keep":true`), Outcome: tool.Failed, Writes: []string{cloneVM, postVM}, Says: []string{`"newid":110`}},
		{Name: "the removal fails", Options: sim.Options{Model: sim.Cluster(func(m *pvesim.Model) {
			m.Faults = append(m.Faults, pvesim.Fault{Match: "DELETE /nodes/*/qemu/110", TaskFails: "dataset is busy"})
		})}, Fault: fails("POST /nodes/*/qemu/110/status/start"), Args: args, Outcome: tool.Failed, Writes: []string{cloneVM, postVM, startVM, deleteVM}, Says: []string{"Removal of VM 110 failed: dataset is busy", `"newid":110`}},
		{Name: "after its migration, the start fails", Options: sim.Options{Model: sim.Cluster(sim.Set(900, "scsi0=local-zfs:base-900-disk-0,size=1G"))}, Fault: fails("POST /nodes/*/qemu/110/status/start"),
			Args: `{"vmid":900,"target":"pve3","set":{"cores":2},"start":true,"wait":45}`, Outcome: tool.Failed, Writes: []string{cloneVM, postVM, migrateVM, startVM, deleteVM}, Says: []string{"Removal of VM 110: done."}},
		{Name: "somebody has changed it meanwhile", Options: sim.Options{Before: sim.Meanwhile("POST", "/qemu/110/status/start", `pve_resize_disk {"vmid":110,"disk":"scsi0","size":"+1G"}`)}, Fault: fails("POST /nodes/*/qemu/110/status/start"),
			Args: args, Outcome: tool.Failed, Writes: []string{cloneVM, postVM, startVM}, Says: []string{"Removal of VM 110: not done, since it was changed meanwhile", `"newid":110`}},
	})
	refuse := func(name, args string, says ...string) sim.Story {
		return sim.Story{Name: name, Args: args, Outcome: tool.Failed, Says: says}
	}
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		refuse("wait for what is not started", `{"vmid":900,"wait_for":"agent"}`, `The argument \"wait_for\" needs a clone that is started`),
		refuse("the name in set", `{"vmid":900,"set":{"name":"x"}}`, `has \"name\", which the argument name gives`),
		refuse("what is root's", `{"vmid":900,"set":{"args":"-S"}}`, "root@pam alone"),
		refuse("a disk of the original", `{"vmid":900,"set":{"scsi0":"nfs:8"}}`, "would take that disk from the clone"),
		refuse("a volume of another guest", `{"vmid":900,"set":{"scsi3":"local-zfs:vm-104-disk-1"}}`, "scsi3 names local-zfs:vm-104-disk-1, which is not the clone's"),
		refuse("a bridge that is not there", `{"vmid":900,"set":{"net0":{"bridge":"vmbr9"}}}`, `has no bridge \"vmbr9\"`),
		refuse("no amount of memory", `{"vmid":900,"set":{"memory":"lots"}}`, "is not an amount of memory"),
		refuse("an empty setting", `{"vmid":900,"set":{"cores":""}}`, `has an empty \"cores\"`),
	})
}

// A clone that is to have an address asks DHCP for it if its template leaves that open: PVE's drive
// for cloud-init sets up none otherwise.
func TestCloneWithAddressByDHCP(t *testing.T) {
	const args = `{"vmid":901,"name":"b"%s,"start":true,"wait_for":%q,"wait":45}`
	sim.Tell(t, "pve_clone_guest", []sim.Story{
		{Name: "the template names none", Args: fmt.Sprintf(args, "", "address"), Outcome: tool.OK, Writes: []string{cloneVM, postVM, startVM}, Says: []string{
			"VM 110 (b) runs on pve2 and answers at 10.", "It is a clone of 901, which names no address, so it asks DHCP for one."}},
		{Name: "a plan", Args: `{"vmid":901,"start":true,"wait_for":"address","plan":true}`, Outcome: tool.Planned, Says: []string{"Configuration of the clone 110, with addresses by DHCP"}},
		{Name: "the template names one", Options: sim.Options{Model: sim.Cluster(sim.Set(901, "ipconfig0=ip=10.10.1.79/24"))}, Args: fmt.Sprintf(args, "", "address"), Outcome: tool.OK, Writes: []string{cloneVM, startVM},
			Says: []string{"answers at 10.10.1.79"}, Lacks: []string{"DHCP"}},
		{Name: "the call names one", Args: fmt.Sprintf(args, `,"set":{"ipconfig0":"ip=10.10.1.78/24"}`, "address"), Outcome: tool.OK, Writes: []string{cloneVM, postVM, startVM},
			Says: []string{"answers at 10.10.1.78"}, Lacks: []string{"DHCP"}},
		{Name: "the call names a part of one", Args: fmt.Sprintf(args, `,"set":{"ipconfig0":{"ip":"10.10.1.77/24"}}`, "address"), Outcome: tool.OK, Writes: []string{cloneVM, postVM, startVM},
			Says: []string{"answers at 10.10.1.77"}, Lacks: []string{"DHCP"}},
		{Name: "beside other settings", Args: fmt.Sprintf(args, `,"set":{"cores":4},"add_tags":["web"]`, "address"), Outcome: tool.OK, Writes: []string{cloneVM, postVM, startVM}, Says: []string{"answers at 10.", "asks DHCP"}},
		{Name: "no address is wanted", Args: fmt.Sprintf(args, "", "agent"), Outcome: tool.OK, Writes: []string{cloneVM, startVM}, Lacks: []string{"DHCP"}},
	})
}

// A clone that takes longer than its call gets its settings all the same, and its handle says
// how it ended.
func TestCloneThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		w.Host.Stays = true
		a := w.Call("pve_clone_guest", `{"vmid":105,"set":{"cores":2,"cipassword":"hunter22"},"add_tags":["copy"],"wait":0}`)
		if a.Outcome != tool.Running {
			t.Fatalf("%s", a.Text)
		}
		time.Sleep(time.Hour)
		later := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, a.Fields["handle"]))
		if !strings.Contains(later.Text, `"outcome":"ok"`) || !strings.Contains(w.Call("pve_guest_config", `{"vmid":110}`).Text, "ci;copy") {
			t.Errorf("%s", later.Text)
		}
	})
}
