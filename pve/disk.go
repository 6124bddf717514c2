package pve

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

var (
	diskKeys = map[Kind]*lazyregexp.Regexp{
		QEMU: lazyregexp.New(`^(?:(?:ide|sata|scsi|virtio|unused)(?:0|[1-9]\d*)|(?:efidisk|tpmstate)0)$`),
		LXC:  lazyregexp.New(`^(?:rootfs|(?:mp|unused)(?:0|[1-9]\d*))$`),
	}
	nicKeyRE    = lazyregexp.New(`^net(?:0|[1-9]\d*)$`)
	cloudInitRE = lazyregexp.New(`(?:^|/)(?:vm-\d+-)?cloudinit(?:\.\w+)?$`)
)

// IsDiskKey reports whether a key of a guest's configuration is that of a disk: a
// drive of a VM, its EFI or TPM state, a container's root or mount point, or a volume
// that was detached.
func IsDiskKey(kind Kind, key string) bool {
	re := diskKeys[kind]
	return re != nil && re.MatchString(key)
}

// IsNICKey reports whether a key of a guest's configuration is that of a network
// interface.
func IsNICKey(key string) bool { return nicKeyRE.MatchString(key) }

// SourceKey is the default key of a disk's property string.
func SourceKey(kind Kind) string {
	if kind == LXC {
		return "volume"
	}
	return "file"
}

// Disk is what a guest's configuration says of a disk.
type Disk struct {
	Key    string // such as scsi0
	Bus    string // the key without its number; unused for a volume that was detached
	Source string // a volume id, a path on the node, none, or cdrom, which is the node's own drive
	Volume VolID  // the source, if it is a volume id
	// Size is in bytes, and as old as the last look at it: of a disk that was resized
	// by other means than PVE it is wrong.
	Size      lenient.Opt[int64]
	Media     string // cdrom or disk; "" is disk
	Format    string // such as qcow2
	Cache     string
	Discard   string // on or ignore
	SSD       lenient.Opt[bool]
	IOThread  lenient.Opt[bool]
	Backup    lenient.Opt[bool] // absent: a VM's disk is backed up, a container's mount point is not
	Replicate lenient.Opt[bool]
	ReadOnly  lenient.Opt[bool]
	Mount     string // where a container has it
	EFIType   string // of an EFI disk: 2m or 4m
	// Rest are the options that have no field here, and those whose value is odd.
	Rest Property
}

// DiskOf reads the value of a disk's key.
func DiskOf(kind Kind, key, value string) Disk {
	p := ParseProperty(value, SourceKey(kind))
	d := Disk{Key: key, Bus: strings.TrimRight(key, "0123456789")}
	for _, name := range []string{"file", "volume"} { // of a VM's disk, either
		if d.Source == "" {
			d.Source = p.takeText(name)
		}
	}
	if id, err := ParseVolID(d.Source); err == nil {
		d.Volume = id
	}
	d.Size = take(&p, "size", ParseSize)
	d.Media = p.takeText("media")
	d.Format = p.takeText("format")
	d.Cache = p.takeText("cache")
	d.Discard = p.takeText("discard")
	d.SSD = p.takeFlag("ssd")
	d.IOThread = p.takeFlag("iothread")
	d.Backup = p.takeFlag("backup")
	d.Replicate = p.takeFlag("replicate")
	d.ReadOnly = p.takeFlag("ro")
	if d.Bus == "efidisk" {
		d.EFIType = p.takeText("efitype")
	}
	if kind == LXC {
		d.Mount = p.takeText("mp")
	}
	d.Rest = p
	return d
}

// Owner returns the guest that the volume belongs to by its name, 0 if it belongs to
// none. ok is false if the name does not tell.
func (d Disk) Owner() (id VMID, ok bool) {
	owner, ok := apischema.VolumeOwner(d.Source)
	return VMID(owner), ok
}

// IsCDROM reports whether a VM sees a CD drive, which may be empty.
func (d Disk) IsCDROM() bool { return d.Media == "cdrom" || d.Source == "none" || d.Source == "cdrom" }

// IsCloudInit reports whether the disk is the drive that PVE makes for cloud-init.
func (d Disk) IsCloudInit() bool { return cloudInitRE.MatchString(d.Volume.Name) }

var sizeRE = lazyregexp.New(`^(\d+)(\.\d+)?([KMGT]?)$`)

// units are those of PVE::JSONSchema's parse_size; plain numbers are bytes.
const units = "KMGT"

// ParseSize reads a size as PVE writes it, such as 32G, in bytes.
func ParseSize(s string) (int64, error) {
	m := sizeRE.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a size, such as 32G or 512M", s)
	}
	shift := 0
	if m[3] != "" {
		shift = 10 * (1 + strings.Index(units, m[3]))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("the size %q is over %d bytes", s, int64(math.MaxInt64))
	}
	n <<= shift
	if m[2] != "" {
		fraction, err := strconv.ParseFloat("0"+m[2], 64)
		if err != nil {
			return 0, err
		}
		n += int64(fraction * float64(int64(1)<<shift))
	}
	return n, nil
}

// FormatSize writes bytes, 0 or more, as PVE does: in the largest unit that leaves a
// whole number.
func FormatSize(bytes int64) string {
	unit := ""
	for i := 0; i < len(units) && bytes > 0 && bytes%1024 == 0; i++ {
		bytes /= 1024
		unit = units[i : i+1]
	}
	return strconv.FormatInt(bytes, 10) + unit
}
