package pvesim

import (
	"slices"
	"strings"
)

// packages are those of PVE on a node, with their versions up to PVE 7, in 8 and
// since 9. That of pve-manager is the node's own.
var packages = []struct{ name, seven, eight, nine string }{
	{"proxmox-ve", "7.4-1", "8.4.0", "9.0.0"},
	{"pve-manager", "", "", ""},
	{"ceph-fuse", "15.2.17-pve1", "17.2.8-pve2", "19.2.3-pve1"},
	{"corosync", "3.1.7-pve1", "3.1.9-pve1", "3.1.9-pve2"},
	{"libpve-access-control", "7.4-1", "8.2.2", "9.0.3"},
	{"libpve-storage-perl", "7.4-2", "8.3.6", "9.0.13"},
	{"lxc-pve", "5.0.2-2", "6.0.0-1", "6.0.5-1"},
	{"proxmox-backup-client", "2.4.1-1", "3.4.1-1", "4.0.15-1"},
	{"pve-cluster", "7.3-3", "8.1.0", "9.0.6"},
	{"pve-container", "4.4-2", "5.2.6", "6.0.13"},
	{"pve-firewall", "4.3-1", "5.1.1", "6.0.3"},
	{"pve-ha-manager", "3.6.0", "4.0.7", "5.0.4"},
	{"pve-qemu-kvm", "7.2.0-8", "9.2.0-5", "10.0.2-4"},
	{"qemu-server", "7.4-2", "8.3.12", "9.0.21"},
	{"zfsutils-linux", "2.1.9-pve1", "2.2.7-pve2", "2.3.4-pve1"},
}

// pick returns what holds for a version of PVE.
func (v version) pick(seven, eight, nine string) string {
	switch {
	case v.major >= 9:
		return nine
	case v.major == 8:
		return eight
	}
	return seven
}

// debian is the release of Debian that the version stands on.
func (v version) debian() string { return v.pick("bullseye", "bookworm", "trixie") }

// kernel is the kernel that it runs.
func (v version) kernel() string { return v.pick("5.15.102-1-pve", "6.8.12-9-pve", "6.14.11-2-pve") }

func packageFields(name, version string) map[string]any {
	return map[string]any{
		"Package": name, "Title": name, "Description": name, "Version": version, "Arch": "amd64", "Origin": "Proxmox",
		"Priority": "optional", "Section": "admin",
	}
}

func listPackages(c *call) (any, error) {
	v, out := c.node.version, []any{}
	for _, p := range packages {
		number := v.pick(p.seven, p.eight, p.nine)
		if p.name == "pve-manager" {
			number = v.text
		}
		item := packageFields(p.name, number)
		item["OldVersion"], item["CurrentState"] = number, "Installed"
		switch p.name {
		case "proxmox-ve":
			item["RunningKernel"] = c.node.runningKernel()
		case "pve-manager":
			item["ManagerVersion"] = v.text + "/" + v.repoID()
		}
		out = append(out, item)
		if p.name == "pve-manager" {
			out = append(out, c.kernelPackages()...)
		}
	}
	return out, nil
}

// kernelPackages are the kernels that are installed, newest first. A container has none.
func (c *call) kernelPackages() []any {
	if c.node.Contained {
		return nil
	}
	v, out := c.node.version, []any{}
	for _, release := range slices.Compact([]string{v.kernel(), c.node.runningKernel()}) {
		name := v.pick("pve-kernel-"+release, "proxmox-kernel-"+release+"-signed", "proxmox-kernel-"+release+"-signed")
		item := packageFields(name, strings.TrimSuffix(release, "-pve"))
		item["OldVersion"], item["CurrentState"] = item["Version"], "Installed"
		out = append(out, item)
	}
	return out
}

// listUpdates lists what the model says is to be updated.
func listUpdates(c *call) (any, error) {
	out := []any{}
	for _, name := range sortedKeys(c.node.Updates) {
		item := packageFields(name, c.node.Updates[name])
		for _, p := range packages {
			if p.name == name {
				item["OldVersion"] = c.node.version.pick(p.seven, p.eight, p.nine)
			}
		}
		out = append(out, item)
	}
	return out, nil
}
