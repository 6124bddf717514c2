package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What a node's disks hold follows from the storages: a volume group, thin pool or ZFS
// pool for each storage of that type.

// storagesOf are the storages of a type that the node has.
func (c *call) storagesOf(types ...string) []*Storage {
	var out []*Storage
	for i := range c.storages {
		st := &c.storages[i]
		for _, typ := range types {
			if st.Type == typ && st.on(c.node.Name) && !c.node.Contained {
				out = append(out, st)
			}
		}
	}
	return out
}

// option is an option of a storage, or what it usually is.
func (st *Storage) option(key, usual string) string {
	if v := st.Options[key]; v != "" {
		return v
	}
	return usual
}

// sizeOf is the size of a disk of the node.
func (c *call) sizeOf(path string) int64 {
	for _, d := range c.disks(c.node) {
		if d.Path == path {
			return d.Size
		}
	}
	return 0
}

// disks are those of a node, with what their model leaves open.
func (c *call) disks(n *node) []Disk {
	if n.Disks == nil && !n.Contained {
		return []Disk{{
			Path: "/dev/nvme0n1", Type: "nvme", Model: "SAMSUNG MZVL2512HCJQ", Size: n.Disk, Used: "BIOS boot",
			Serial: fmt.Sprintf("S%X", hash(c.model.Seed, n.Name, "disk")), Wear: int(hash(c.model.Seed, n.Name, "wear") % 10),
		}}
	}
	out := slices.Clone(n.Disks)
	for i := range out {
		d := &out[i]
		kind := "hdd"
		if strings.HasPrefix(d.Path, "/dev/nvme") {
			kind = "nvme"
		}
		d.Type, d.Model = cmp.Or(d.Type, kind), cmp.Or(d.Model, "WDC WD40EFRX-68N32N0")
		d.Size, d.Serial = cmp.Or(d.Size, 4000*gib), cmp.Or(d.Serial, fmt.Sprintf("S%X", hash(c.model.Seed, n.Name, d.Path)))
	}
	return out
}

func listDisks(c *call) (any, error) {
	out := []any{}
	for _, d := range c.disks(c.node) {
		if c.str("type") == "unused" && d.Used != "" {
			continue
		}
		item := map[string]any{
			"devpath": d.Path, "size": d.Size, "type": d.Type, "rpm": 0, "model": d.Model, "vendor": "unknown", "serial": d.Serial, "wwn": "unknown",
			"gpt": 1, "osdid": -1, "osdid-list": nil, "health": d.health(), "wearout": "N/A",
		}
		if d.Type != "unknown" { // a virtual one has no name
			item["by_id_link"] = d.byID()
		}
		if d.Used == "mounted" {
			item["mounted"] = 1
		}
		switch {
		case d.Type == "hdd":
			item["rpm"] = 5400
		case !d.NoSMART:
			item["wearout"] = max(100-d.Wear, 0)
		}
		if d.Used != "" {
			item["used"] = d.Used
		}
		if c.flag("skipsmart") {
			item["health"], item["wearout"] = "UNKNOWN", "N/A"
		}
		out = append(out, item)
	}
	return out, nil
}

func listVolumeGroups(c *call) (any, error) {
	groups := []any{}
	seen := map[string]bool{}
	for _, st := range c.storagesOf("lvm", "lvmthin") {
		name := st.option("vgname", "pve")
		if seen[name] {
			continue
		}
		seen[name] = true
		size, free := st.size(c.node.Name), c.bytesFree(st, c.node.Name)
		if st.Type == "lvmthin" { // beside the pool, 16 GiB are free
			size, free = size+16*gib, 16*gib
		}
		groups = append(groups, map[string]any{
			"name": name, "leaf": 0, "size": size, "free": free, "lvcount": len(c.volumesOn(st.ID, c.node.Name)),
			"children": []any{map[string]any{"name": "/dev/nvme0n1p3", "leaf": 1, "size": size, "free": free}},
		})
	}
	for _, set := range c.node.Sets {
		if seen[set.Name] || set.Kind == "directory" {
			continue
		}
		size, free, lvs := c.sizeOf(set.Device), c.sizeOf(set.Device), 0
		if set.Kind == "lvmthin" {
			free, lvs = 128<<20, 1
		}
		groups = append(groups, map[string]any{
			"name": set.Name, "leaf": 0, "size": size, "free": free, "lvcount": lvs,
			"children": []any{map[string]any{"name": set.Device, "leaf": 1, "size": size, "free": free}},
		})
	}
	return map[string]any{"leaf": 0, "children": groups}, nil
}

func listThinPools(c *call) (any, error) {
	out := []any{}
	for _, st := range c.storagesOf("lvmthin") {
		metadata := st.size(c.node.Name) / 100
		used, ok := st.MetadataOn[c.node.Name]
		if !ok {
			used = float64(c.bytesUsed(st, c.node.Name)) / 1000 / float64(max(metadata, 1))
		}
		out = append(out, map[string]any{
			"lv": st.option("thinpool", "data"), "vg": st.option("vgname", "pve"), "lv_size": st.size(c.node.Name), "used": c.bytesUsed(st, c.node.Name),
			"metadata_size": metadata, "metadata_used": int64(used * float64(metadata)),
		})
	}
	for _, set := range c.node.Sets {
		if set.Kind == "lvmthin" && !slices.ContainsFunc(out, func(pool any) bool { return pool.(map[string]any)["vg"] == set.Name }) {
			size := c.sizeOf(set.Device) - 128<<20
			out = append(out, map[string]any{"lv": set.Name, "vg": set.Name, "lv_size": size, "used": 0, "metadata_size": size / 100, "metadata_used": size / 10000})
		}
	}
	return out, nil
}
