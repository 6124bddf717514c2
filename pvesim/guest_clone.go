package pvesim

import (
	"cmp"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// cloning is what a clone is made of.
type cloning struct {
	source  *guest
	config  map[string]string // of the source or its snapshot
	full    bool
	storage string // of the copies; "" means where the originals are
	target  string // node
}

// cloneVM and cloneCT copy a guest, or link to a template's volumes.
func cloneVM(c *call, g *guest) (any, error) {
	k, err := c.cloneOf(g)
	if err != nil {
		return nil, err
	}
	id := c.number("newid", 0)
	if c.hasConfig(g.Kind, id) {
		return nil, die("unable to create VM %d: config file already exists", id)
	}
	return c.cloneTask(k, id, "qmclone", func(config map[string]string) {
		config["name"] = c.str("name")
		if config["name"] == "" {
			config["name"] = "Copy-of-VM-" + cmp.Or(k.config["name"], strconv.Itoa(g.VMID))
		}
		if config["vmgenid"] != "" {
			config["vmgenid"] = c.uuid("vmgenid")
		}
		config["smbios1"] = strings.Trim("uuid="+c.uuid("smbios")+","+propstring.Set(config["smbios1"], "uuid", ""), ",")
	})
}

func cloneCT(c *call, g *guest) (any, error) {
	k, err := c.cloneOf(g)
	if err != nil {
		return nil, err
	}
	id := c.number("newid", 0)
	if c.hasConfig(g.Kind, id) {
		return nil, die("unable to create CT %d: config file already exists", id)
	}
	return c.cloneTask(k, id, "vzclone", func(config map[string]string) {
		if c.str("hostname") != "" {
			config["hostname"] = c.str("hostname")
		}
	})
}

// hasConfig reports whether this node has a guest of a kind with an id, which is all
// that PVE looks for before a clone's task.
func (c *call) hasConfig(kind string, id int) bool {
	g := c.guests[id]
	return g != nil && g.Kind == kind && g.Node == c.node.Name
}

// cloneOf checks what is to be cloned, in PVE's order.
func (c *call) cloneOf(g *guest) (cloning, error) {
	k := cloning{source: g, config: g.Config, storage: c.str("storage"), target: c.node.Name, full: !g.template()}
	if err := c.cloneTarget(&k); err != nil {
		return k, err
	}
	if err := g.unlocked(); err != nil {
		return k, err
	}
	snapname := c.str("snapname")
	if snapname != "" {
		snap, err := g.snapshot(snapname)
		if err != nil {
			return k, err
		}
		k.config = snap.Config
	}
	if c.params["full"] != nil {
		k.full = c.flag("full")
	}
	for _, p := range []string{"storage", "format"} {
		if !k.full && c.str(p) != "" {
			return k, die("parameter '%s' not allowed for linked clones", p)
		}
	}
	if err := c.mayBridges(k.config); err != nil {
		return k, err
	}
	if k.full && g.Kind == "lxc" && g.now.running && snapname == "" {
		return k, die("Cannot do full clones on a running container without snapshots")
	}
	for _, key := range diskKeys(g.Kind, k.config) {
		if err := c.cloneable(k, key, snapname != ""); err != nil {
			return k, err
		}
	}
	if shared := c.sharedNodes(g); k.target != g.Node && len(shared) < 2 {
		return k, die("can't clone %s to node '%s' (%s uses local storage)", g.noun(), k.target, g.noun())
	}
	return k, nil
}

// cloneTarget checks where the clone is to be.
func (c *call) cloneTarget(k *cloning) error {
	if err := c.poolExists(); err != nil {
		return err
	}
	target := c.str("target")
	if target != "" && target != c.node.Name {
		if c.nodeNamed(target) == nil {
			return die("no such cluster node '%s'", target)
		}
		k.target = target
	}
	if k.storage == "" {
		return nil
	}
	st, err := c.usable(k.storage, c.node.Name)
	if err != nil {
		return err
	}
	if k.source.Kind == "qemu" && !st.holds("images") {
		return badParam("storage", "storage '%s' does not support vm images", k.storage)
	}
	if k.target == c.node.Name {
		return nil
	}
	if _, err := c.usable(k.storage, k.target); err != nil {
		return err
	}
	if !st.everywhere() {
		return die("can't clone to non-shared storage '%s'", k.storage)
	}
	return nil
}

// cloneable checks one disk of the source.
func (c *call) cloneable(k cloning, key string, ofSnap bool) error {
	id := propstring.Volume(k.config[key])
	v := c.volumeOf(id, k.source.Node)
	if v == nil {
		return die("volume '%s' does not exist", id)
	}
	if err := c.caller.Require("/storage/"+cmp.Or(k.storage, v.storage()), "Datastore.AllocateSpace"); err != nil {
		return err
	}
	feature, word := "clone", "Linked"
	if k.full {
		feature, word = "copy", "Full"
	}
	lxc := k.source.Kind == "lxc"
	files := lxc && !k.full && c.storageNamed(v.storage()).Type != "btrfs" && c.storageNamed(v.storage()).traits().files
	if c.supports(v, feature, ofSnap) && !files { // a linked file would be in qcow2, which containers cannot use
		return nil
	}
	if lxc {
		return die("%s clone feature for '%s' is not available", word, id)
	}
	if ofSnap {
		return die("%s clone feature is not supported for a snapshot of '%s' (%s)", word, id, key)
	}
	return die("%s clone feature is not supported for '%s' (%s)", word, id, key)
}

func (c *call) cloneTask(k cloning, id int, typ string, rename func(map[string]string)) (any, error) {
	upid := c.fork(c.now, c.node, c.caller.User, typ, strconv.Itoa(k.source.VMID), 0, func(now time.Time) outcome {
		if c.guests[id] != nil {
			dir := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[k.source.Kind]
			return failed(0, "close (rename) atomic file '/etc/pve/nodes/%s/%s/%d.conf' failed: File exists", c.node.Name, dir, id)
		}
		g := c.reserve(k.source.Kind, id, "clone")
		g.IgnoresShutdown, g.AgentDead, g.Programs = k.source.IgnoresShutdown, k.source.AgentDead, k.source.Programs
		j := &journal{began: now}
		if c.node.version.major >= 9 && g.Kind == "qemu" {
			j.say("creating a clone of VM %d with ID %d", k.source.VMID, id)
		}
		config, volumes := c.cloneConfig(j, k, id)
		rename(config)
		if k.source.Kind == "lxc" {
			k.source.Config["lock"] = "disk"
		}
		if c.str("description") != "" {
			config["description"] = c.normal(g.Kind, "description", c.str("description"), "")
		}
		j.pass(200 * time.Millisecond)
		release := func() {
			if k.source.Config["lock"] == "disk" {
				delete(k.source.Config, "lock")
			}
		}
		o := j.done(func(time.Time) {
			release()
			g.Config = config
			c.copyFirewall(strconv.Itoa(k.source.VMID), strconv.Itoa(id))
			c.relocateGuest(g, k.target)
		})
		o.interrupted = "clone failed: interrupted by signal"
		o.undo = func() {
			release()
			madeDrives{volumes: volumes}.undo(&c.state)
			c.remove(g)
		}
		return o
	})
	return upid, nil
}

// cloneConfig copies the source's configuration and disks.
func (c *call) cloneConfig(j *journal, k cloning, id int) (map[string]string, []*volume) {
	config := maps.Clone(k.config)
	for key := range config {
		switch {
		case withoutIndex(key) == "unused", key == "lock", key == "vmstate", key == "runningmachine", key == "runningcpu", key == "parent", key == "template", key == "protection" && k.source.template():
			delete(config, key)
		case withoutIndex(key) == "net":
			config[key] = strings.Replace(config[key], macOf(config[key]), c.mac(), 1)
		}
	}
	var volumes []*volume
	for _, key := range diskKeys(k.source.Kind, config) {
		old := c.volumeOf(propstring.Volume(config[key]), k.source.Node)
		var v *volume
		if k.full {
			storage := k.storage
			if storage == "" {
				storage = old.storage()
			}
			format := c.str("format")
			if format == "" {
				format = old.Format
			}
			v = c.copyDisk(j, k.source.Kind, key, old, id, request{storage: storage, node: k.source.Node, format: format})
		} else {
			v = c.linkDisk(j, k.source.Kind, key, old, id)
		}
		volumes = append(volumes, v)
		config[key] = propstring.Set(propstring.SetVolume(config[key], v.ID), "format", "")
	}
	return config, volumes
}

// linkDisk makes a linked clone of a base.
func (c *call) linkDisk(j *journal, kind, key string, base *volume, vmid int) *volume {
	v := c.newVolume(request{
		storage: base.storage(), node: base.Node, vmid: vmid, name: "disk", content: base.Content, format: base.Format, size: base.Size, base: base,
	})
	what := "drive"
	if kind == "lxc" {
		what = "mountpoint"
	}
	j.say("create linked clone of %s %s (%s)", what, key, base.ID)
	if st := c.storageNamed(base.storage()); st.traits().files && v.Parent != "" {
		_, name, _ := strings.Cut(base.ID, ":")
		j.say("clone %s: images, %s, %d to %s (base=../%s)", name, v.file(), vmid, v.file(), name)
		j.formatting(st, v)
	}
	return c.addVolume(v, c.now)
}

// relocateGuest puts a guest on a node, with the volumes that are not shared.
func (c *call) relocateGuest(g *guest, node string) {
	if g.Node == node {
		return
	}
	for _, v := range c.ownedVolumes(g) {
		if v.Node != "" {
			c.relocateVolume(v, v.ID, node)
		}
	}
	g.Node = node
	c.unannounced[g.VMID] = true
}
