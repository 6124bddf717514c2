package pvesim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// storageType is what volumes of a type of storage can do, as PVE's storage
// plugins say of themselves.
type storageType struct {
	// files says that volumes are files in a folder for each guest. Their formats
	// are qcow2, raw and vmdk, and raw ones can neither be snapshotted nor grow
	// a linked clone of anything but a base image.
	files bool
	// format is that of a new volume if none is asked for.
	format string
	// subvols says that containers get file systems instead of block devices.
	subvols   bool
	snapshots bool // of every volume; of files, of those in qcow2 only
	clones    bool // linked clones of base images
	// snapClones says that a snapshot can be cloned, linked too.
	snapClones bool
	// chained says that the id of a linked clone begins with that of its base,
	// which keeps the base: PVE knows the clones of a base by their ids alone.
	chained   bool
	copySnaps bool // a full clone can be made of a snapshot
	shared    bool // whatever its configuration says
	thick     bool // a volume takes its whole size at once
	images    bool // holds disks of guests at all
}

var storageTypes = map[string]storageType{
	"dir":     {files: true, format: "raw", snapshots: true, clones: true, chained: true, copySnaps: true, images: true},
	"nfs":     {files: true, format: "raw", snapshots: true, clones: true, chained: true, copySnaps: true, shared: true, images: true},
	"cifs":    {files: true, format: "raw", snapshots: true, clones: true, chained: true, copySnaps: true, shared: true, images: true},
	"btrfs":   {files: true, format: "raw", snapshots: true, clones: true, snapClones: true, copySnaps: true, images: true},
	"zfspool": {format: "raw", subvols: true, snapshots: true, clones: true, chained: true, images: true},
	"zfs":     {format: "raw", snapshots: true, clones: true, chained: true, shared: true, images: true},
	"lvm":     {format: "raw", thick: true, images: true},
	"lvmthin": {format: "raw", snapshots: true, clones: true, snapClones: true, copySnaps: true, images: true},
	"rbd":     {format: "raw", snapshots: true, clones: true, snapClones: true, chained: true, copySnaps: true, shared: true, images: true},
	"cephfs":  {files: true, shared: true},
	"iscsi":   {format: "raw", shared: true, images: true},
	"pbs":     {shared: true},
}

// traits are those of the storage's type. One that was deleted, though a guest's disk
// is on it, can do nothing.
func (st *Storage) traits() storageType {
	if st == nil {
		return storageType{}
	}
	return storageTypes[st.Type]
}

// chains reports whether a linked clone in a format is chained. What Btrfs snapshots
// itself is not; its other files are as those of a directory.
func (t storageType) chains(format string) bool {
	return t.chained || t.files && (format == "qcow2" || format == "vmdk")
}

// everywhere reports whether all nodes see the same volumes.
func (st *Storage) everywhere() bool { return st != nil && (st.Shared || st.traits().shared) }

// holds reports whether the storage may hold a kind of content.
func (st *Storage) holds(content string) bool {
	return slices.Contains(strings.Split(st.Content, ","), content)
}

// path is where a storage of files is mounted.
func (st *Storage) path() string {
	otherwise := "/mnt/pve/" + st.ID
	if st.ID == "local" {
		otherwise = "/var/lib/vz"
	}
	return cmp.Or(st.Path, otherwise)
}

// supports reports whether the volume's storage has a feature for it: snapshot, clone
// (linked), copy, template, each of the volume or, with ofSnap, of one of its
// snapshots.
func (s *state) supports(v *volume, feature string, ofSnap bool) bool {
	t := s.storageNamed(v.storage()).traits()
	qcow2 := v.Format == "qcow2"
	switch feature {
	case "snapshot":
		return t.snapshots && (!t.files || qcow2 || t.snapClones)
	case "clone":
		return t.clones && (v.base() && !ofSnap || ofSnap && t.snapClones)
	case "copy":
		return !ofSnap || t.copySnaps && (!t.files || qcow2 || t.snapClones)
	case "template":
		return t.clones
	}
	return false
}

func (s *state) storageNamed(id string) *Storage {
	i := slices.IndexFunc(s.storages, func(st Storage) bool { return st.ID == id })
	if i < 0 {
		return nil
	}
	return &s.storages[i]
}

// usable returns the storage as far as a node may use it now.
func (s *state) usable(id, node string) (*Storage, error) {
	st := s.storageNamed(id)
	switch {
	case st == nil:
		return nil, die("storage '%s' does not exist", id)
	case st.Disabled:
		return nil, die("storage '%s' is disabled", id)
	case !st.on(node):
		return nil, die("storage '%s' is not available on node '%s'", id, node)
	}
	return st, nil
}

// online returns the storage if a node can use it now, which a broken one is not.
func (s *state) online(id, node string) (*Storage, error) {
	st, err := s.usable(id, node)
	if err == nil && st.broken(node) != "" {
		return nil, die("%s", st.broken(node))
	}
	return st, err
}

// broken is why a node cannot use the storage; "" if it can.
func (st *Storage) broken(node string) string { return cmp.Or(st.Broken, st.BrokenOn[node]) }

// brokenStorage returns why a guest's volumes are unavailable, in its storages' words; ""
// if they are available.
func (s *state) brokenStorage(g *guest) string {
	for _, key := range diskKeys(g.Kind, g.Config) {
		storage, _, _ := strings.Cut(propstring.Volume(g.Config[key]), ":")
		if st := s.storageNamed(storage); st != nil && st.broken(g.Node) != "" {
			return st.broken(g.Node)
		}
	}
	return ""
}

// size is how many bytes a storage has on a node.
func (st *Storage) size(node string) int64 { return cmp.Or(st.SizeOn[node], st.Size) }

// bytesFree is how many bytes of a storage are free on a node.
func (s *state) bytesFree(st *Storage, node string) int64 {
	return st.size(node) - s.bytesUsed(st, node)
}

// bytesUsed is how many bytes of a storage are in use on a node.
func (s *state) bytesUsed(st *Storage, node string) int64 {
	return st.Used + s.grown[s.placeOf(st.ID, node)]
}
