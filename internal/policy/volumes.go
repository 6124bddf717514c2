package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Volume is a volume that a configuration names.
type Volume struct {
	Key    string // such as scsi0
	Source string // a volume id, or a path on the node
	Owner  int    // the guest that it belongs to, 0 for none
	Known  bool   // whether Owner is known
	Copied bool   // it is only read
}

// diskKeyRE matches the keys whose values name volumes.
var diskKeyRE = lazyregexp.New(`^(?:(?:ide|sata|scsi|virtio|unused|efidisk|tpmstate|mp)\d+|rootfs|cdrom|vmstate)$`)

// VolumesIn returns the volumes that the value of a key of a configuration names.
func VolumesIn(key, value string) []Volume {
	if !diskKeyRE.MatchString(key) {
		return nil
	}
	var out []Volume
	for part := range strings.SplitSeq(value, ",") {
		name, source, named := strings.Cut(part, "=")
		switch name = strings.TrimSpace(name); {
		case !named:
			source = part
		case name != "file" && name != "volume" && name != "import-from":
			continue
		}
		source = strings.TrimSpace(source)
		owner, known := apischema.VolumeOwner(source)
		out = append(out, Volume{Key: key, Source: source, Owner: owner, Known: known, Copied: name == "import-from"})
	}
	return out
}

// Foreign returns the volumes that belong to another or to an unknown guest.
func Foreign(own int, values map[string][]string) []Volume {
	var out []Volume
	for _, key := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[key] {
			for _, v := range VolumesIn(key, value) {
				if !v.Known || v.Owner != 0 && v.Owner != own {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

// Lend reports whether a request gives the guest volumes of others, and so exposes them to
// later changes. If the name of a volume does not show its owner, it may be anyone's.
func Lend(volumes []Volume) bool {
	return slices.ContainsFunc(volumes, func(v Volume) bool { return v.Known && v.Owner != 0 || !v.Known && !v.Copied })
}

// Owners returns the guests that volumes belong to, each once.
func Owners(volumes []Volume) []int {
	var out []int
	for _, v := range volumes {
		if v.Known && !slices.Contains(out, v.Owner) {
			out = append(out, v.Owner)
		}
	}
	return out
}
