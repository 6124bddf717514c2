package sim

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Scratch is a small guest of a story's own, without which a story is about guests that
// only the simulator has. In the story these placeholders name it and its surroundings:
//
//	$vmid      its id
//	$newid     an id that no guest has
//	$node      the name of its node
//	$storage   the storage of its disk
//	$backups   a storage for backups
//	$iso       a volume with an ISO image
//	${a.b}     the field b of the field a of what the calls of First answered
//
// VMs are named scratch and have the disk scsi0 of 1 GiB, containers the rootfs of 2 GiB.
// No VM has a system on it.
type Scratch string

// The guests that there can be.
const (
	VM        Scratch = "VM" // stopped
	RunningVM Scratch = "running VM"
	Template  Scratch = "VM template"
	CT        Scratch = "CT" // stopped
	RunningCT Scratch = "running CT"
	NoGuest   Scratch = "no guest" // $vmid is an id that no guest has, as $newid is
)

// guest returns what such a guest is like.
func (s Scratch) guest() live.Guest {
	if s == CT || s == RunningCT {
		return live.Guest{Kind: pve.LXC, Running: s == RunningCT, Config: map[string]string{
			"hostname": "scratch", "cores": "1", "memory": "256", "swap": "0", "unprivileged": "1", "features": "nesting=1",
		}}
	}
	return live.Guest{Kind: pve.QEMU, Running: s == RunningVM, Template: s == Template, Config: map[string]string{
		"name": "scratch", "cores": "1", "memory": "128", "scsihw": "virtio-scsi-single", "ostype": "l26",
	}}
}

// Bases says what a storage does with a template's disk while there is a linked clone of it.
type Bases string

// What a storage can do with it.
const (
	KeepsBases Bases = "keeps disks of templates that are in use"
	FreesBases Bases = "lets go of disks of templates: linked clones live without them"
)

// addBtrfs adds a storage to a model that lets go of disks of templates, and returns its name.
func addBtrfs(m *pvesim.Model) string {
	st := pvesim.Storage{ID: "snap", Type: "btrfs", Content: "images,rootdir", Size: 100 << 30}
	m.Storages = append(slices.Clip(m.Storages), st)
	return st.ID
}

// The surroundings of a scratch guest in the preset cluster.
const (
	simVMID = 190
	simNode = "pve1"
)

// simulated are the placeholders of the preset cluster.
func simulated() map[string]string {
	return map[string]string{
		"vmid": strconv.Itoa(simVMID), "newid": strconv.Itoa(simVMID + 1), "node": simNode,
		"storage": "local-zfs", "backups": "nfs", "iso": "local:iso/debian-12.11.0-amd64-netinst.iso",
	}
}

// simulate puts the guest into a model, with its disk on a storage.
func (s Scratch) simulate(m *pvesim.Model, storage string) {
	if s == NoGuest {
		return
	}
	g := s.guest()
	key, gib := g.Disk()
	config := maps.Clone(g.Config)
	volume := map[Scratch]string{CT: "subvol", RunningCT: "subvol", Template: "base"}[s]
	if volume == "" {
		volume = "vm"
	}
	disk := fmt.Sprintf("%s-%d-disk-0", volume, simVMID)
	if storage != simulated()["storage"] { // one of files
		disk = fmt.Sprintf("%d/%s.raw", simVMID, disk)
	}
	config[key] = fmt.Sprintf("%s:%s,size=%dG", storage, disk, gib)
	if g.Template {
		config["template"] = "1"
	}
	if g.Kind == pve.QEMU { // as PVE does when it creates one
		config["vmgenid"] = "0f6b2a5e-3f0c-4c1e-9d7a-5b1f6f2c9a10"
	}
	m.Guests = append(slices.Clip(m.Guests), pvesim.Guest{VMID: simVMID, Kind: string(g.Kind), Node: simNode, Config: config, Running: g.Running})
}

// filler puts values in the place of placeholders.
type filler struct {
	*testing.T
	values  map[string]string
	answers map[string]any // to the calls of First
}

// fill returns a text with its placeholders filled in.
func (f filler) fill(text string) string {
	return os.Expand(text, func(name string) string {
		if value := f.values[name]; value != "" {
			return value
		}
		var field any = f.answers
		for part := range strings.SplitSeq(name, ".") {
			inner, _ := field.(map[string]any)
			field = inner[part]
		}
		if field == nil {
			f.Fatalf("nothing to put in the place of $%s", name)
		}
		return fmt.Sprint(field)
	})
}

// placeholders are the names of those that a story has.
func (s Story) placeholders() map[string]bool {
	names := map[string]bool{}
	for _, text := range slices.Concat([]string{s.First, s.Args}, s.Says, s.Lacks) {
		os.Expand(text, func(name string) string { names[name] = true; return "" })
	}
	return names
}
