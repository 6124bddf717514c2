package pvesim

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// reassignment is a volume of a guest that is to become another one's.
type reassignment struct {
	source, target *guest
	key, targetKey string
	volume         *volume
}

// reassign gives a volume of a guest to another one of the same node.
func reassign(c *call, g *guest, key, targetKey string) (any, error) {
	id := c.number("target-vmid", 0)
	if err := c.caller.Require(aclPath(id), "VM.Config.Disk"); err != nil {
		return nil, err
	}
	if id == g.VMID && g.Kind == "qemu" {
		return nil, badParam("target-vmid", "must be different than source VMID to reassign disk")
	}
	r, err := c.reassignmentOf(g, key, cmp.Or(targetKey, key))
	if err != nil {
		return nil, err
	}
	if err := c.caller.Require("/storage/"+r.volume.storage(), "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	typ := map[string]string{"qemu": "qmmove", "lxc": "move_volume"}[g.Kind]
	name := fmt.Sprintf("%d-%s>%d-%s", g.VMID, r.key, id, r.targetKey)
	return c.fork(c.now, c.node, c.caller.User, typ, name, g.VMID, func(now time.Time) outcome {
		j := &journal{began: now}
		if g.Kind == "qemu" {
			j.say("moving disk '%s' from VM '%d' to '%d'", r.key, g.VMID, id)
			j.say("removing disk '%s' from VM '%d' config", r.key, g.VMID)
		} else {
			j.say("moving volume '%s' from container '%d' to '%d'", r.key, g.VMID, id)
			j.say("removing volume '%s' from container '%d' config", r.key, g.VMID)
			j.say("target container '%d' updated with '%s'", id, r.targetKey)
		}
		j.pass(200 * time.Millisecond)
		return j.done(func(time.Time) { c.hand(r) })
	}), nil
}

func isUnused(key string) bool { return withoutIndex(key) == "unused" }

// reassignmentOf checks what is to be given to whom, in PVE's order and words.
func (c *call) reassignmentOf(g *guest, key, targetKey string) (reassignment, error) {
	id, r := c.number("target-vmid", 0), reassignment{source: g, key: key, targetKey: targetKey}
	r.target = c.guests[id]
	if g.Kind == "lxc" {
		if key == "rootfs" || targetKey == "rootfs" {
			return r, die("Cannot move to/from 'rootfs'")
		}
		if isUnused(key) && !isUnused(targetKey) {
			return r, die("Moving an unused volume to a used one is not possible")
		}
	}
	noun, nouns := "VM", "VMs"
	if g.Kind == "lxc" {
		noun, nouns = "container", "containers"
	}
	switch {
	case r.target == nil && g.Kind == "lxc":
		return r, die("could not find CT %d", id)
	case r.target == nil:
		return r, die("could not find target VM %d", id)
	case r.target.Node != g.Node:
		return r, die("Both %s need to be on the same node (%s != %s)", nouns, g.Node, r.target.Node)
	}
	if err := g.unlocked(); err != nil {
		return r, err
	}
	if r.target.Kind != g.Kind {
		return r, noConfig(g.Node, g.Kind, id)
	}
	if err := r.target.unlocked(); err != nil {
		return r, err
	}
	if g.template() || r.target.template() {
		return r, die("Can't move %s from or to template %s", map[string]string{"qemu": "disks", "lxc": "volumes"}[g.Kind], map[string]string{"qemu": "VMs", "lxc": "CT"}[g.Kind])
	}
	for _, seen := range []struct {
		digest string
		g      *guest
	}{{c.str("digest"), g}, {c.str("target-digest"), r.target}} {
		if seen.digest != "" && seen.digest != seen.g.configDigest() {
			return r, die("%s %d: %s", strings.ToUpper(noun[:1])+noun[1:], seen.g.VMID, otherDigest)
		}
	}
	return r, c.reassignable(&r)
}

// reassignable finds the volume and checks that it can go.
func (c *call) reassignable(r *reassignment) error {
	g, drive := r.source, r.source.Config[r.key]
	words := map[string][]string{
		"qemu": {
			"Disk '%s' for VM '%d' does not exist", "Target disk key '%s' is already in use for VM '%d'", "Can't move disk used by a snapshot to another VM",
			"Storage does not support moving of this disk to another VM", "Cannot move disk to another VM while the source VM is running - detach first",
		},
		"lxc": {
			"volume '%s' for container '%d' does not exist", "Target volume key '%s' is already in use for container '%d'", "Cannot move volume used by a snapshot to another container",
			"Storage does not support moving of this disk to another container", "Cannot move in-use volume while the source CT is running - detach or shutdown first",
		},
	}[g.Kind]
	if drive == "" {
		return die(words[0], r.key, g.VMID)
	}
	if r.target.Config[r.targetKey] != "" {
		return die(words[1], r.targetKey, r.target.VMID)
	}
	if g.Kind == "qemu" && propstring.IsCDROM(drive) && !propstring.IsCloudInit(drive) {
		return die("CD drive contents can't be moved to another VM")
	}
	r.volume = c.volumeOf(propstring.Volume(drive), g.Node)
	switch v := r.volume; {
	case v == nil:
		return die("volume '%s' does not exist", propstring.Volume(drive))
	case g.isInSnapshot(v.ID):
		return die("%s", words[2])
	case v.base():
		return die("%s", words[3])
	case g.now.running && !isUnused(r.key):
		return die("%s", words[4])
	}
	return nil
}

// hand gives the volume a name of the new owner's, and a place in its configuration.
func (c *call) hand(r reassignment) {
	v := r.volume
	to := c.newVolume(request{storage: v.storage(), node: r.source.Node, vmid: r.target.VMID, name: "disk", content: v.Content, format: v.Format, size: v.Size})
	v.VMID = r.target.VMID
	moved := c.relocateVolume(v, to.ID, r.source.Node)
	r.target.Config[r.targetKey] = propstring.SetVolume(r.source.Config[r.key], moved.ID)
	if isUnused(r.targetKey) {
		r.target.Config[r.targetKey] = moved.ID
	}
	delete(r.source.Config, r.key)
	r.source.leaveBootOrder(r.key)
}

// leaveBootOrder takes a device out of the order in which a VM boots from its devices.
func (g *guest) leaveBootOrder(key string) {
	order, ok := strings.CutPrefix(g.Config["boot"], "order=")
	if !ok {
		return
	}
	var left []string
	for device := range strings.SplitSeq(order, ";") {
		if device != key {
			left = append(left, device)
		}
	}
	g.Config["boot"] = "order=" + strings.Join(left, ";")
}
