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
		{`{"name":"x","source":"nonsense"}`, "No storage has an image"},
		{`{"name":"x","storage":"nowhere"}`, "has no storage nowhere for images"},
	} {
		w := sim.New(t, sim.Options{Model: withImages(), Token: everyone})
		a := w.Call("pve_create_vm", tt.args)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s: %s", tt.args, a.Text)
		}
	}
}
