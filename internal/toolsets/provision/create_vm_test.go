package provision_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	key      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA user@host"
	everyone = "root@pam!full"
)

// withImages is the preset cluster with images on a storage.
func withImages() *pvesim.Model {
	m := pvesim.Cluster()
	image := func(name, system string, agent bool) pvesim.Volume {
		return pvesim.Volume{ID: "nfs:import/" + name, Content: "import", Size: 600 << 20, Image: pvesim.Image{System: system, Virtual: 3 << 30, Agent: agent}}
	}
	m.Volumes = append(m.Volumes, image("noble-server-cloudimg-amd64.qcow2", "ubuntu 24.04", false), image("AlmaLinux-9-GenericCloud-latest.x86_64.qcow2", "almalinux 9", true))
	return &m
}

// An image becomes a VM that answers, in one call, by the way that its system needs.
func TestCreateVMFromImage(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		says       []string
	}{
		{"the agent is installed by a CD, which is removed", fmt.Sprintf(`{"name":"web-4","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","cores":4,"memory":"4G","disks":["20G"],"ssh_keys":[%q],"wait":45}`, key),
			[]string{`"outcome":"ok"`, "runs on", "and answers: ssh ubuntu@10.", `"agent":"answers"`, `"cloud-init":"a CD`}},
		{"the agent is in the image", fmt.Sprintf(`{"name":"alma","source":"almalinux 9","ssh_keys":[%q],"wait":45}`, key),
			[]string{`"outcome":"ok"`, "and answers: ssh almalinux@10."}},
		{"a clone of a template gets an address by DHCP", fmt.Sprintf(`{"name":"web-6","source":"901","ssh_keys":[%q],"wait":45}`, key),
			[]string{`"outcome":"ok"`, "and answers", `"address":"10.`}},
		{"a fixed address", fmt.Sprintf(`{"name":"fixed","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","nics":["bridge=vmbr0,ip=10.10.1.64/24,gw=10.10.1.1"],"ssh_keys":[%q],"wait":45}`, key),
			[]string{`"outcome":"ok"`, "with the address 10.10.1.64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: withImages(), Token: everyone})
				w.Host.Stays = true
				a := w.Call("pve_create_vm", tt.args)
				for range 3 {
					handle, running := a.Fields["handle"].(string)
					if !running {
						break
					}
					time.Sleep(30 * time.Second)
					a = w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":45}`, handle))
				}
				for _, s := range tt.says {
					if !strings.Contains(a.Text, s) {
						t.Errorf("%s lacks %s", a.Text, s)
					}
				}
				left, err := w.Sim.Model()
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(left.Volumes, func(v pvesim.Volume) bool { return strings.Contains(v.ID, "seed-") }) {
					t.Error("the CD is still there")
				}
			})
		})
	}
}

// An object in set changes parts of what the template has, and the clone keeps the others.
func TestCreateVMWithParts(t *testing.T) {
	sim.Tell(t, "pve_create_vm", []sim.Story{
		{Name: "of a template", Options: sim.Options{Token: everyone}, Args: `{"name":"web-7","source":"901","set":{"agent":{"fstrim_cloned_disks":1}},"start":false,"wait":45}`, Outcome: tool.OK,
			Writes: []string{"POST /nodes/{node}/qemu/{vmid}/clone", "POST /nodes/{node}/qemu/{vmid}/config"}},
		{Name: "a disk of the node", Options: sim.Options{Token: everyone}, Args: `{"name":"web-7","disks":["8G"],"set":{"scsi5":"/dev/sda"},"start":false}`, Outcome: tool.Failed, Says: []string{"nobody has consented"}},
		{Name: "of nothing", Options: sim.Options{Token: everyone}, Args: `{"name":"web-7","disks":["8G"],"set":{"agent":{"enabled":1,"type":"isa"}},"start":false,"wait":45}`, Outcome: tool.OK, Writes: []string{"POST /nodes/{node}/qemu"}},
	})
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: everyone})
		w.Call("pve_create_vm", `{"name":"web-7","source":"901","vmid":170,"set":{"agent":{"fstrim_cloned_disks":1}},"start":false,"wait":45}`)
		if config := w.Call("pve_guest_config", `{"vmid":170}`).Text; !strings.Contains(config, "1,fstrim_cloned_disks=1") {
			t.Errorf("%s", config)
		}
	})
}

// What cannot be right is refused before anything is sent.
func TestCreateVMRefusals(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{`{"name":"x","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","disks":["1G"]}`, "needs a disk of 3 GiB"},
		{`{"name":"x","nics":["bridge=vmbr9"]}`, "no bridge"},
		{`{"name":"x","nics":["bridge=vmbr0,ip=10.0.0.5/24,gw=10.0.1.1"]}`, "outside of the network 10.0.0.0/24"},
		{`{"name":"x","ssh_keys":["abc"]}`, "give whole public keys"},
		{`{"name":"x","set":{"args":"-S"}}`, "root@pam alone"},
		{`{"name":"x","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","set":{"ide0":"local-zfs:cloudinit"}}`, "has a drive for cloud-init"},
		{`{"name":"x","source":"debian 13"}`, "Repeat with download: true"},
		{`{"name":"x","source":"rocky"}`, "Rocky Linux 9 and Rocky Linux 10"},
		{`{"name":"x","source":"nonsense"}`, "No storage has an image"},
		{`{"name":"x","storage":"nowhere"}`, "has no storage nowhere for images"},
		{`{"name":"x","iso":"fedora 42"}`, `No storage has a CD \"fedora 42\"`},
		{`{"name":"x","iso":"local:iso/nosuch.iso"}`, `No storage has a CD \"local:iso/nosuch.iso\"`},
		{`{"name":"x","iso":"nowhere:iso/debian.iso"}`, "No storage has a CD"},
		{`{"name":"x","iso":"local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"}`, "which is no CD: those are STORAGE:iso/FILE"},
		{`{"name":"x","iso":"pbs:backup/vm/102/2026-11-29T07:20:53Z"}`, "which is no CD"},
		{`{"name":"x","iso":"local:iso/virtio-win-0.1.271.iso","node":"pve2"}`, "does not have local:iso/virtio-win-0.1.271.iso"},
	} {
		w := sim.New(t, sim.Options{Model: withImages(), Token: everyone})
		a := w.Call("pve_create_vm", tt.args)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s: %s", tt.args, a.Text)
		}
	}
}

// What an image takes to be fetched is known before anything is sent.
func TestCreateVMMayNotFetch(t *testing.T) {
	sim.Tell(t, "pve_create_vm", []sim.Story{
		{Name: "a privilege", Options: sim.Options{Model: sim.Cluster(func(m *pvesim.Model) {
			m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "ops@pve!mcp", Role: "PVEDatastoreAdmin"})
		})}, Args: `{"name":"x","source":"ubuntu 22.04","download":true}`, Outcome: tool.Failed, Says: []string{"lacks Sys.AccessNetwork on /nodes/pve1"}},
		{Name: "the policy", Options: sim.Options{Token: everyone}, Args: `{"name":"x","source":"http://10.0.0.1/x.qcow2","download":true}`, Outcome: tool.Failed, Says: []string{"is private"}},
	})
}

// An image is fetched to the storage of the VM's node where each node has one for itself.
func TestCreateVMFetchesForItsNode(t *testing.T) {
	m := sim.Cluster(func(m *pvesim.Model) {
		for i := range m.Storages {
			switch st := &m.Storages[i]; st.ID {
			case "local":
				st.Content += ",import"
			case "nfs":
				st.Content = "images,rootdir"
			}
		}
	})
	sim.Tell(t, "pve_create_vm", []sim.Story{{
		Name: "of no node in particular", Options: sim.Options{Model: m, Token: everyone}, Args: `{"name":"x","source":"rocky 9","download":true,"start":false,"wait":45}`, Outcome: tool.OK,
		Writes: []string{"POST /nodes/{node}/storage/{storage}/download-url", "POST /nodes/{node}/qemu"},
	}})
}

// A CD is found by words, on the node that has it, and a call that makes an empty VM does not
// wait for a system that nobody has installed yet.
func TestCreateVMFromISO(t *testing.T) {
	made := []string{"POST /nodes/{node}/qemu", "POST /nodes/{node}/qemu/{vmid}/status/start"}
	sim.Tell(t, "pve_create_vm", []sim.Story{
		{Name: "by words", Args: `{"name":"x","iso":"debian 12"}`, Outcome: tool.OK, Writes: made, Says: []string{
			`"iso":"local:iso/debian-12.11.0-amd64-netinst.iso"`, "VM 110 (x) runs on pve1.", "pve_console shows it", `"node":"pve1: most free memory`}},
		{Name: "on one node", Args: `{"name":"x","iso":"virtio win"}`, Outcome: tool.OK, Writes: made, Says: []string{
			`"iso":"local:iso/virtio-win-0.1.271.iso"`, `"node":"pve1: the only node that can take it"`}},
		{Name: "without one", Args: `{"name":"x"}`, Outcome: tool.OK, Writes: made, Says: []string{"VM 110 (x) runs on pve1."}},
	})
}

// The answer says who can log in.
func TestCreateVMLogin(t *testing.T) {
	keys := fmt.Sprintf(`{"name":"x","source":"901","ssh_keys":[%q],"start":false,"wait":45}`, key)
	none := `{"name":"x","source":"901","start":false,"wait":45}`
	cloned := []string{"POST /nodes/{node}/qemu/{vmid}/clone", "POST /nodes/{node}/qemu/{vmid}/config"}
	sim.Tell(t, "pve_create_vm", []sim.Story{
		{Name: "nobody", Args: none, Outcome: tool.OK, Writes: cloned, Says: []string{"nobody can log in yet, unless a login is inside the template"}},
		{Name: "the default user", Args: keys, Outcome: tool.OK, Writes: cloned, Says: []string{"the default user of its image, which is usually ubuntu"}},
		{Name: "the keys of the template", Options: sim.Options{Model: sim.Cluster(sim.Set(901, "ciuser=anna", "sshkeys=ssh-ed25519%20AAAA"))}, Args: none, Outcome: tool.OK, Writes: cloned, Lacks: []string{"log in", "login"}},
	})
}
