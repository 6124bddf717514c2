package pvesim_test

import (
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// overviewed is the cluster of the second day, with the guests and the disk that it had when
// an overview was recorded.
func overviewed() pvesim.Model {
	m := pvesim.Recorded2()
	m.History = 45 * time.Minute
	m.Files = map[string][]pvesim.Section{"datacenter.cfg": {{Options: map[string]string{"keyboard": "en-us"}}}}
	m.Guests = append(m.Guests,
		pvesim.Guest{VMID: 900, Kind: "qemu", Node: "pve1", Running: true, Up: time.Hour, IPs: []string{"10.99.0.90/24", "fe80::90/64"}, Config: map[string]string{
			"name": "guest-900", "memory": "256", "agent": "1", "serial0": "socket", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
			"ide2": "local:iso/ok.iso,media=cdrom", "boot": "order=ide2",
		}},
		pvesim.Guest{VMID: 950, Kind: "lxc", Node: "pve1", Running: true, Up: time.Second, Age: time.Second, IPs: []string{}, Config: map[string]string{
			"hostname": "guest-950", "memory": "128", "rootfs": "local:950/vm-950-disk-0.raw,size=1G", "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:A6:D3,type=veth",
		}})
	for i := range m.Nodes {
		m.Nodes[i].Devices = []pvesim.Device{{ID: "0000:00:01.0", Class: "0xffff00", VendorID: "0x1af4", DeviceID: "0x1045"}}
		m.Tasks = append(m.Tasks, pvesim.PastTask{Node: m.Nodes[i].Name, Type: "qmdestroy", ID: "905", User: "mcp@pve!ops", Ago: time.Minute, Took: time.Second, Exit: "OK"})
		m.Nodes[i].Repository, m.Nodes[i].Bridges = "none", []string{"vmbr1"}
		m.Nodes[i].Disks = []pvesim.Disk{{Path: "/dev/vda", Type: "unknown", Used: "mounted", NoSMART: true, Size: m.Nodes[i].Disk}}
	}
	return m
}

// overviewedNine is that cluster later, when a container had moved.
func overviewedNine() pvesim.Model {
	m := overviewed()
	m.History = 35 * time.Minute
	for i := range m.Guests {
		if m.Guests[i].VMID == 200 {
			m.Guests[i].Node = "pve2"
		}
	}
	return m
}
