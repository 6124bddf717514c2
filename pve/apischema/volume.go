package apischema

import (
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var (
	newVolumeRE = lazyregexp.New(`^(?:\d+(?:\.\d+)?|cloudinit)$`)
	// fileRE matches what belongs to no guest: images of CDs, templates, snippets, imports.
	fileRE = lazyregexp.New(`^(?:iso|vztmpl|snippets|import)/.`)
	// folderRE matches a volume in the folder of its guest: 100/vm-100-disk-0.qcow2, and the
	// linked clone 100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2.
	// The private folder of a container is named after it.
	folderRE = lazyregexp.New(`^(?:(?:\d+/[^/]+/)?(\d+)/[^/]+|rootdir/(\d+))$`)
	// blockRE matches a volume that has its guest in its name, and the linked clone
	// base-100-disk-0/vm-101-disk-0, of which PVE takes what is after the last slash.
	blockRE  = lazyregexp.New(`^(?:base(?:vol)?-\d+-.+/)?(?:vm|base|subvol|basevol)-(\d+)-[^/]+$`)
	backupRE = lazyregexp.New(`^backup/(?:vzdump-(?:qemu|lxc|openvz)-(\d+)-[^/]+|(?:vm|ct)/(\d+)/[^/]+)$`)
	// pathRE finds the guest in a path on a node, such as /dev/zvol/rpool/data/vm-100-disk-0,
	// /dev/mapper/pve-vm--100--disk--0 and /var/lib/vz/images/100/disk.raw.
	pathRE = lazyregexp.New(`[/-](?:vm|base|subvol|basevol)--?(\d+)-|/(?:images|private)/(\d+)/|/vzdump-(?:qemu|lxc|openvz)-(\d+)-`)
)

// VolumeOwner returns the guest that a volume belongs to by its name, as PVE's storage
// plugins read it: STORAGE:NAME, NAME alone, or a path on the node. It is 0 for what
// belongs to no guest: a volume that is yet to be made (STORAGE:8), an empty drive, an
// image of a CD. A linked clone belongs to the clone, whose base nobody can change. ok is
// false if the name does not tell.
func VolumeOwner(source string) (vmid int, ok bool) {
	if strings.HasPrefix(source, "/") {
		return pathOwner(source)
	}
	storage, name, hasStorage := strings.Cut(source, ":")
	if !hasStorage || strings.Contains(storage, "/") { // a backup's name has colons, too
		name = source
	}
	switch {
	case name == "" || name == "none" || name == "cdrom" || newVolumeRE.MatchString(name):
		return 0, true
	case hasStep(name):
		return 0, false
	case fileRE.MatchString(name):
		return 0, true
	}
	for _, re := range []*lazyregexp.Regexp{folderRE, blockRE, backupRE} {
		if m := re.FindStringSubmatch(name); m != nil {
			return number(strings.Join(m[1:], ""))
		}
	}
	return 0, false
}

// pathOwner returns the guest that a path names. One that names several, or goes up, tells
// nothing.
func pathOwner(path string) (vmid int, ok bool) {
	for _, m := range pathRE.FindAllStringSubmatch(path, -1) {
		id, isNumber := number(strings.Join(m[1:], ""))
		if !isNumber || ok && id != vmid || hasStep(path) {
			return 0, false
		}
		vmid, ok = id, true
	}
	return vmid, ok
}

func hasStep(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." || part == "." {
			return true
		}
	}
	return false
}

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0
}
