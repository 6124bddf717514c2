package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var (
	qemuDrive = lazyregexp.New(`^(?:(?:ide|sata|scsi|virtio|unused)\d+|efidisk0|tpmstate0)$`)
	lxcDrive  = lazyregexp.New(`^(?:rootfs|(?:mp|unused)\d+)$`)
)

// isDrive reports whether a key of a guest's configuration names a volume.
func isDrive(kind, key string) bool {
	if kind == "lxc" {
		return lxcDrive.MatchString(key)
	}
	return qemuDrive.MatchString(key)
}

// prop returns the value of a key of a property string. The part without a key is
// that of "".
func prop(s, key string) string {
	for part := range strings.SplitSeq(s, ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok {
			k, v = "", part
		}
		if k == key {
			return v
		}
	}
	return ""
}

// withProp returns a property string in which a key has a value; "" removes it.
func withProp(s, key, value string) string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		if k, _, ok := strings.Cut(part, "="); part != "" && (!ok || k != key) {
			parts = append(parts, part)
		}
	}
	if value != "" {
		parts = append(parts, key+"="+value)
	}
	return strings.Join(parts, ",")
}

// volumeIn returns the volume that a drive names: an id, none, cdrom, or a path.
func volumeIn(drive string) string {
	first, rest, _ := strings.Cut(drive, ",")
	key, value, ok := strings.Cut(first, "=")
	switch {
	case !ok:
		return first
	case key == "file" || key == "volume":
		return value
	case rest != "":
		return volumeIn(rest)
	}
	return ""
}

// withVolume returns the drive with another volume.
func withVolume(drive, volid string) string {
	old := volumeIn(drive)
	return strings.Replace(drive, old, volid, 1)
}

func isCDROM(drive string) bool { return prop(drive, "media") == "cdrom" || volumeIn(drive) == "cdrom" }

// isCloudInit reports whether a drive holds a cloud-init image.
func isCloudInit(drive string) bool { return strings.Contains(volumeIn(drive), "-cloudinit") }

// sizeText writes a size as drives have it: in the largest unit that is exact.
func sizeText(bytes int64) string {
	for _, unit := range []string{"", "K", "M", "G"} {
		if bytes%1024 != 0 || bytes == 0 {
			return fmt.Sprint(bytes, unit)
		}
		bytes /= 1024
	}
	return fmt.Sprint(bytes, "T")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
