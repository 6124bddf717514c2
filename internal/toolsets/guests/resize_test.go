package guests_test

import (
	"fmt"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	resizeVM = "PUT /nodes/{node}/qemu/{vmid}/resize"
	resizeCT = "PUT /nodes/{node}/lxc/{vmid}/resize"
)

func TestResize(t *testing.T) {
	drives := sim.Set(105, "ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom", "unused0=local-zfs:vm-105-disk-7", "scsi1=/dev/sdb")
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	sim.Tell(t, "pve_resize_disk", []sim.Story{
		{Name: "by", On: sim.VM, Args: `{"vmid":$vmid,"disk":"scsi0","size":"+10G"}`, Outcome: tool.OK, Writes: []string{resizeVM}, Sent: 4, Says: []string{
			`"message":"Growth of scsi0 of VM $vmid (scratch) by 10G: done."`, `"size_human":"11 GiB"`, "file systems in it grow only when the guest itself grows them",
		}},
		{Name: "to", Args: `{"vmid":100,"disk":"scsi0","size":"0.5T"}`, Outcome: tool.OK, Writes: []string{resizeVM}, Says: []string{
			`"message":"Growth of scsi0 of VM 100 (web-1) to 512G (as 0.5T was read): done."`, `"size_human":"512 GiB"`,
		}},
		{Name: "to, with no system on it", On: sim.RunningVM, Args: `{"vmid":$vmid,"disk":"scsi0","size":"3G"}`, Outcome: tool.OK, Writes: []string{resizeVM}, Says: []string{
			`"message":"Growth of scsi0 of VM $vmid (scratch) to 3G: done."`, `"size_human":"3 GiB"`,
		}},
		{Name: "as people write it", Args: `{"vmid":105,"disk":"scsi0","size":" + 20 GB"}`, Outcome: tool.OK, Writes: []string{resizeVM}, Says: []string{
			`by 20G (as + 20 GB was read): done."`, `"size_human":"140 GiB"`,
		}},
		{Name: "CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"disk":"rootfs","size":"+512M"}`, Outcome: tool.OK, Writes: []string{resizeCT}, Sent: 4, Says: []string{`"size_human":"2.5 GiB"`}, Lacks: []string{"file systems"}},
		{Name: "single node", Options: sim.Options{Model: sim.Lab()}, Args: `{"vmid":103,"disk":"rootfs","size":"20G"}`, Outcome: tool.OK, Writes: []string{resizeCT}, Says: []string{`"size_human":"20 GiB"`}},
		{Name: "PVE 8", Options: with(sim.Version("8.4.1")), Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`, Outcome: tool.OK, Writes: []string{resizeVM}, Says: []string{`"size_human":"121 GiB"`}},
		{Name: "as large already", On: sim.VM, Args: `{"vmid":$vmid,"disk":"scsi0","size":"1G"}`, Outcome: tool.OK, Sent: 2, Says: []string{"scsi0 of VM $vmid has 1 GiB already; nothing was sent."}, Lacks: []string{"file systems"}},
		{Name: "by nothing", On: sim.VM, Args: `{"vmid":$vmid,"disk":"scsi0","size":"+0G"}`, Outcome: tool.OK, Says: []string{"already; nothing was sent."}},
		// PVE looks for the guest in the task: it was nowhere grown, and is on another node.
		{Name: "moved", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve1", "PUT", "/resize")},
			Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`, Outcome: tool.Failed, Writes: []string{resizeVM}, Says: []string{`"node":"pve1"`, "120 GiB", "nodes/pve3/qemu-server/105.conf' does not exist"}},
		{Name: "moved, before PVE 8", Options: sim.Options{Model: sim.Cluster(shared, sim.Version("7.4.3")), Before: sim.Moves(105, "pve1", "PUT", "/resize")},
			Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`, Outcome: tool.OK, Writes: []string{resizeVM, resizeVM}, Says: []string{`"node":"pve1"`, "121 GiB"}},

		{Name: "smaller", On: sim.VM, Args: `{"vmid":$vmid,"disk":"scsi0","size":"1M"}`, Outcome: tool.Failed, Sent: 2, Says: []string{"scsi0 of VM $vmid has 1G; a disk cannot be shrunk to 1M.", "1M is the size in all: give a larger one, or +1M to grow it by that."}},
		{Name: "no such disk", On: sim.VM, Args: `{"vmid":$vmid,"disk":"scsi9","size":"+1G"}`, Outcome: tool.Failed, Sent: 2, Says: []string{`VM $vmid has no disk \"scsi9\".`, "The disks of VM $vmid that can grow are scsi0 (1G)."}},
		{Name: "CD", Options: with(drives), Args: `{"vmid":105,"disk":"ide2","size":"+1G"}`, Outcome: tool.Failed, Sent: 2, Says: []string{"ide2 of VM 105 cannot be resized.", "that can grow are scsi0 (120G)."}},
		{Name: "detached", Options: with(drives), Args: `{"vmid":105,"disk":"unused0","size":"+1G"}`, Outcome: tool.Failed, Sent: 2, Says: []string{"unused0 of VM 105 cannot be resized."}},
		{Name: "a device of the node", Options: with(drives), Args: `{"vmid":105,"disk":"scsi1","size":"+1G"}`, Outcome: tool.Failed, Sent: 2, Says: []string{"scsi1 of VM 105 cannot be resized."}},
		{Name: "locked", Args: `{"vmid":107,"disk":"scsi0","size":"+1G"}`, Outcome: tool.Failed, Sent: 5, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`, Outcome: tool.Failed, Writes: []string{resizeVM},
			Says: []string{"lacks VM.Config.Disk on /vms/105."}},
		{Name: "no privilege for space, CT", Options: sim.Options{Model: sim.Cluster(sim.Grant("/vms", "PVEVMAdmin")), Token: "none@pve!mcp"},
			Args: `{"vmid":200,"disk":"rootfs","size":"+1G"}`, Outcome: tool.Failed, Writes: []string{resizeCT}, Says: []string{"lacks Datastore.AllocateSpace on /storage/local-zfs."}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"disk":"scsi0","size":"+1G"}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "node down", Options: with(sim.Offline("pve3")), Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "task fails", Fault: pvesim.Fault{Match: "PUT /nodes/*/qemu/105/resize", TaskFails: "zfs error: out of space"}, Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`,
			Outcome: tool.Failed, Writes: []string{resizeVM}, Says: []string{"Growth of scsi0 of VM 105 (build-1) by 1G failed: zfs error: out of space", `"size_human":"120 GiB"`}, Lacks: []string{"file systems"}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "PUT /nodes/*/qemu/105/resize", Drop: true}, Args: `{"vmid":105,"disk":"scsi0","size":"+1G"}`,
			Outcome: tool.Unknown, Writes: []string{resizeVM}, Says: []string{"before you try again", "task resize by ops@pve!mcp"}},
	})
}

func TestResizeRefusesNonsense(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for size, want := range map[string]string{
		"":      `The argument "size" is empty; it takes text.`,
		"-10G":  `The argument "size" is "-10G", which is no size: 20G makes it that large in all, +20G adds that much.`,
		"10GiG": `The argument "size" is "10GiG", which is no size: 20G makes it that large in all, +20G adds that much.`,
		"10":    `The argument "size" is "10", which has no unit: 10G makes it that large in all, +10G adds that much.`,
		"+10":   `The argument "size" is "+10", which has no unit: 10G makes it that large in all, +10G adds that much.`,
	} {
		if a := w.Call("pve_resize_disk", fmt.Sprintf(`{"vmid":105,"disk":"scsi0","size":%q}`, size)); a.Fault != tool.BadArguments || a.Fields["message"] != want {
			t.Errorf("%q: %s", size, a.Text)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("requests %v", sent)
	}
}
