package live

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
)

// snapshotsOf are the kinds of guests of which a type of storage can make snapshots. Of files
// these are VMs alone, with disks in qcow2.
var snapshotsOf = map[string][]pve.Kind{
	"btrfs":   {pve.QEMU, pve.LXC},
	"lvmthin": {pve.QEMU, pve.LXC},
	"rbd":     {pve.QEMU, pve.LXC},
	"zfspool": {pve.QEMU, pve.LXC},
	"zfs":     {pve.QEMU},
	"cifs":    {pve.QEMU},
	"dir":     {pve.QEMU},
	"nfs":     {pve.QEMU},
}

// files are the types of storages whose disks have to be in qcow2 for snapshots.
var files = []string{"cifs", "dir", "nfs"}

// newDisk is what a new disk of a guest is asked for with.
func (n *Node) newDisk(kind pve.Kind, gib int) string {
	disk := fmt.Sprintf("%s:%d", n.Storage, gib)
	if kind == pve.QEMU && slices.Contains(files, n.storage.Type) {
		disk += ",format=qcow2"
	}
	return disk
}

// CannotHold returns why the storage can have no disks of a kind of guest, or none with
// snapshots, and "" if it can.
func (n *Node) CannotHold(kind pve.Kind, snapshots bool) string {
	switch {
	case kind == pve.LXC && !holds(n.storage, "rootdir"):
		return fmt.Sprintf("%s is not for containers", n.Storage)
	case snapshots && !slices.Contains(snapshotsOf[n.storage.Type], kind):
		return fmt.Sprintf("%s, of type %s, makes no snapshots of containers", n.Storage, n.storage.Type)
	}
	return ""
}

// KeepsBases reports whether the storage keeps a template's disk while a linked clone of it
// is there, and returns the storage's type.
func (n *Node) KeepsBases() (keeps bool, storageType string) {
	return pve.KeepsBase(n.storage.Type, pve.VolID{Storage: n.Storage}), n.storage.Type
}

func holds(s pve.Storage, content string) bool {
	return slices.Contains(strings.Split(s.Content.Value, ","), content)
}
