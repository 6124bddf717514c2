package pvesim

import (
	"cmp"
	"strings"
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
	v, err := c.movableDisk(g, key, storage, c.str("format"))
	if err != nil {
		return nil, err
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

// movableDisk is the volume of a VM's drive that is to be moved to a storage. PVE compares
// the formats only if the volume's name tells its own.
func (c *call) movableDisk(g *guest, key, storage, format string) (*volume, error) {
	drive, ok := g.Config[key]
	v := c.volumeOf(propstring.Volume(drive), g.Node)
	switch {
	case !ok:
		return nil, die("disk '%s' does not exist", key)
	case propstring.IsCDROM(drive) && !propstring.IsCloudInit(drive):
		return nil, die("you can't move a cdrom")
	case v == nil:
		return nil, die("volume '%s' does not exist", propstring.Volume(drive))
	case storage == v.storage() && (format == "" || format == v.Format || !strings.HasSuffix(v.ID, "."+v.Format)):
		return nil, die("you can't move to the same storage with same format")
	}
	return v, nil
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

// roomForVolumes refuses a storage for the volumes of containers, as the task that makes them does.
func (c *call) roomForVolumes(storage, node string) error {
	st, err := c.usable(storage, node)
	if err == nil && !st.holds("rootdir") {
		err = die("content type 'rootdir' is not available or configured on storage '%s'", storage)
	}
	return err
}

func (c *call) moveTask(g *guest, typ, key, storage, format string) (any, error) {
	remove := c.flag("delete")
	return c.startGuestTask(g, typ, func(now time.Time) outcome {
		j := &journal{began: now}
		drive := g.Config[key]
		old := c.volumeOf(propstring.Volume(drive), g.Node)
		if g.Kind == "lxc" {
			if err := c.roomForVolumes(storage, g.Node); err != nil {
				return failedBy(err)
			}
		}
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
