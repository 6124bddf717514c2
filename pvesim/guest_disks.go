package pvesim

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// madeDrives are drives as a configuration has them, and the volumes that were made for
// them.
type madeDrives struct {
	config  map[string]string
	volumes []*volume
}

// undo frees the volumes again.
func (m madeDrives) undo(s *state) {
	for _, v := range m.volumes {
		s.removeVolume(v)
	}
}

// makeDrives makes the volumes that drives ask for, and writes the drives with
// their volumes and sizes. What it made is undone if it fails.
func (c *call) makeDrives(j *journal, kind string, vmid int, config map[string]string, defaultStorage string) (madeDrives, error) {
	out := madeDrives{config: map[string]string{}}
	r := request{storage: defaultStorage, node: c.node.Name, vmid: vmid, ofTemplate: kind == "qemu" && config["template"] == "1"}
	if g := c.guests[vmid]; g != nil && g.template() {
		r.ofTemplate = kind == "qemu"
	}
	for _, key := range drivesToMake(kind, config) {
		if _, name, _ := strings.Cut(propstring.Volume(config[key]), ":"); name == "cloudinit" || propstring.IsCloudInit(config[key]) {
			attached := out.config
			if g := c.guests[vmid]; g != nil {
				attached = g.planned()
				maps.Copy(attached, out.config)
			}
			if err := refuseSecondCloudInit(key, attached); err != nil {
				out.undo(&c.state)
				return madeDrives{}, err
			}
		}
		drive, v, err := c.makeDrive(j, kind, key, config[key], r)
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

// drivesToMake are the keys of drives in the order in which PVE makes their volumes.
func drivesToMake(kind string, config map[string]string) []string {
	keys := slices.DeleteFunc(sortedKeys(config), func(key string) bool { return !propstring.IsDriveKey(kind, key) })
	if i := slices.Index(keys, "rootfs"); i > 0 {
		keys = slices.Insert(slices.Delete(keys, i, i+1), 0, "rootfs")
	}
	return keys
}

// makeDrive makes the volume that a drive asks for. r has what it does not say.
func (c *call) makeDrive(j *journal, kind, key, drive string, r request) (string, *volume, error) {
	drive = c.printed(kind, key, drive)
	id := propstring.Volume(drive)
	storage, name, ok := strings.Cut(id, ":")
	if !ok {
		return drive, nil, nil
	}
	r.storage = cmp.Or(storage, r.storage)
	if !newDisk(name) {
		v := c.volumeOf(id, c.node.Name)
		if v == nil {
			return "", nil, die("volume '%s' does not exist", id)
		}
		if err := refuseFormat(key, drive, v); kind == "qemu" && err != nil {
			return "", nil, err
		}
		return c.printed(kind, key, propstring.Set(drive, "size", propstring.FormatSize(v.Size))), nil, nil
	}
	if _, err := c.usable(r.storage, c.node.Name); err != nil {
		return "", nil, err
	}
	st := c.storageNamed(r.storage)
	source, err := c.importSource(j, drive, r.vmid)
	if err != nil {
		return "", nil, err
	}
	r = c.driveRequest(kind, key, drive, source, r)
	if r.name == "cloudinit" {
		drive = propstring.Set(drive, "media", "cdrom")
	}
	v := c.newVolume(r)
	drive = propstring.SetVolume(drive, v.ID)
	for _, option := range []string{"format", "import-from", "size"} {
		drive = propstring.Set(drive, option, "")
	}
	if r.name == "disk" {
		drive = propstring.Set(drive, "size", propstring.FormatSize(v.Size))
	}
	drive = c.printed(kind, key, drive)
	if source != nil {
		j.say("create full clone of drive (%s)", source.id)
	}
	j.formatting(st, v)
	switch {
	case kind == "lxc":
		j.fileSystem(v)
	case source != nil:
		if err := c.copyTo(j, source, &v, st); err != nil {
			return "", nil, err
		}
		fallthrough
	default:
		j.say("%s: successfully created disk '%s'", key, drive)
	}
	j.pass(100 * time.Millisecond)
	return drive, c.addVolume(v, c.now), nil
}

// refuseFormat refuses a drive that says that its volume has another format than it has.
func refuseFormat(key, drive string, v *volume) error {
	format := propstring.Get(drive, "format")
	if format != "" && format != v.Format {
		return die("drive '%s' - volume '%s' - 'format=%s' option different from storage format '%s'", key, v.ID, format, v.Format)
	}
	if key == "tpmstate0" && v.Format != "raw" {
		return die("tpmstate0: volume format is '%s', only 'raw' is supported!", v.Format)
	}
	return nil
}

// driveRequest is the volume that a drive asks for.
func (c *call) driveRequest(kind, key, drive string, source *source, r request) request {
	_, name, _ := strings.Cut(propstring.Volume(drive), ":")
	st := c.storageNamed(r.storage)
	gigabytes, _ := strconv.ParseFloat(name, 64)
	r.name, r.content, r.format, r.size = "disk", "images", propstring.Get(drive, "format"), int64(gigabytes*float64(gib))
	switch {
	case kind == "lxc":
		r.content = "rootdir"
	case name == "cloudinit":
		r.name, r.size = "cloudinit", 4<<20
		if r.format == "" && st.traits().files {
			r.format = "qcow2"
		}
	case key == "efidisk0":
		r.size = 528 << 10
	case key == "tpmstate0":
		r.size, r.format = 4<<20, "raw"
	case source != nil:
		r.size, r.format = source.size, source.format(r.format, st)
	}
	return r
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
	return bytes
}

// resize grows a VM's disk: in a task, or before PVE 8 at once. All is checked in there.
func resize(c *call) (any, error) {
	if err := c.onlyRoot("skiplock"); err != nil {
		return nil, err
	}
	if c.node.version.atLeast(8, 0) {
		return inTask("resize", resizeVM)(c)
	}
	g, err := c.theGuest()
	if err != nil {
		return nil, err
	}
	if err := c.awaitLock(g); err != nil {
		return nil, err
	}
	return nil, c.growDisk(&journal{}, g)
}

func resizeVM(c *call, g *guest) (any, error) {
	return c.startGuestTask(g, "resize", func(now time.Time) outcome {
		j := &journal{began: now}
		if err := c.growDisk(j, g); err != nil {
			return failedBy(err)
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
	case propstring.IsCDROM(drive):
		return die("you can't resize a cdrom")
	}
	v := c.volumeOf(propstring.Volume(drive), g.Node)
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
	g.Config[key] = propstring.Set(drive, "size", propstring.FormatSize(size))
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
		return nil, noMountPoint()
	}
	v := c.volumeOf(propstring.Volume(drive), g.Node)
	if v == nil {
		return nil, die("volume '%s' does not exist", propstring.Volume(drive))
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
	return c.startGuestTask(g, "resize", func(now time.Time) outcome {
		j := &journal{began: now}
		if v.Format != "subvol" {
			j.say("Image resized.")
			j.say("resize2fs 1.47.0 (5-Feb-2023)")
		}
		j.pass(300 * time.Millisecond)
		return j.done(func(time.Time) {
			v.Size = size
			g.Config[key] = propstring.Set(drive, "size", propstring.FormatSize(size))
		})
	})
}

// unlinkDisks is a change of the configuration that deletes drives.
func unlinkDisks(c *call, g *guest) (any, error) {
	if idlist, ok := c.params["idlist"]; ok {
		c.params["delete"] = idlist
		delete(c.params, "idlist")
	}
	if err := checkConfig(c); err != nil {
		return nil, err
	}
	return putConfig(c, g)
}
