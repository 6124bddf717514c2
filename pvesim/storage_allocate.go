package pvesim

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// imageFile is the name of a disk that is a file.
var imageFile = lazyregexp.New(`^(?:vm-|base-|subvol-)(\d+)-[^/\s]+\.(raw|qcow2|vmdk|subvol)$`)

// allocateVolume makes an empty disk, which belongs to a guest that need not exist.
func allocateVolume(c *call) (any, error) {
	name, format := c.str("filename"), c.str("format")
	if ext := strings.TrimPrefix(path.Ext(name), "."); ext == "raw" || ext == "qcow2" || ext == "vmdk" {
		if format != "" && format != ext {
			return nil, badParam("format", "different storage formats (%s != %s)", format, ext)
		}
		format = ext
	}
	st, err := c.online(c.str("storage"), c.node.Name)
	if err != nil {
		return nil, err
	}
	vmid := c.number("vmid", 0)
	if format == "" {
		format = st.traits().format
	}
	m := imageFile.FindStringSubmatch(name)
	switch {
	case st.traits().files && m == nil:
		return nil, die("unable to parse volume filename '%s'", name)
	case st.traits().files && m[2] != format:
		return nil, die("illegal name '%s' - wrong extension for format ('%s != '%s')", name, m[2], format)
	case !st.traits().files && !strings.HasPrefix(name, fmt.Sprintf("vm-%d-", vmid)):
		return nil, die("illegal name '%s' - should be 'vm-%d-*'", name, vmid)
	}
	digits, shift := strings.TrimRight(c.str("size"), "MG"), uint(10)
	if unit := c.str("size")[len(digits):]; unit != "" {
		shift = sizeUnits[unit[0]]
	}
	kib, _ := strconv.ParseInt(digits, 10, 64)
	id := st.ID + ":" + name
	if st.traits().files {
		id = fmt.Sprintf("%s:%d/%s", st.ID, vmid, name)
	}
	if c.volumeOf(id, c.node.Name) != nil {
		return nil, die("disk image '%s' already exists", named{id: id, storage: st}.path())
	}
	v := Volume{ID: id, Node: c.node.Name, Content: "images", Format: format, Size: kib << shift, VMID: vmid, Blank: true}
	v.Used = v.firstUse(st.traits())
	c.addVolume(v, c.now)
	return id, nil
}
