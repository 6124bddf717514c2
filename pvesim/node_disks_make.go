package pvesim

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// What is made of a node's disks. No recorded node has any: it follows PVE's Disks modules.

// unusedDisk returns a disk that nothing is on.
func (c *call) unusedDisk(dev string) (*Disk, error) {
	d, err := c.diskAt(dev)
	if err == nil && d.Used != "" {
		err = die("device '%s' is already in use", d.Path)
	}
	return d, err
}

// diskAt returns a disk of the node, which can be changed then.
func (c *call) diskAt(dev string) (*Disk, error) {
	if !strings.HasPrefix(dev, "/dev/") {
		return nil, die("got unusual device path '%s'", dev)
	}
	c.node.Disks = c.disks(c.node)
	i := slices.IndexFunc(c.node.Disks, func(d Disk) bool { return d.Path == dev || d.byID() == dev })
	if i < 0 {
		return nil, die("not a valid block device")
	}
	return &c.node.Disks[i], nil
}

// byID is the name of a disk that does not change from boot to boot.
func (d Disk) byID() string { return "/dev/disk/by-id/" + d.Type + "-" + d.Serial }

// diskTask starts the task that makes something of disks, or unmakes it.
func (c *call) diskTask(typ, id string, log []string, do func()) (any, error) {
	return c.fork(c.now, c.node, c.caller.User, typ, id, 0, func(now time.Time) outcome {
		j := &journal{began: now}
		for _, line := range log {
			j.say("%s", line)
		}
		j.pass(2 * time.Second)
		return j.done(func(time.Time) { do() })
	}), nil
}

// failingTask starts a task that fails.
func (c *call) failingTask(typ, id string, why error) (any, error) {
	return c.fork(c.now, c.node, c.caller.User, typ, id, 0, func(time.Time) outcome { return failedBy(why) }), nil
}

// mayAddStorage checks the storage that is to be made with what is made of disks: a new one, or
// the same one on other nodes.
func (c *call) mayAddStorage(want Storage, key string) error {
	if !c.flag("add_storage") {
		return nil
	}
	if err := c.caller.Require("/storage", "Datastore.Allocate"); err != nil {
		return err
	}
	have := c.storageNamed(want.ID)
	if have == nil {
		return nil
	}
	if have.on(c.node.Name) {
		return die("Storage ID '%s' already exists on node %s", want.ID, c.node.Name)
	}
	if have.Type != want.Type {
		return die("Option 'type' (%s) does not match existing storage configuration '%s'", want.Type, have.Type)
	}
	if is, should := have.key(key), want.key(key); is != should {
		return die("Option '%s' (%s) does not match existing storage configuration '%s'", key, should, is)
	}
	return nil
}

// key is an option of a storage that tells where it is.
func (st *Storage) key(name string) string {
	if name == "path" {
		return st.Path
	}
	return st.Options[name]
}

// addStorage makes a storage on what was made of disks, or lets the node have it as well.
func (c *call) addStorage(want Storage) {
	if !c.flag("add_storage") {
		return
	}
	node := c.node.Name
	if have := c.storageNamed(want.ID); have != nil {
		have.Nodes = append(slices.Clone(have.Nodes), node)
		slices.Sort(have.Nodes)
		sizes := map[string]int64{node: want.Size}
		for name, size := range have.SizeOn {
			sizes[name] = size
		}
		have.SizeOn = sizes
		return
	}
	want.Nodes = []string{node}
	c.storages = append(c.storages, want)
}

// dropStorages lets the node no longer have the storages that were on what is gone: for good if
// the call says so, and else they are broken.
func (c *call) dropStorages(was func(*Storage) bool, why string) {
	node := c.node.Name
	for i := range c.storages {
		st := &c.storages[i]
		if !was(st) || !st.on(node) {
			continue
		}
		for _, v := range slices.Clone(c.volumesOn(st.ID, node)) {
			c.removeVolume(v)
		}
		if !c.flag("cleanup-config") {
			broken := map[string]string{node: fmt.Sprintf(why, st.ID)}
			for name, reason := range st.BrokenOn {
				broken[name] = reason
			}
			st.BrokenOn = broken
			continue
		}
		if st.Nodes == nil {
			for _, n := range c.nodes {
				st.Nodes = append(st.Nodes, n.Name)
			}
		}
		st.Nodes = without(slices.Clone(st.Nodes), node)
	}
	if c.flag("cleanup-config") {
		c.storages = slices.DeleteFunc(c.storages, func(st Storage) bool { return was(&st) && len(st.Nodes) == 0 })
	}
}

// mayCleanUp wants the right to storages if they are to go as well.
func mayCleanUp(c *call) error {
	if !c.flag("cleanup-config") {
		return nil
	}
	return c.caller.Require("/storage", "Datastore.Allocate")
}

// freeDisks wipes disks if the call says so, and marks them as used for something else if not.
func (c *call) freeDisks(left string, devices ...string) {
	if c.flag("cleanup-disks") {
		left = ""
	}
	for _, dev := range devices {
		if d, err := c.diskAt(dev); err == nil {
			d.Used = left
		}
	}
}

// makeSet makes a volume group, a thin pool or a directory of a disk.
func makeSet(kind string) handler {
	typ := map[string]string{"lvm": "lvmcreate", "lvmthin": "lvmthincreate", "directory": "dircreate"}[kind]
	return func(c *call) (any, error) {
		d, err := c.unusedDisk(c.str("device"))
		if err != nil {
			return nil, err
		}
		set := DiskSet{Kind: kind, Name: c.str("name"), Device: d.Path}
		want := Storage{ID: set.Name, Type: kind, Content: "rootdir,images", Size: d.Size, Options: map[string]string{"vgname": set.Name}}
		key, used, log := "vgname", "LVM", []string{fmt.Sprintf("  Physical volume %q successfully created.", d.Path), fmt.Sprintf("  Volume group %q successfully created", set.Name)}
		switch kind {
		case "lvmthin":
			want.Options["thinpool"] = set.Name
			log = append(log, fmt.Sprintf("  Logical volume %q created.", set.Name))
		case "directory":
			set.FileSystem = c.str("filesystem")
			if set.FileSystem == "" {
				set.FileSystem = "ext4"
			}
			want = Storage{ID: set.Name, Type: "dir", Content: "rootdir,images,iso,backup,vztmpl,snippets", Size: d.Size, Path: "/mnt/pve/" + set.Name, Options: map[string]string{"is_mountpoint": "1"}}
			key, used, log = "path", "mounted", []string{"# /sbin/sgdisk -n1 -t1:8300 " + d.Path, fmt.Sprintf("# /sbin/mkfs -t %s %s1", set.FileSystem, d.Path)}
		}
		if err := c.mayAddStorage(want, key); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(c.node.Sets, func(s DiskSet) bool { return s.Name == set.Name && (s.Kind == "directory") == (kind == "directory") }) {
			if kind == "directory" {
				return nil, die("the path for '%s' is already mounted: /mnt/pve/%s (%s1)", set.Name, set.Name, d.Path)
			}
			return c.failingTask(typ, set.Name, die("volume group with name '%s' already exists on node '%s'", set.Name, c.node.Name))
		}
		return c.diskTask(typ, set.Name, log, func() {
			if d, err := c.diskAt(set.Device); err == nil {
				d.Used = used
			}
			c.node.Sets = append(slices.Clone(c.node.Sets), set)
			c.addStorage(want)
		})
	}
}

// unmakeSet removes what was made of a disk.
func unmakeSet(kind string) handler {
	typ := map[string]string{"lvm": "lvmremove", "lvmthin": "lvmthinremove", "directory": "dirremove"}[kind]
	return func(c *call) (any, error) {
		name, id := c.str("name"), c.str("name")
		missing := die("no such volume group '%s'", name)
		switch kind {
		case "lvmthin":
			id = c.str("volume-group") + "-" + name
			missing = die("no such thin pool %s/%s", c.str("volume-group"), name)
		case "directory":
			missing = die("command 'systemctl stop mnt-pve-%s.mount' failed: exit code 5", strings.ReplaceAll(name, "-", `\x2d`))
		}
		i := slices.IndexFunc(c.node.Sets, func(s DiskSet) bool {
			return s.Name == name && s.Kind == kind && (kind != "lvmthin" || c.str("volume-group") == s.Name)
		})
		if i < 0 {
			return c.failingTask(typ, id, missing)
		}
		set := c.node.Sets[i]
		return c.diskTask(typ, id, nil, func() {
			c.node.Sets = slices.DeleteFunc(slices.Clone(c.node.Sets), func(s DiskSet) bool { return s == set })
			if kind == "lvmthin" && !c.flag("cleanup-disks") { // the group stays
				set.Kind = "lvm"
				c.node.Sets = append(c.node.Sets, set)
			}
			c.freeDisks(map[string]string{"lvm": "partitions", "lvmthin": "LVM", "directory": "partitions"}[kind], set.Device)
			c.dropStorages(func(st *Storage) bool {
				if kind == "directory" {
					return st.Type == "dir" && st.Path == "/mnt/pve/"+name
				}
				return st.Type == kind && st.Options["vgname"] == set.Name
			}, "storage '%s' is not online")
		})
	}
}

// listMountedDisks lists the directories that were made of disks.
func listMountedDisks(c *call) (any, error) {
	out := []any{}
	for _, set := range c.node.Sets {
		if set.Kind != "directory" {
			continue
		}
		out = append(out, map[string]any{
			"unitfile": "/etc/systemd/system/mnt-pve-" + strings.ReplaceAll(set.Name, "-", `\x2d`) + ".mount", "path": "/mnt/pve/" + set.Name,
			"device": fmt.Sprintf("/dev/disk/by-uuid/%08x", hash(set.Device, set.Name)), "type": set.FileSystem, "options": "defaults",
		})
	}
	return out, nil
}

// initDisk writes a partition table on a disk.
func initDisk(c *call) (any, error) {
	d, err := c.diskAt(c.str("disk"))
	if err != nil {
		return nil, err
	}
	if d.Used != "" {
		return nil, die("disk %s already in use", d.Path)
	}
	return c.diskTask("diskinit", path.Base(d.Path), []string{"The operation has completed successfully."}, func() {})
}

// wipeDisk makes a disk empty that nothing has open.
func wipeDisk(c *call) (any, error) {
	d, err := c.diskAt(c.str("disk"))
	switch {
	case err != nil:
		return nil, err
	case d.Used == "mounted":
		return nil, die("disk/partition '%s' is mounted", d.Path)
	case d.Used == "LVM":
		return nil, die("disk/partition '%s' has a holder", d.Path)
	case d.Used == "BIOS boot" || d.Used == "ZFS":
		return c.failingTask("wipedisk", path.Base(d.Path), die("error wiping '%s': wipefs: error: %s: probing initialization failed: Device or resource busy", d.Path, d.Path))
	}
	dev := d.Path
	return c.diskTask("wipedisk", path.Base(dev), []string{"wiping block device " + dev, "200+0 records in", "200+0 records out"}, func() {
		if d, err := c.diskAt(dev); err == nil {
			d.Used = ""
		}
	})
}

// devicesOf are the disks that a call names.
func (c *call) devicesOf() ([]Disk, error) {
	var out []Disk
	for _, dev := range apischema.SplitList(c.str("devices")) {
		d, err := c.unusedDisk(dev)
		if err != nil {
			return nil, err
		}
		out = append(out, *d)
	}
	return out, nil
}
