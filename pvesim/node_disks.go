package pvesim

import "fmt"

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

func listVolumeGroups(c *call) (any, error) {
	groups := []any{}
	seen := map[string]bool{}
	for _, st := range c.storagesOf("lvm", "lvmthin") {
		name := st.option("vgname", "pve")
		if seen[name] {
			continue
		}
		seen[name] = true
		free := st.Size - c.bytesUsed(st, c.node.Name)
		groups = append(groups, map[string]any{
			"name": name, "leaf": 0, "size": st.Size, "free": free, "lvcount": len(c.volumesOn(st.ID, c.node.Name)),
			"children": []any{map[string]any{"name": "/dev/nvme0n1p3", "leaf": 1, "size": st.Size, "free": free}},
		})
	}
	return map[string]any{"leaf": 0, "children": groups}, nil
}

func listThinPools(c *call) (any, error) {
	out := []any{}
	for _, st := range c.storagesOf("lvmthin") {
		out = append(out, map[string]any{
			"lv": st.option("thinpool", "data"), "vg": st.option("vgname", "pve"), "lv_size": st.Size, "used": c.bytesUsed(st, c.node.Name),
			"metadata_size": st.Size / 100, "metadata_used": c.bytesUsed(st, c.node.Name) / 1000,
		})
	}
	return out, nil
}

func listZFS(c *call) (any, error) {
	out := []any{}
	for _, st := range c.storagesOf("zfspool") {
		used := c.bytesUsed(st, c.node.Name)
		out = append(out, map[string]any{
			"name": st.option("pool", "rpool/data"), "size": st.Size, "alloc": used, "free": st.Size - used, "frag": 7, "dedup": 1, "health": "ONLINE",
		})
	}
	return out, nil
}

// getSMART tells of the disk that the list of disks has.
func getSMART(c *call) (any, error) {
	disks, err := listDisks(c)
	if err != nil {
		return nil, err
	}
	for _, d := range disks.([]any) {
		disk := d.(map[string]any)
		if disk["devpath"] != c.str("disk") {
			continue
		}
		if c.flag("healthonly") {
			return map[string]any{"health": "PASSED"}, nil
		}
		return map[string]any{
			"health": "PASSED", "type": "text", "wearout": disk["wearout"],
			"text": fmt.Sprintf("\nSMART/Health Information (NVMe Log 0x02)\nCritical Warning: 0x00\nPercentage Used: %d%%\n", 100-disk["wearout"].(int)),
		}, nil
	}
	return nil, die("unable to get disk info for '%s'", c.str("disk"))
}
