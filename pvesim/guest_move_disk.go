package pvesim

import (
	"cmp"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// moveDisk moves a VM's disk to another storage or format, or to another VM.
func moveDisk(c *call, g *guest) (any, error) {
	key, storage := c.str("disk"), c.str("storage")
	if err := c.moveWhere(); err != nil {
		return nil, err
	}
	if c.str("target-vmid") != "" {
		return reassign(c, g, key, c.str("target-disk"))
	}
	if err := c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	if err := cmp.Or(g.unlocked(), c.checkDigest(g, otherDigest)); err != nil {
		return nil, err
	}
	drive, ok := g.Config[key]
	v := c.volumeOf(propstring.Volume(drive), g.Node)
	switch {
	case !ok:
		return nil, die("disk '%s' does not exist", key)
	case propstring.IsCDROM(drive) && !propstring.IsCloudInit(drive):
		return nil, die("you can't move a cdrom")
	case withoutIndex(key) == "unused": // from source, as of a container
		return nil, die("cannot move disk '%s', only configured disks can be moved to another storage", key)
	case v == nil:
		return nil, die("volume '%s' does not exist", propstring.Volume(drive))
	case storage == v.storage() && (c.str("format") == "" || c.str("format") == v.Format):
		return nil, die("you can't move to the same storage with same format")
	}
	st, err := c.usable(storage, g.Node)
	switch {
	case err != nil:
		return nil, err
	case !st.holds("images"):
		return nil, badParam("storage", "storage '%s' does not support vm images", storage)
	case c.flag("delete") && g.isInSnapshot(v.ID):
		return nil, die("you can't move a disk with snapshots and delete the source")
	}
	return c.moveTask(g, "qmmove", key, storage, cmp.Or(c.str("format"), v.Format))
}

// moveVolume moves a volume of a stopped container to another storage.
func moveVolume(c *call, g *guest) (any, error) {
	key, storage := c.str("volume"), c.str("storage")
	if err := c.moveWhere(); err != nil {
		return nil, err
	}
	if c.str("target-vmid") != "" {
		return reassign(c, g, key, c.str("target-volume"))
	}
	if err := c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	drive, ok := g.Config[key]
	v := c.volumeOf(propstring.Volume(drive), g.Node)
	switch {
	case g.now.running:
		return nil, die("cannot move volumes of a running container")
	case withoutIndex(key) == "unused":
		return nil, die("cannot move volume '%s', only configured volumes can be moved to another storage", key)
	case !ok:
		return nil, noMountPoint()
	case v == nil:
		return nil, die("volume '%s' does not exist", propstring.Volume(drive))
	case c.flag("delete") && g.isInSnapshot(v.ID):
		return nil, die("you can't move a volume with snapshots and delete the source")
	}
	if err := c.checkDigest(g, otherDigest); err != nil {
		return nil, err
	}
	if _, err := c.usable(storage, g.Node); err != nil {
		return nil, err
	}
	return c.moveTask(g, "move_volume", key, storage, "")
}

// moveWhere wants either another storage or another guest.
func (c *call) moveWhere() error {
	message := "both 'storage' and 'target-vmid' missing, either needs to be set"
	switch storage, guest := c.str("storage") != "", c.str("target-vmid") != ""; {
	case storage != guest:
		return nil
	case storage:
		message = "either set 'storage' or 'target-vmid', but not both"
	}
	return &apischema.ParamError{Errors: map[string]string{"storage": message, "target-vmid": message}}
}

// noMountPoint is what PVE says of a mount point that is not there.
func noMountPoint() error {
	missing := "property is missing and it is not optional"
	return &refusal{status: 500, message: "format error\n", errors: map[string]string{"volume": missing, "mp": missing}}
}

func (c *call) moveTask(g *guest, typ, key, storage, format string) (any, error) {
	remove := c.flag("delete")
	return c.startGuestTask(g, typ, func(now time.Time) outcome {
		j := &journal{began: now}
		drive := g.Config[key]
		old := c.volumeOf(propstring.Volume(drive), g.Node)
		v := c.copyDisk(j, g.Kind, key, old, g.VMID, request{storage: storage, node: g.Node, format: format})
		if g.Kind == "lxc" {
			g.Config["lock"] = "disk"
		}
		o := j.done(func(time.Time) {
			if g.Kind == "lxc" {
				delete(g.Config, "lock")
			}
			if remove {
				c.removeVolume(old)
			} else {
				g.addUnused(old.ID)
			}
			g.Config[key] = propstring.Set(propstring.SetVolume(drive, v.ID), "format", "")
		})
		o.brief = g.Kind == "lxc"
		o.undo = func() {
			c.removeVolume(v)
			if g.Kind == "lxc" {
				delete(g.Config, "lock")
			}
		}
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
	v.Used, v.Blank, v.Image = old.Used, old.Blank, old.Image
	if kind == "lxc" {
		j.say("create full clone of mountpoint %s (%s)", key, old.ID)
		j.formatting(c.storageNamed(r.storage), v)
		j.fileSystem(v)
		j.pass(time.Duration(float64(old.Used) / copySpeed * float64(time.Second)))
		j.say("Number of files: 308 (reg: 15, dir: 25, link: 268)")
		j.say("Total file size: %d bytes", old.Used)
		return c.addVolume(v, c.now)
	}
	j.say("create full clone of drive %s (%s)", key, old.ID)
	j.formatting(c.storageNamed(r.storage), v)
	if c.node.version.major >= 9 && r.vmid != old.VMID {
		j.say("allocated target volume '%s'", v.ID)
	}
	j.transfer(old.Size, old.Used)
	return c.addVolume(v, c.now)
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
	case target == nil:
		return nil, die("could not find target %s %d", g.noun(), id)
	case target.Node != g.Node:
		return nil, die("Both %ss need to be on the same node (%s != %s)", g.noun(), g.Node, target.Node)
	}
	if err := cmp.Or(g.unlocked(), target.unlocked()); err != nil {
		return nil, err
	}
	targetKey = cmp.Or(targetKey, key)
	isUnused := func(key string) bool { return withoutIndex(key) == "unused" }
	drive, ok := g.Config[key]
	v := c.volumeOf(propstring.Volume(drive), g.Node)
	switch {
	case key == "rootfs" || targetKey == "rootfs":
		return nil, die("Cannot move to/from 'rootfs'")
	case g.Kind == "lxc" && isUnused(key) && !isUnused(targetKey):
		return nil, die("Moving an unused volume to a used one is not possible")
	case g.template() || target.template():
		return nil, die("Can't move disks from or to template %ss", g.noun())
	case !ok:
		return nil, die("Disk '%s' for %s '%d' does not exist", key, g.noun(), g.VMID)
	case target.Config[targetKey] != "":
		return nil, die("Target disk key '%s' is already in use for %s '%d'", targetKey, g.noun(), id)
	case propstring.IsCDROM(drive):
		return nil, die("CD drive contents can't be moved to another %s", g.noun())
	case v == nil:
		return nil, die("volume '%s' does not exist", propstring.Volume(drive))
	case g.isInSnapshot(v.ID):
		return nil, die("Can't move disk used by a snapshot to another %s", g.noun())
	case g.now.running && !isUnused(key):
		return nil, die("Cannot move disk to another %s while the source %s is running - detach first", g.noun(), g.noun())
	}
	if err := c.caller.Require("/storage/"+v.storage(), "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	return c.startGuestTask(g, map[string]string{"qemu": "qmmove", "lxc": "move_volume"}[g.Kind], func(now time.Time) outcome {
		j := &journal{began: now}
		j.say("reassign disk '%s' from VM '%d' as '%s' to VM '%d'", key, g.VMID, targetKey, id)
		j.pass(200 * time.Millisecond)
		return j.done(func(time.Time) {
			to := c.newVolume(request{storage: v.storage(), node: g.Node, vmid: id, name: "disk", content: v.Content, format: v.Format, size: v.Size})
			v.VMID = id
			moved := c.relocateVolume(v, to.ID, g.Node)
			target.Config[targetKey] = propstring.SetVolume(g.Config[key], moved.ID)
			if isUnused(targetKey) {
				target.Config[targetKey] = moved.ID
			}
			delete(g.Config, key)
		})
	})
}
