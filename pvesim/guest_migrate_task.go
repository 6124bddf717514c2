package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// migrationTask moves a guest, or asks the HA manager to. Special does what is
// particular, and says whether that was all.
func (c *call) migrationTask(g *guest, target *node, typ string, special func(*journal, map[string]string) (outcome, bool)) (any, error) {
	if g.managed() {
		return c.fork(c.now, c.node, c.caller.User, "hamigrate", fmt.Sprint(g.VMID), 0, func(time.Time) outcome {
			return c.askToMigrate(g, target)
		}), nil
	}
	stores := storageMap(c.str("targetstorage") + c.str("target-storage"))
	return c.startGuestTask(g, typ, func(now time.Time) outcome {
		j := &journal{began: now, stamp: true}
		if refused := cmp.Or(g.unlocked(), reachRefusal(target), c.storageRefusal(target, g, stores)); refused != nil {
			j.say("ERROR: migration aborted (duration 00:00:00): %s", strings.TrimSpace(refused.Error()))
			return j.fail(die("migration aborted"))
		}
		restart := g.now.running && c.flag("restart")
		if restart {
			j.say("shutdown CT %d", g.VMID)
			j.pass(time.Second)
		}
		j.say("starting migration of %s %d to node '%s' (%s)", g.noun(), g.VMID, target.Name, target.IP)
		j.found(g, c.localDisks(g))
		if o, all := special(j, stores); all {
			return o
		}
		j.copyLocal(c, g, stores)
		if g.Kind == "lxc" {
			j.say("start final cleanup")
		}
		j.pass(2 * time.Second)
		if restart {
			j.say("start container on target node")
			j.pass(startCTTakes)
		}
		j.say("migration finished successfully (duration %s)", clockText(j.at))
		return c.migrationOutcome(g, j, target, stores, func(end time.Time) {
			if restart {
				c.setRunState(g, runState{running: true, since: end})
			}
		}, restart)
	})
}

// askToMigrate asks the HA manager to move a guest, with those that rules keep together with
// it. It fails if one that they keep apart is at the target.
func (c *call) askToMigrate(g *guest, target *node) outcome {
	o := done(haTakes, func(end time.Time) { c.askMove(g, target, false, end) })
	o.log = []entry{{text: fmt.Sprintf("Requesting HA migration for %s %d to node %s", g.noun(), g.VMID, target.Name)}}
	command := fmt.Sprintf("command 'ha-manager migrate %s %s' failed: exit code 255", g.sid(), target.Name)
	if !c.quorateAt(c.node) {
		o.log = append(o.log, entry{text: "cluster not ready - no quorum?"})
		o.exit, o.apply = command, nil
	}
	for _, sid := range c.affine(g, "positive") {
		o.log = append(o.log, entry{text: fmt.Sprintf("also migrate resource '%s' in positive affinity with resource '%s' to target node '%s'", sid, g.sid(), target.Name)})
	}
	if blocking := c.affineAt(g, target); len(blocking) > 0 {
		o.log = append(o.log[:1], entry{text: fmt.Sprintf("cannot migrate resource '%s' to node '%s':", g.sid(), target.Name)}, entry{})
		for _, sid := range blocking {
			o.log = append(o.log, entry{text: fmt.Sprintf("- resource '%s' on target node '%s' in negative affinity with resource '%s'", sid, target.Name, g.sid())})
		}
		o.exit, o.apply = command, nil
	}
	return o
}

// reachRefusal says why a node cannot be reached.
func reachRefusal(n *node) error {
	if n.Offline {
		return die("Can't connect to destination address using public key")
	}
	return nil
}

// storageRefusal says why a node cannot hold a guest's volumes that stay on storages of the
// same names.
func (c *call) storageRefusal(n *node, g *guest, stores map[string]string) error {
	if missing := c.unavailable(g, n.Name); len(stores) == 0 && len(missing) > 0 {
		_, err := c.usable(missing[0], n.Name)
		return err
	}
	return nil
}

// migrationOutcome is a migration under way: the guest is locked, and stopped if it is
// restarted at the target.
func (c *call) migrationOutcome(g *guest, j *journal, target *node, stores map[string]string, then func(time.Time), stop bool) outcome {
	g.Config["lock"] = "migrate"
	if stop {
		c.setRunState(g, runState{})
	}
	var kept []*volume
	if why := c.fault.Keeps; why != "" {
		for _, v := range c.ownedVolumes(g) {
			if v.Node != "" {
				left := *v
				kept = append(kept, &left)
				j.say("ERROR: removing local copy of '%s' failed - %s", v.ID, why)
			}
		}
		j.say("ERROR: migration finished with problems (duration %s)", clockText(j.at))
	}
	o := j.done(func(end time.Time) {
		delete(g.Config, "lock")
		c.moveToNode(g, target.Name, stores)
		for _, v := range kept {
			c.volumes[place{v.Node, v.ID}] = v
		}
		then(end)
	})
	if c.fault.Keeps != "" {
		o.exit = "migration problems"
	}
	o.brief, o.undo, o.needs = true, func() { delete(g.Config, "lock") }, target
	return o
}

// moveLive moves a running VM with its RAM, and its disks if that is allowed.
// It says whether the migration ended here.
func (c *call) moveLive(j *journal, g *guest, target *node, stores map[string]string) (outcome, bool) {
	local, bad := c.localDisks(g), false
	for _, d := range local {
		reason := "can't live migrate attached local disks without with-local-disks option"
		if c.flag("with-local-disks") {
			reason = "local cdrom image"
		}
		if d.attached && !d.generated() && (d.cdrom || !c.flag("with-local-disks")) {
			j.say("can't migrate local disk '%s': %s", d.ID, reason)
			bad = true
		}
	}
	if bad {
		const problem = "Problem found while scanning volumes - can't migrate VM - check log"
		j.say("ERROR: %s", problem)
		j.say("aborting phase 1 - cleanup resources")
		j.pass(time.Second)
		j.say("ERROR: migration aborted (duration %s): %s", clockText(j.at), problem)
		return j.fail(die("migration aborted")), true
	}
	j.say("starting VM %d on remote node '%s'", g.VMID, target.Name)
	j.pass(2 * time.Second)
	j.say("start remote tunnel")
	j.pass(time.Second)
	j.say("ssh tunnel ver 1")
	if local = slices.DeleteFunc(local, localDisk.generated); len(local) > 0 {
		j.mirror(c, g, local)
	}
	j.say("starting online/live migration on unix:/run/qemu-server/%d.migrate", g.VMID)
	j.ram(g)
	j.pass(4 * time.Second)
	j.say("migration finished successfully (duration %s)", clockText(j.at))
	return c.migrationOutcome(g, j, target, stores, func(time.Time) {}, false), true
}

// moveToNode puts a guest on another node, its volumes on the storages that are
// named for them.
func (c *call) moveToNode(g *guest, target string, stores map[string]string) {
	renamed := map[string]string{}
	for _, v := range c.ownedVolumes(g) {
		storage := mapped(stores, v.storage())
		if v.Node == "" && storage == v.storage() {
			continue
		}
		_, name, _ := strings.Cut(v.ID, ":")
		id := storage + ":" + name
		if storage != v.storage() || c.volumeOf(id, target) != nil {
			id = c.newVolume(request{storage: storage, node: target, vmid: g.VMID, name: "disk", content: v.Content, format: v.Format, size: v.Size}).ID
		}
		renamed[v.ID] = id
		c.relocateVolume(v, id, target)
	}
	configs := []map[string]string{g.Config, g.pending}
	for _, snap := range g.snaps {
		configs = append(configs, snap.Config)
	}
	for _, config := range configs {
		for key, drive := range config {
			if id := renamed[propstring.Volume(drive)]; propstring.IsDriveKey(g.Kind, key) && id != "" {
				config[key] = propstring.SetVolume(drive, id)
			}
		}
	}
	g.Node = target
	c.unannounced[g.VMID] = true
}
