package pvesim

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// destroyVM and destroyCT remove a guest with its volumes. What forbids it is
// checked before the task, except locks and linked clones.
func destroyVM(c *call, g *guest) (any, error) {
	if err := c.onlyRoot("skiplock"); err != nil {
		return nil, err
	}
	if err := c.destroyRefusal(g); err != nil {
		return nil, err
	}
	if g.now.running {
		return nil, die("VM %d is running - destroy failed", g.VMID)
	}
	return c.destroyTask(g, "qmdestroy")
}

func destroyCT(c *call, g *guest) (any, error) {
	if err := g.unprotected("can't remove CT %d", g.VMID); err != nil {
		return nil, err
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	if err := c.destroyRefusal(g); err != nil {
		return nil, err
	}
	if g.now.running && !c.flag("force") {
		return nil, die("unable to destroy CT %d - container is running", g.VMID)
	}
	return c.destroyTask(g, "vzdestroy")
}

func (c *call) destroyRefusal(g *guest) error {
	if err := g.unprotected("can't remove %s %d", g.noun(), g.VMID); err != nil {
		return err
	}
	if c.flag("purge") {
		return nil
	}
	if g.HA != "" {
		return die("unable to remove %s %d - used in HA resources and purge parameter not set.", g.noun(), g.VMID)
	}
	if jobs := c.replicationsOf(g); len(jobs) > 0 {
		return die("There is a replication job '%s' for guest '%d' - Please remove that first.", jobs[0].ID, g.VMID)
	}
	return nil
}

// purge takes a guest out of what is configured about it: replication, backup jobs, and HA.
func (c *call) purge(j *journal, g *guest) {
	j.say("purging %s %d from related configurations..", g.noun(), g.VMID)
	c.replications = slices.DeleteFunc(c.replications, func(r Replication) bool { return r.guest() == g.VMID })
	c.jobs = slices.DeleteFunc(slices.Clone(c.jobs), func(b BackupJob) bool { return b.Options["vmid"] == strconv.Itoa(g.VMID) })
	for i, b := range c.jobs {
		key := "vmid"
		if b.Options[key] == "" {
			key = "exclude"
		}
		ids := apischema.SplitList(b.Options[key])
		if !slices.Contains(ids, strconv.Itoa(g.VMID)) {
			continue
		}
		c.jobs[i].Options = maps.Clone(b.Options)
		setOrDelete(c.jobs[i].Options, key, strings.Join(without(ids, strconv.Itoa(g.VMID)), ","))
	}
	c.armJobs(c.now)
	if g.HA != "" {
		g.HA = ""
		j.say("NOTE: removed %s %d from HA resource configuration.", g.noun(), g.VMID)
	}
}

func (c *call) destroyTask(g *guest, typ string) (any, error) {
	return c.startGuestTask(g, typ, func(now time.Time) outcome {
		j := &journal{began: now}
		if err := g.unlocked(); err != nil && g.Config["lock"] != "suspended" {
			return failedBy(err)
		}
		owned := c.ownedVolumes(g)
		for _, v := range owned {
			if v.base() && len(c.clones(v)) > 0 {
				return failedBy(die("base volume '%s' is still in use by linked cloned", v.ID))
			}
		}
		if g.now.running {
			j.say("forced to stop CT %d before destroying!", g.VMID)
			c.setRunState(g, runState{})
			j.pass(stopTakes)
		}
		if c.flag("purge") {
			c.purge(j, g)
		}
		j.pass(100 * time.Millisecond)
		if why := c.fault.Keeps; why != "" {
			for _, v := range owned {
				j.say("Could not remove disk '%s', check manually: %s", v.ID, why)
			}
			owned = nil
		}
		return j.done(func(time.Time) {
			for _, v := range owned {
				c.removeVolume(v)
			}
			c.remove(g)
		})
	})
}

// ownedVolumes are those of the guest's configuration and snapshots that are its
// own.
func (c *call) ownedVolumes(g *guest) []*volume {
	ids := map[string]bool{g.Config["vmstate"]: true}
	configs := []map[string]string{g.Config, g.pending}
	for _, snap := range g.snaps {
		configs = append(configs, snap.Config)
		ids[snap.VMState] = true
	}
	for _, config := range configs {
		for key, drive := range config {
			if propstring.IsDriveKey(g.Kind, key) {
				ids[propstring.Volume(drive)] = true
			}
		}
	}
	if c.flag("destroy-unreferenced-disks") {
		for _, v := range c.volumes {
			if v.VMID == g.VMID && (v.Content == "images" || v.Content == "rootdir") && c.volumeOf(v.ID, g.Node) == v {
				ids[v.ID] = true
			}
		}
	}
	var out []*volume
	for _, id := range sortedKeys(ids) {
		if v := c.volumeOf(id, g.Node); v != nil && v.VMID == g.VMID {
			out = append(out, v)
		}
	}
	return out
}

// makeTemplate turns a guest into a template: its volumes become bases. Of a container
// PVE keeps the task's UPID to itself.
func makeTemplate(c *call, g *guest) (any, error) {
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	switch {
	case len(g.snaps) > 0:
		return nil, die("unable to create template, because %s contains snapshots", g.noun())
	case g.template() && c.str("disk") == "":
		return nil, die("you can't convert a template to a template")
	case g.now.running && g.Kind == "lxc":
		return nil, die("you can't convert a CT to template if the CT is running")
	case g.now.running:
		return nil, die("you can't convert a VM to template if VM is running")
	}
	upid, err := c.startGuestTask(g, g.taskPrefix()+"template", func(time.Time) outcome {
		return done(300*time.Millisecond, func(time.Time) {
			for _, key := range diskKeys(g.Kind, g.Config) {
				v := c.volumeOf(propstring.Volume(g.Config[key]), g.Node)
				if v.base() || c.str("disk") != "" && c.str("disk") != key {
					continue
				}
				file := strings.NewReplacer("subvol-", "basevol-", "vm-", "base-").Replace(v.file())
				moved := c.relocateVolume(v, strings.TrimSuffix(v.ID, v.file())+file, g.Node)
				g.Config[key] = propstring.SetVolume(g.Config[key], moved.ID)
			}
			g.Config["template"] = "1"
		})
	})
	if g.Kind == "lxc" {
		return nil, err
	}
	return upid, err
}
