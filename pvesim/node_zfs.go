package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// No recorded node has ZFS: the fields are those that PVE's Disks/ZFS.pm makes of the words
// of zpool.

// zpools are the node's ZFS pools, by the storage on each; nil for those that no storage
// uses.
func (c *call) zpools() (pools []ZPool, on map[string]*Storage, err error) {
	if c.node.Contained {
		return nil, nil, die("zfsutils-linux not installed")
	}
	on, pools = map[string]*Storage{}, slices.Clone(c.node.Pools)
	for _, st := range c.storagesOf("zfspool") {
		name := st.zpool()
		if strings.Contains(st.broken(c.node.Name), noSuchPool) {
			continue
		}
		if !slices.ContainsFunc(pools, func(p ZPool) bool { return p.Name == name }) {
			pools = append(pools, ZPool{Name: name})
		}
		if on[name] == nil {
			on[name] = st
		}
	}
	return pools, on, nil
}

func listZFS(c *call) (any, error) {
	pools, on, err := c.zpools()
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, p := range pools {
		size, used := cmp.Or(p.Size, 100*gib), 10*gib
		if p.Size > 0 {
			used = 1 << 20
		}
		if st := on[p.Name]; st != nil {
			size, used = st.size(c.node.Name), c.bytesUsed(st, c.node.Name)
		}
		out = append(out, map[string]any{
			"name": p.Name, "size": size, "alloc": used, "free": size - used, "frag": cmp.Or(p.Frag, 7), "dedup": 1, "health": p.state(),
		})
	}
	return out, nil
}

func getZFS(c *call) (any, error) {
	pools, _, err := c.zpools()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(pools, func(p ZPool) bool { return p.Name == c.str("name") })
	if i < 0 {
		return nil, die("command 'zpool status -P %s' failed: exit code 1", c.str("name"))
	}
	p := pools[i]
	out := map[string]any{"name": p.Name, "state": p.state(), "errors": cmp.Or(p.Errors, "No known data errors"), "leaf": 0}
	status, action := p.words()
	for key, text := range map[string]string{"status": status, "action": action, "scan": c.scanned(p)} {
		if text != "" {
			out[key] = text
		}
	}
	devices := []any{}
	for _, d := range p.devices() {
		device := vdev(d.Name, cmp.Or(d.State, "ONLINE"), d.Message)
		device["read"], device["write"], device["cksum"], device["leaf"] = d.Read, d.Write, d.Checksum, 1
		devices = append(devices, device)
	}
	top := vdev(p.Name, p.state(), "")
	top["children"] = p.combined(devices)
	out["children"] = []any{top}
	return out, nil
}

// combined are the pool's devices as its RAID level combines them.
func (p ZPool) combined(devices []any) []any {
	switch {
	case p.Raid == "single":
		return devices
	case p.Raid == "raid10":
		var mirrors []any
		for pair := range slices.Chunk(devices, 2) {
			mirror := vdev(fmt.Sprintf("mirror-%d", len(mirrors)), p.state(), "")
			mirror["children"] = pair
			mirrors = append(mirrors, mirror)
		}
		return mirrors
	}
	name := cmp.Or(p.Raid, "mirror")
	if name == "raidz" {
		name = "raidz1"
	}
	group := vdev(name+"-0", p.state(), "")
	group["children"] = devices
	return []any{group}
}

// zpool is the ZFS pool that a storage is on.
func (st *Storage) zpool() string {
	name, _, _ := strings.Cut(st.option("pool", "rpool/data"), "/")
	return name
}

// noSuchPool is what zpool says of a pool that is not there.
const noSuchPool = "no such pool"

// vdev is a line of a pool's configuration.
func vdev(name, state, message string) map[string]any {
	return map[string]any{"name": name, "state": state, "msg": message, "read": 0, "write": 0, "cksum": 0, "leaf": 0}
}

func (p ZPool) state() string { return cmp.Or(p.State, "ONLINE") }

func (p ZPool) devices() []ZDevice {
	if p.Devices != nil {
		return p.Devices
	}
	second := ZDevice{Name: "/dev/disk/by-id/ata-second-part3"}
	if p.State != "" {
		second.State, second.Message = "UNAVAIL", "cannot open"
	}
	return []ZDevice{{Name: "/dev/disk/by-id/ata-first-part3"}, second}
}

// words are what zpool says of a pool and of what to do.
func (p ZPool) words() (status, action string) {
	switch {
	case p.State == "DEGRADED":
		status = "One or more devices could not be opened.  Sufficient replicas exist for the pool to continue functioning in a degraded state."
		action = "Attach the missing device and online it using 'zpool online'."
	case p.State != "":
		status = "One or more devices are faulted in response to IO failures."
		action = "Make sure the affected devices are connected, then run 'zpool clear'."
	case p.Errors != "" || p.ScrubErrors > 0:
		status = "One or more devices has experienced an error resulting in data corruption.  Applications may be affected."
		action = "Restore the file in question if possible.  Otherwise restore the entire pool from backup."
	}
	return cmp.Or(p.Status, status), cmp.Or(p.Action, action)
}

// scanned is the line about the last scrub.
func (c *call) scanned(p ZPool) string {
	if p.NeverScrubbed {
		return ""
	}
	at := c.built.Add(-p.Scrubbed).UTC()
	if p.Scrubbed == 0 { // Debian's cron job scrubs at night on a Sunday
		at = at.Truncate(day).AddDate(0, 0, -int(at.Weekday())).Add(36 * time.Minute)
	}
	return fmt.Sprintf("scrub repaired 0B in 00:12:07 with %d errors on %s", p.ScrubErrors, at.Format("Mon Jan _2 15:04:05 2006"))
}
