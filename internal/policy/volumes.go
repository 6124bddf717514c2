package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Volume is one that a configuration names.
type Volume struct {
	Key    string // such as scsi0
	Source string // a volume id, or a path on the node
	Owner  int    // the guest that it belongs to, 0 where it belongs to none
	Known  bool   // that Owner is
	Copied bool   // it is only read
}

// diskKeyRE matches the keys whose values name volumes.
var diskKeyRE = lazyregexp.New(`^(?:(?:ide|sata|scsi|virtio|unused|efidisk|tpmstate|mp)\d+|rootfs|cdrom|vmstate)$`)

// VolumesIn are the volumes that the value of a key of a configuration names.
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

// Foreign are the volumes among values that are not the guest's own, nor nobody's.
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

// Lend reports whether a request that names volumes of others lends them, with what is done
// to them from then on. Where their names do not tell whose they are, they may be anybody's.
func Lend(volumes []Volume) bool {
	return slices.ContainsFunc(volumes, func(v Volume) bool { return v.Known && v.Owner != 0 || !v.Known && !v.Copied })
}

// Owners are the guests that volumes belong to, each once.
func Owners(volumes []Volume) []int {
	var out []int
	for _, v := range volumes {
		if v.Known && !slices.Contains(out, v.Owner) {
			out = append(out, v.Owner)
		}
	}
	return out
}
