package pvesim

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// madeDrives are drives as they stand in a configuration, and the volumes that were made
// for them.
type madeDrives struct {
	config  map[string]string
	volumes []*volume
}

// undo frees the volumes again.
func (m madeDrives) undo(s *state) {
	for _, v := range m.volumes {
		s.drop(v)
	}
}

// makeDrives makes the volumes that drives ask for, and writes the drives with
// their volumes and sizes. What it made is undone where it fails.
func (c *call) makeDrives(j *journal, kind string, vmid int, config map[string]string, defaultStorage string) (madeDrives, error) {
	out := madeDrives{config: map[string]string{}}
	for _, key := range sortedKeys(config) {
		if !isDrive(kind, key) {
			continue
		}
		drive, v, err := c.makeDrive(j, kind, vmid, key, config[key], defaultStorage)
		if err != nil {
			out.undo(&c.state)
			return madeDrives{}, err
		}
		if v != nil {
			out.volumes = append(out.volumes, v)
		}
		out.config[key] = drive
	}
	return out, nil
}

func (c *call) makeDrive(j *journal, kind string, vmid int, key, drive, defaultStorage string) (string, *volume, error) {
	id := volumeIn(drive)
	storage, name, ok := strings.Cut(id, ":")
	if !ok {
		return drive, nil, nil
	}
	if storage == "" {
		storage = defaultStorage
	}
	if !newDisk(name) {
		v := c.volumeOf(id, c.node.Name)
		if v == nil {
			return "", nil, die("volume '%s' does not exist", id)
		}
		return withProp(drive, "size", sizeText(v.Size)), nil, nil
	}
	r := request{storage: storage, node: c.node.Name, vmid: vmid, name: "disk", content: "images", format: prop(drive, "format")}
	gigabytes, _ := strconv.ParseFloat(name, 64)
	r.size = int64(gigabytes * float64(gib))
	source := c.volumeOf(prop(drive, "import-from"), c.node.Name)
	switch {
	case kind == "lxc":
		r.content = "rootdir"
	case name == "cloudinit":
		r.name, r.format, r.size = "cloudinit", "qcow2", 4<<20
		drive = withProp(drive, "media", "cdrom")
	case key == "efidisk0":
		r.size = 528 << 10
	case key == "tpmstate0":
		r.size, r.format = 4<<20, "raw"
	case source != nil:
		r.size = source.Size
	case prop(drive, "import-from") != "":
		return "", nil, die("volume '%s' does not exist", prop(drive, "import-from"))
	}
	v := c.newVolume(r)
	drive = withVolume(drive, v.ID)
	for _, option := range []string{"format", "import-from", "size"} {
		drive = withProp(drive, option, "")
	}
	drive = withProp(drive, "size", sizeText(v.Size))
	j.formatting(c.storageNamed(storage), v)
	if kind == "lxc" {
		j.fileSystem(v)
	} else if r.name == "disk" {
		j.say("%s: successfully created disk '%s'", key, drive)
	}
	if source != nil {
		v.Used, v.Blank = source.Used, source.Blank
		j.transfer(source.Size, source.Used)
	}
	j.pass(100 * time.Millisecond)
	return drive, c.put(v, c.now), nil
}

// fileSystem is what mkfs says of a container's new volume.
func (j *journal) fileSystem(v Volume) {
	if v.Format == "subvol" {
		return
	}
	blocks := v.Size / 4096
	j.say("Creating filesystem with %d 4k blocks and %d inodes", blocks, blocks/4)
	id := hash(v.ID, v.Size)
	j.say("Filesystem UUID: %08x-%04x-4%03x-8%03x-%012x", id>>32, id>>16&0xffff, id&0xfff, id>>52, id&0xffffffffffff)
	j.say("Superblock backups stored on blocks: ")
	var backups []string
	for block := int64(32768); block < blocks; {
		backups = append(backups, strconv.FormatInt(block, 10))
		block += 65536
	}
	j.say("\t%s", strings.Join(backups[:min(len(backups), 6)], ", "))
}

var sizeUnits = map[byte]uint{'K': 10, 'M': 20, 'G': 30, 'T': 40}

// newSize reads the size of a resize, which may be an increase.
func newSize(size string, old int64) int64 {
	text, more := strings.CutPrefix(size, "+")
	shift := uint(0)
	if unit, ok := sizeUnits[text[len(text)-1]]; ok {
		shift, text = unit, text[:len(text)-1]
	}
	n, _ := strconv.ParseFloat(text, 64)
	bytes := int64(math.Round(n * float64(uint64(1)<<shift)))
	if more {
		bytes += old
	}
	return (bytes + 1023) / 1024 * 1024
}

// resizeVM grows a disk: in a task, or before PVE 8 at once. All is checked in
// there.
func resizeVM(c *call, g *guest) (any, error) {
	if !c.node.version.atLeast(8, 0) {
		if err := c.awaitLock(g); err != nil {
			return nil, err
		}
		return nil, c.growDisk(&journal{}, g)
	}
	return c.work(g, "resize", func(now time.Time) outcome {
		j := &journal{began: now}
		if err := c.growDisk(j, g); err != nil {
			return died(err)
		}
		return j.done(nil)
	})
}

func (c *call) growDisk(j *journal, g *guest) error {
	if err := c.checkDigest(g, otherChecksum); err != nil {
		return err
	}
	if err := g.unlocked(); err != nil {
		return err
	}
	key := c.str("disk")
	drive, ok := g.Config[key]
	switch {
	case !ok:
		return die("disk '%s' does not exist", key)
	case isCDROM(drive):
		return die("you can't resize a cdrom")
	}
	v := c.volumeOf(volumeIn(drive), g.Node)
	if v == nil {
		return die("disk '%s' has no associated volume", key)
	}
	if err := c.caller.Require("/storage/"+v.storage(), "Datastore.AllocateSpace"); err != nil {
		return err
	}
	size := newSize(c.str("size"), v.Size)
	if size < v.Size {
		return die("shrinking disks is not supported")
	}
	j.pass(200 * time.Millisecond)
	if !g.now.running && size > v.Size && c.node.version.major >= 9 {
		j.say("Image resized.")
	}
	v.Size = size
	g.Config[key] = withProp(drive, "size", sizeText(size))
	return nil
}

// resizeCT grows a volume of a container and its file system. It is checked before
// the task.
func resizeCT(c *call, g *guest) (any, error) {
	if err := c.awaitLock(g); err != nil {
		return nil, err
	}
	if err := c.checkDigest(g, otherDigest); err != nil {
		return nil, err
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	key := c.str("disk")
	drive, ok := g.Config[key]
	if !ok {
		missing := "property is missing and it is not optional"
		return nil, &refusal{status: 500, message: "format error\n", errors: map[string]string{"volume": missing, "mp": missing}}
	}
	v := c.volumeOf(volumeIn(drive), g.Node)
	if v == nil {
		return nil, die("volume '%s' does not exist", volumeIn(drive))
	}
	if err := c.caller.Require("/storage/"+v.storage(), "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	size := newSize(c.str("size"), v.Size)
	switch {
	case size < v.Size:
		return nil, die("unable to shrink disk size")
	case size == v.Size:
		return nil, die("disk is already at specified size")
	}
	return c.work(g, "resize", func(now time.Time) outcome {
		j := &journal{began: now}
		if v.Format != "subvol" {
			j.say("Image resized.")
			j.say("resize2fs 1.47.0 (5-Feb-2023)")
		}
		j.pass(300 * time.Millisecond)
		return j.done(func(time.Time) {
			v.Size = size
			g.Config[key] = withProp(drive, "size", sizeText(size))
		})
	})
}

// moveDisk moves a VM's disk to another storage or format, or to another VM.
func moveDisk(c *call, g *guest) (any, error) {
	key, storage := c.str("disk"), c.str("storage")
	if c.str("target-vmid") != "" {
		return reassign(c, g, key, c.str("target-disk"))
	}
	if storage == "" {
		return nil, badParam("storage", "either set storage or target-vmid, but not both")
	}
	if err := c.moveRefusal(g, key, storage, "disk '%s' does not exist"); err != nil {
		return nil, err
	}
	v, st := c.volumeOf(volumeIn(g.Config[key]), g.Node), c.storageNamed(storage)
	format := v.Format
	if f := c.str("format"); f != "" {
		format = f
	}
	if storage == v.storage() && (format == v.Format || !st.traits().files) {
		return nil, die("you can't move to the same storage with same format")
	}
	if c.flag("delete") && len(g.snaps) > 0 {
		return nil, die("you can't move a disk with snapshots and delete the source")
	}
	return c.moveTask(g, "qmmove", key, storage, format)
}

// moveVolume moves a volume of a stopped container to another storage.
func moveVolume(c *call, g *guest) (any, error) {
	key, storage := c.str("volume"), c.str("storage")
	if c.str("target-vmid") != "" {
		return reassign(c, g, key, c.str("target-volume"))
	}
	if storage == "" {
		return nil, badParam("storage", "either set storage or target-vmid, but not both")
	}
	if err := c.moveRefusal(g, key, storage, "volume '%s' does not exist"); err != nil {
		return nil, err
	}
	if g.now.running {
		return nil, die("cannot move volumes of a running container")
	}
	return c.moveTask(g, "move_volume", key, storage, "")
}

func (c *call) moveRefusal(g *guest, key, storage, missing string) error {
	if err := c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	if err := g.unlocked(); err != nil {
		return err
	}
	if err := c.checkDigest(g, "missmatch checksum (file change by other user?)"); err != nil {
		return err
	}
	drive, ok := g.Config[key]
	switch {
	case !ok:
		return die(missing, key)
	case isCDROM(drive):
		return die("you can't move a cdrom")
	case c.volumeOf(volumeIn(drive), g.Node) == nil:
		return die("disk '%s' has no associated volume", key)
	}
	_, err := c.usable(storage, g.Node)
	return err
}

func (c *call) moveTask(g *guest, typ, key, storage, format string) (any, error) {
	remove := c.flag("delete")
	return c.work(g, typ, func(now time.Time) outcome {
		j := &journal{began: now}
		drive := g.Config[key]
		old := c.volumeOf(volumeIn(drive), g.Node)
		v := c.copyDisk(j, g.Kind, key, old, g.VMID, request{storage: storage, node: g.Node, format: format})
		o := j.done(func(time.Time) {
			if remove {
				c.drop(old)
			} else {
				g.addUnused(old.ID)
			}
			g.Config[key] = withProp(withVolume(drive, v.ID), "format", "")
		})
		o.undo = func() { c.drop(v) }
		return o
	})
}

// copyDisk makes a full copy of a disk for a guest.
func (c *call) copyDisk(j *journal, kind, key string, old *volume, vmid int, r request) *volume {
	r.vmid, r.name, r.content, r.size = vmid, "disk", old.Content, old.Size
	if old.Format == "subvol" && !c.storageNamed(r.storage).traits().subvols {
		r.format = "raw"
	}
	v := c.newVolume(r)
	v.Used, v.Blank = old.Used, old.Blank
	if kind == "lxc" {
		j.say("create full clone of mountpoint %s (%s)", key, old.ID)
		j.formatting(c.storageNamed(r.storage), v)
		j.fileSystem(v)
		j.pass(time.Duration(float64(old.Used) / copySpeed * float64(time.Second)))
		j.say("Number of files: 308 (reg: 15, dir: 25, link: 268)")
		j.say("Total file size: %d bytes", old.Used)
		return c.put(v, c.now)
	}
	j.say("create full clone of drive %s (%s)", key, old.ID)
	j.formatting(c.storageNamed(r.storage), v)
	if c.node.version.major >= 9 && r.vmid != old.VMID {
		j.say("allocated target volume '%s'", v.ID)
	}
	j.transfer(old.Size, old.Used)
	return c.put(v, c.now)
}

// reassign gives a volume of a guest to another one of the same node.
func reassign(c *call, g *guest, key, targetKey string) (any, error) {
	id := c.number("target-vmid", 0)
	if id == g.VMID {
		return nil, badParam("target-vmid", "must be different than source VMID to reassign disk")
	}
	if err := c.caller.Require(aclPath(id), "VM.Config.Disk"); err != nil {
		return nil, err
	}
	target := c.guests[id]
	switch {
	case target == nil || target.Kind != g.Kind:
		dir := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[g.Kind]
		return nil, die("Configuration file 'nodes/%s/%s/%d.conf' does not exist", g.Node, dir, id)
	case target.Node != g.Node:
		return nil, die("Both VMs need to be on the same node (%s) but target VM is on %s.", g.Node, target.Node)
	}
	for _, each := range []*guest{g, target} {
		if err := each.unlocked(); err != nil {
			return nil, err
		}
	}
	if targetKey == "" {
		targetKey = key
	}
	v := c.volumeOf(volumeIn(g.Config[key]), g.Node)
	switch {
	case v == nil:
		return nil, badParam("disk", "Disk '%s' for VM '%d' does not exist", key, g.VMID)
	case target.Config[targetKey] != "":
		return nil, badParam("target-disk", "Disk '%s' for VM '%d' already exists", targetKey, id)
	case g.now.running && index(key) != "unused":
		return nil, die("Cannot reassign disk of running VM '%d'", g.VMID)
	case len(g.snaps) > 0:
		return nil, die("Cannot reassign disk with snapshots")
	}
	return c.work(g, map[string]string{"qemu": "qmmove", "lxc": "move_volume"}[g.Kind], func(now time.Time) outcome {
		j := &journal{began: now}
		j.say("moving disk '%s' from VM '%d' to '%d'", key, g.VMID, id)
		j.pass(200 * time.Millisecond)
		return j.done(func(time.Time) {
			to := c.newVolume(request{storage: v.storage(), node: g.Node, vmid: id, name: "disk", content: v.Content, format: v.Format, size: v.Size})
			v.VMID = id
			moved := c.move(v, to.ID, g.Node)
			target.Config[targetKey] = withVolume(g.Config[key], moved.ID)
			delete(g.Config, key)
		})
	})
}

// unlinkDisks is a change of the configuration that deletes drives.
func unlinkDisks(c *call, g *guest) (any, error) {
	if idlist, ok := c.params["idlist"]; ok {
		c.params["delete"] = idlist
		delete(c.params, "idlist")
	}
	return putConfig(c, g)
}
