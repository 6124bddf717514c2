package pvesim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// cloning is what a clone is made of.
type cloning struct {
	source   *guest
	config   map[string]string // of the source or its snapshot
	full     bool
	storage  string // of the copies; "" means where the originals are
	target   string // node
	snapname string
}

// cloneVM and cloneCT copy a guest, or link to a template's volumes.
func cloneVM(c *call, g *guest) (any, error) {
	k, err := c.cloneOf(g)
	if err != nil {
		return nil, err
	}
	id := c.number("newid", 0)
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
	return c.cloneTask(k, c.number("newid", 0), "vzclone", func(config map[string]string) {
		if c.str("hostname") != "" {
			config["hostname"] = c.str("hostname")
		}
	})
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
	if g.Kind == "lxc" {
		if err := c.unusedID(c.number("newid", 0)); err != nil {
			return k, err
		}
	}
	if c.params["full"] != nil {
		k.full = c.flag("full")
	}
	if err := c.cloneSource(&k); err != nil {
		return k, err
	}
	for _, key := range diskKeys(g.Kind, k.config) {
		if err := c.cloneSpace(k, key); err != nil {
			return k, err
		}
		if g.Kind == "lxc" {
			if err := c.cloneable(k, key); err != nil {
				return k, err
			}
		}
	}
	if err := c.mayBridges(k.config); err != nil {
		return k, err
	}
	if k.target != g.Node && !c.cloneIsShared(k) {
		return k, die("can't clone %s to node '%s' (%s uses local storage)", g.noun(), k.target, g.noun())
	}
	if g.Kind == "lxc" {
		return k, nil
	}
	if id := c.number("newid", 0); c.hasConfig(g.Kind, id) {
		return k, die("unable to create VM %d: config file already exists", id)
	}
	for _, key := range sortedKeys(k.config) {
		if key == "tpmstate0" && k.full && g.now.running && k.snapname == "" {
			return k, die("cannot clone TPM state while VM is running")
		}
		if slices.Contains(diskKeys(g.Kind, k.config), key) {
			if err := c.cloneable(k, key); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}

// cloneSource finds the configuration that is cloned. A VM's snapshot is looked for before,
// and a container's after the storage of a linked clone is refused.
func (c *call) cloneSource(k *cloning) error {
	find := func() error {
		if k.snapname = c.str("snapname"); k.snapname == "" {
			return nil
		}
		snap, err := k.source.snapshot(k.snapname)
		if err == nil {
			k.config = snap.Config
		}
		return err
	}
	if k.source.Kind == "qemu" {
		if err := find(); err != nil {
			return err
		}
	}
	for _, p := range []string{"storage", "format"} {
		if !k.full && c.str(p) != "" {
			return die("parameter '%s' not allowed for linked clones", p)
		}
	}
	if k.source.Kind == "lxc" {
		return find()
	}
	return nil
}

// cloneIsShared reports whether all nodes see the volumes of the clone.
func (c *call) cloneIsShared(k cloning) bool {
	for _, key := range diskKeys(k.source.Kind, k.config) {
		own, _, _ := strings.Cut(propstring.Volume(k.config[key]), ":")
		if st := c.storageNamed(cmp.Or(k.storage, own)); st != nil && !st.everywhere() {
			return false
		}
	}
	return true
}

// hasConfig reports whether this node has a guest of a kind with an id, which is all
// that PVE looks for before a clone's task.
func (c *call) hasConfig(kind string, id int) bool {
	g := c.guests[id]
	return g != nil && g.Kind == kind && g.Node == c.node.Name
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

// cloneSpace wants room for the copy of one disk.
func (c *call) cloneSpace(k cloning, key string) error {
	id := propstring.Volume(k.config[key])
	storage, _, ok := strings.Cut(id, ":")
	switch {
	case !ok && k.source.Kind == "lxc":
		return die("unable to clone mountpoint '%s' (type %s)", key, map[bool]string{true: "device", false: "bind"}[strings.HasPrefix(id, "/dev/")])
	case !ok:
		return die("unable to parse volume ID '%s'", id)
	}
	storage = cmp.Or(k.storage, storage)
	if c.storageNamed(storage) == nil {
		return die("storage '%s' does not exist", storage)
	}
	return c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace")
}

// cloneable checks whether one disk of the source can be cloned.
func (c *call) cloneable(k cloning, key string) error {
	id := propstring.Volume(k.config[key])
	ofSnap, lxc := k.snapname != "", k.source.Kind == "lxc"
	if lxc && k.full {
		if k.source.now.running && !ofSnap {
			return die("Cannot do full clones on a running container without snapshots")
		}
		return nil
	}
	feature, word := "clone", "Linked"
	if k.full || key == "tpmstate0" || propstring.IsCloudInit(k.config[key]) {
		feature, word = "copy", "Full"
	}
	v := c.volumeOf(id, k.source.Node)
	if v == nil {
		return die("volume '%s' does not exist", id)
	}
	files := lxc && c.storageNamed(v.storage()).Type != "btrfs" && c.storageNamed(v.storage()).traits().files
	if c.supports(v, feature, ofSnap) && !files { // a linked file would be in qcow2, which containers cannot use
		return nil
	}
	if lxc {
		return die("Linked clone feature for '%s' is not available", id)
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
			config["description"] = c.normal(g.Kind, "description", c.str("description"))
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
