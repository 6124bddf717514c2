// Package propstring reads and changes PVE's property strings, such as the drive
// local-lvm:vm-100-disk-0,size=8G.
package propstring

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var (
	qemuDrive = lazyregexp.New(`^(?:(?:ide|sata|scsi|virtio|unused)\d+|efidisk0|tpmstate0)$`)
	lxcDrive  = lazyregexp.New(`^(?:rootfs|(?:mp|unused)\d+)$`)
)

// IsDriveKey reports whether a key of a guest's configuration names a volume.
func IsDriveKey(kind, key string) bool {
	if kind == "lxc" {
		return lxcDrive.MatchString(key)
	}
	return qemuDrive.MatchString(key)
}

// Get returns the value of a key, "" if it is not there. The part without a key has the
// key "".
func Get(s, key string) string {
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

// Set returns the property string in which a key has a value, in its place if it was there;
// "" removes the key.
func Set(s, key, value string) string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		switch k, _, ok := strings.Cut(part, "="); {
		case part == "":
		case !ok || k != key:
			parts = append(parts, part)
		case value != "":
			parts, value = append(parts, key+"="+value), ""
		}
	}
	if value != "" {
		parts = append(parts, key+"="+value)
	}
	return strings.Join(parts, ",")
}

// Volume returns the volume that a drive names: an id, none, cdrom, or a path.
func Volume(drive string) string {
	first, rest, _ := strings.Cut(drive, ",")
	key, value, ok := strings.Cut(first, "=")
	switch {
	case !ok:
		return first
	case key == "file" || key == "volume":
		return value
	case rest != "":
		return Volume(rest)
	}
	return ""
}

// SetVolume returns the drive with another volume.
func SetVolume(drive, volid string) string {
	old := Volume(drive)
	return strings.Replace(drive, old, volid, 1)
}

// IsCDROM reports whether a drive is for CDs.
func IsCDROM(drive string) bool { return Get(drive, "media") == "cdrom" || Volume(drive) == "cdrom" }

// IsCloudInit reports whether a drive holds a cloud-init image.
func IsCloudInit(drive string) bool { return strings.Contains(Volume(drive), "-cloudinit") }

// FormatSize writes a size as drives have it: in the largest unit that is exact.
func FormatSize(bytes int64) string {
	for _, unit := range []string{"", "K", "M", "G"} {
		if bytes%1024 != 0 || bytes == 0 {
			return fmt.Sprint(bytes, unit)
		}
		bytes /= 1024
	}
	return fmt.Sprint(bytes, "T")
}

// Size returns the size that a drive has in its property string, in bytes.
func Size(drive string) int64 {
	for part := range strings.SplitSeq(drive, ",") {
		size, ok := strings.CutPrefix(part, "size=")
		if !ok || size == "" {
			continue
		}
		shift := map[byte]uint{'K': 10, 'M': 20, 'G': 30, 'T': 40}[size[len(size)-1]]
		n, _ := strconv.ParseFloat(strings.TrimRight(size, "KMGT"), 64)
		return int64(n * float64(uint64(1)<<shift))
	}
	return 0
}
