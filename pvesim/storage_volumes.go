package pvesim

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// volume is a living [Volume].
type volume struct {
	Volume
	made time.Time
}

// place is where a volume, or a storage's space, is: the node is "" if all nodes
// see the same.
type place struct{ node, id string }

func (v *Volume) storage() string {
	storage, _, _ := strings.Cut(v.ID, ":")
	return storage
}

// base reports whether the volume is a template's, which linked clones may use.
func (v *Volume) base() bool {
	return strings.HasPrefix(v.file(), "base-") || strings.HasPrefix(v.file(), "basevol-")
}

// file is the last part of the volume's name: vm-100-disk-0.qcow2 of
// local:100/vm-100-disk-0.qcow2.
func (v *Volume) file() string {
	_, name, _ := strings.Cut(v.ID, ":")
	return path.Base(name)
}

// placeOf returns the place of a volume or storage, seen from a node.
func (s *state) placeOf(id, node string) place {
	storage, _, _ := strings.Cut(id, ":")
	if st := s.storageNamed(storage); st != nil && st.everywhere() {
		node = ""
	}
	return place{node, id}
}

// volumeOf returns the volume that a node knows by an id, or nil.
func (s *state) volumeOf(id, node string) *volume { return s.volumes[s.placeOf(id, node)] }

// volumesOn returns the volumes of a storage that a node sees, by id.
func (s *state) volumesOn(storage, node string) []*volume {
	var out []*volume
	where := s.placeOf(storage, node).node
	for p, v := range s.volumes {
		if p.node == where && v.storage() == storage {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *volume) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// addVolume makes a volume exist and takes its space.
func (s *state) addVolume(v Volume, made time.Time) *volume {
	p := s.placeOf(v.ID, v.Node)
	v.Node = p.node
	s.volumes[p] = &volume{Volume: v, made: made}
	s.grown[s.placeOf(v.storage(), v.Node)] += v.Used
	return s.volumes[p]
}

// removeVolume makes a volume cease to exist and frees its space.
func (s *state) removeVolume(v *volume) {
	delete(s.volumes, place{v.Node, v.ID})
	s.grown[s.placeOf(v.storage(), v.Node)] -= v.Used
}

// freeVolume makes the volume cease to exist that a drive names, if it does exist.
func (s *state) freeVolume(volid, node string) {
	if v := s.volumeOf(volid, node); v != nil {
		s.removeVolume(v)
	}
}

// relocateVolume gives a volume another id, and with it perhaps another storage or node.
func (s *state) relocateVolume(v *volume, id, node string) *volume {
	s.removeVolume(v)
	moved := v.Volume
	moved.ID, moved.Node = id, node
	return s.addVolume(moved, v.made)
}

// clones returns the linked clones of a volume that keep it.
func (s *state) clones(v *volume) []*volume {
	var out []*volume
	for _, other := range s.volumes {
		if other.Parent == v.ID && other.Node == v.Node {
			out = append(out, other)
		}
	}
	return out
}

// request is a volume that a guest is to get.
type request struct {
	storage, node string
	vmid          int
	name          string // disk, cloudinit, or state-<snapshot>
	content       string // images or rootdir
	format        string // "" means the storage's own
	size          int64
	base          *volume // of a linked clone
	ofTemplate    bool    // so that a disk becomes a base
}

// newVolume names a volume as PVE does on this type of storage: the first free
// number in the names of a guest's disks, and file extensions if volumes are
// files.
func (s *state) newVolume(r request) Volume {
	st := s.storageNamed(r.storage)
	t := st.traits()
	v := Volume{Node: r.node, Content: r.content, Format: r.format, Size: r.size, VMID: r.vmid, Blank: true}
	if v.Format == "" || !t.files && v.Format != "subvol" {
		v.Format = t.format
	}
	prefix := "vm"
	if r.content == "rootdir" && (t.subvols || r.size == 0) {
		prefix, v.Format = "subvol", "subvol"
	}
	if r.ofTemplate && r.name == "disk" {
		prefix = "base"
	}
	name := fmt.Sprintf("%s-%d-%s", prefix, r.vmid, r.name)
	if r.name == "disk" {
		name = fmt.Sprintf("%s-%d", name, s.freeNumber(r))
	}
	if t.files {
		if v.Format != "subvol" {
			name += "." + v.Format
		}
		name = fmt.Sprintf("%d/%s", r.vmid, name)
	}
	if r.base != nil {
		v.Blank, v.Image = r.base.Blank, r.base.Image
		if t.chains(v.Format) {
			v.Parent = r.base.ID
			_, parent, _ := strings.Cut(r.base.ID, ":")
			name = parent + "/" + name
		}
	}
	v.ID, v.Used = r.storage+":"+name, v.firstUse(t)
	return v
}

// firstUse is what a new volume takes.
func (v *Volume) firstUse(t storageType) int64 {
	switch {
	case t.thick:
		return v.Size
	case v.Parent != "" || v.Format == "subvol":
		return 128 << 10
	case v.Content == "rootdir": // a file system and the smallest of systems
		return min(36<<20, v.Size)
	}
	return 324 << 10
}

// freeNumber is the first that no disk of a guest has in its name.
func (s *state) freeNumber(r request) int {
	used := map[int]bool{}
	for _, v := range s.volumesOn(r.storage, r.node) {
		if _, rest, ok := strings.Cut(v.file(), "-disk-"); ok && v.VMID == r.vmid {
			digits, _, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(digits); err == nil {
				used[n] = true
			}
		}
	}
	for n := 0; ; n++ {
		if !used[n] {
			return n
		}
	}
}

// addVolumesOf makes the volumes exist that guests' configurations name and the model
// does not list.
func (s *state) addVolumesOf(g *guest, now time.Time) {
	configs := []map[string]string{g.Config}
	for _, snap := range g.snaps {
		configs = append(configs, snap.Config)
		if snap.VMState != "" && s.volumeOf(snap.VMState, g.Node) == nil {
			s.addVolume(Volume{ID: snap.VMState, Node: g.Node, Content: "images", Format: "raw", Size: g.maxMem(), Used: g.maxMem() / 2, VMID: g.VMID}, snap.taken)
		}
	}
	for _, config := range configs {
		for key, drive := range config {
			id := propstring.Volume(drive)
			storage, name, ok := strings.Cut(id, ":")
			if !ok || !propstring.IsDriveKey(g.Kind, key) || s.storageNamed(storage) == nil || s.volumeOf(id, g.Node) != nil || slices.Contains(s.model.Missing, id) {
				continue
			}
			s.addVolume(guestVolume(id, name, drive, g), now.Add(-max(g.Up, time.Hour)))
		}
	}
}

// guestVolume is a volume as far as a drive tells of it.
func guestVolume(id, name, drive string, g *guest) Volume {
	v := Volume{ID: id, Node: g.Node, Content: "images", Format: "raw", Size: propstring.Size(drive), VMID: g.VMID}
	v.Used = v.Size * 2 / 5
	if g.Kind == "lxc" {
		v.Content = "rootdir"
	}
	if dir, file, ok := strings.Cut(name, "/"); ok && (dir == "iso" || dir == "vztmpl") {
		v.Content, v.Format, v.Used, v.VMID = dir, strings.TrimPrefix(path.Ext(file), "."), v.Size, 0
		return v
	}
	switch ext := path.Ext(name); {
	case strings.Contains(v.file(), "vol-"):
		v.Format = "subvol"
	case ext == ".qcow2", ext == ".raw", ext == ".vmdk":
		v.Format = ext[1:]
	}
	if i := strings.LastIndex(name, "/"); i > 0 && strings.Contains(name[:i], "base-") {
		storage, _, _ := strings.Cut(id, ":")
		v.Parent = storage + ":" + strings.TrimSuffix(name[:i], "/"+strconv.Itoa(g.VMID))
	}
	return v
}
