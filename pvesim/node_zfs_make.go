package pvesim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// disksNeeded is how many disks a RAID level of ZFS needs, and disksLost how many of them hold
// no data of their own.
var (
	disksNeeded = map[string]int{"single": 1, "mirror": 2, "raid10": 4, "raidz": 3, "raidz2": 4, "raidz3": 5, "draid": 3, "draid2": 4, "draid3": 5}
	disksLost   = map[string]int{"raidz": 1, "raidz2": 2, "raidz3": 3, "draid": 1, "draid2": 2, "draid3": 3}
)

// createZFS makes a pool of disks, and a storage on it.
func createZFS(c *call) (any, error) {
	name, raid := c.str("name"), c.str("raidlevel")
	if c.params["draid-config"] != nil && !strings.HasPrefix(raid, "draid") {
		return nil, die("draid-config set without using dRAID level")
	}
	disks, err := c.devicesOf()
	if err != nil {
		return nil, err
	}
	pool := poolOf(name, raid, disks)
	storage := Storage{ID: name, Type: "zfspool", Content: "rootdir,images", Size: pool.Size, Options: map[string]string{"pool": name}}
	if err := c.mayAddStorage(storage, "pool"); err != nil {
		return nil, err
	}
	pools, _, err := c.zpools()
	switch {
	case err != nil:
		return nil, err
	case slices.ContainsFunc(pools, func(p ZPool) bool { return p.Name == name }):
		return nil, die("pool '%s' already exists on node '%s'", name, c.node.Name)
	}
	if err := c.tooFewDisks(raid, len(disks)); err != nil {
		return nil, err
	}
	args := []string{"# /sbin/zpool create -o ashift=" + strconv.Itoa(c.number("ashift", 12)) + " " + name}
	if raid != "single" && raid != "raid10" {
		args = append(args, raid)
	}
	for i, d := range pool.Devices {
		if raid == "raid10" && i%2 == 0 {
			args = append(args, "mirror")
		}
		args = append(args, d.Name)
	}
	compression := c.str("compression")
	if compression == "" {
		compression = "on"
	}
	log := []string{strings.Join(args, " "), "# /sbin/zfs set compression=" + compression + " " + name, "# systemctl enable zfs-import@" + name + ".service"}
	return c.diskTask("zfscreate", name, log, func() {
		for _, d := range disks {
			if used, err := c.diskAt(d.Path); err == nil {
				used.Used = "ZFS"
			}
		}
		c.node.Pools = append(slices.Clone(c.node.Pools), pool)
		c.addStorage(storage)
	})
}

// tooFewDisks refuses a number of disks that does not suit a RAID level.
func (c *call) tooFewDisks(raid string, n int) error {
	switch {
	case raid == "raid10" && n%2 != 0:
		return die("raid10 needs an even number of disks")
	case raid == "single" && n > 1:
		return die("please give only one disk for single disk mode")
	case n < disksNeeded[raid]:
		return die("%s needs at least %d disks", raid, disksNeeded[raid])
	}
	if !strings.HasPrefix(raid, "draid") {
		return nil
	}
	least := disksNeeded[raid] - 2
	for _, key := range []string{"data", "spares"} {
		more, _ := strconv.Atoi(propstring.Get(c.str("draid-config"), key))
		least += more
	}
	if n < least {
		return die("At least %d disks needed for current dRAID config", least)
	}
	return nil
}

// poolOf is a pool of disks.
func poolOf(name, raid string, disks []Disk) ZPool {
	p := ZPool{Name: name, Raid: raid, NeverScrubbed: true}
	var smallest int64
	for i, d := range disks {
		p.Devices = append(p.Devices, ZDevice{Name: d.byID()})
		if i == 0 || d.Size < smallest {
			smallest = d.Size
		}
	}
	data := len(disks) - disksLost[raid]
	switch raid {
	case "mirror":
		data = 1
	case "raid10":
		data = len(disks) / 2
	}
	p.Size = smallest * int64(data)
	return p
}

// deleteZFS destroys a pool that was made and that no running guest uses.
func deleteZFS(c *call) (any, error) {
	name := c.str("name")
	i := slices.IndexFunc(c.node.Pools, func(p ZPool) bool { return p.Name == name })
	if i < 0 || c.poolIsBusy(name) {
		words := "command 'zpool destroy %s' failed: exit code 1"
		if i < 0 && c.flag("cleanup-disks") {
			words = "command 'zpool list -vHPL %s' failed: exit code 1"
		}
		return c.failingTask("zfsremove", name, die(words, name))
	}
	var devices []string
	for _, d := range c.node.Pools[i].Devices {
		devices = append(devices, d.Name)
	}
	return c.diskTask("zfsremove", name, nil, func() {
		c.node.Pools = slices.DeleteFunc(slices.Clone(c.node.Pools), func(p ZPool) bool { return p.Name == name })
		c.freeDisks("partitions", devices...)
		c.dropStorages(func(st *Storage) bool { return st.Type == "zfspool" && st.zpool() == name },
			fmt.Sprintf("could not activate storage '%%s', zfs error: cannot import '%s': %s available", name, noSuchPool))
	})
}

// poolIsBusy reports whether a running guest of the node has a volume in a pool.
func (c *call) poolIsBusy(name string) bool {
	for _, g := range c.guests {
		if g.Node != c.node.Name || !g.now.running {
			continue
		}
		for _, key := range diskKeys(g.Kind, g.Config) {
			storage, _, _ := strings.Cut(propstring.Volume(g.Config[key]), ":")
			if st := c.storageNamed(storage); st != nil && st.Type == "zfspool" && st.zpool() == name {
				return true
			}
		}
	}
	return false
}
