package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// localDisk is a volume that its guest's other nodes do not see.
type localDisk struct {
	*volume
	key      string
	attached bool
	cdrom    bool
}

// generated reports whether the target can make the volume itself.
func (d localDisk) generated() bool { return propstring.IsCloudInit(d.ID) }

// localDisks are the volumes that keep a guest on its node, unused ones first.
func (s *state) localDisks(g *guest) []localDisk {
	var out []localDisk
	keys := sortedKeys(g.Config)
	slices.SortStableFunc(keys, func(a, b string) int {
		return bit(withoutIndex(b) == "unused") - bit(withoutIndex(a) == "unused")
	})
	for _, key := range keys {
		v := s.volumeOf(propstring.Volume(g.Config[key]), g.Node)
		if v == nil || !propstring.IsDriveKey(g.Kind, key) || v.Node == "" {
			continue
		}
		out = append(out, localDisk{v, key, withoutIndex(key) != "unused", propstring.IsCDROM(g.Config[key])})
	}
	return out
}

// unavailable are the storages of a guest that a node does not have.
func (s *state) unavailable(g *guest, node string) []string {
	missing := map[string]bool{}
	for _, key := range disks(g.Kind, g.Config) {
		storage, _, ok := strings.Cut(propstring.Volume(g.Config[key]), ":")
		if _, err := s.usable(storage, node); ok && err != nil {
			missing[storage] = true
		}
	}
	return sortedKeys(missing)
}

// getMigrateVM says where a VM may go, and what goes with it.
func getMigrateVM(c *call, g *guest) (any, error) {
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	allowed, not := c.migrationNodes(g)
	local := []any{}
	for _, d := range c.localDisks(g) {
		item := map[string]any{
			"volid": d.ID, "cdrom": bit(d.cdrom), "is_attached": bit(d.attached), "is_unused": bit(!d.attached),
			"is_tpmstate": bit(d.key == "tpmstate0"), "is_vmstate": 0, "replicate": 1, "shared": 0,
		}
		if d.attached {
			item["drivename"], item["size"] = d.key, d.Size
		}
		if c.node.version.major >= 9 {
			item["is_cloudinit"] = bit(propstring.IsCloudInit(g.Config[d.key]))
		}
		local = append(local, item)
	}
	out := map[string]any{
		"running": bit(g.now.running), "allowed_nodes": allowed, "not_allowed_nodes": not, "local_disks": local,
		"local_resources": []any{}, "mapped-resources": []any{}, "mapped-resource-info": map[string]any{},
	}
	if c.node.version.major >= 9 {
		out["has-dbus-vmstate"] = 1
	}
	if c.node.version.major >= 9 && g.managed() {
		out["dependent-ha-resources"] = c.affine(g, "positive")
	}
	if c.node.version.major < 8 && g.now.running {
		delete(out, "allowed_nodes")
		delete(out, "not_allowed_nodes")
	}
	return out, nil
}

func getMigrateCT(c *call, g *guest) (any, error) {
	allowed, not := c.migrationNodes(g)
	out := map[string]any{"running": bit(g.now.running), "allowed-nodes": allowed, "not-allowed-nodes": not}
	if g.managed() {
		out["dependent-ha-resources"] = c.affine(g, "positive")
	}
	return out, nil
}

// migrationNodes are the nodes where a guest's storages are, and for each other
// node what it lacks.
func (c *call) migrationNodes(g *guest) (allowed []string, not map[string]any) {
	allowed, not = []string{}, map[string]any{}
	for _, n := range c.nodes {
		if n.Name == g.Node {
			continue
		}
		lacks := map[string]any{}
		if missing := c.unavailable(g, n.Name); len(missing) > 0 && g.Kind == "qemu" {
			lacks["unavailable_storages"] = missing
		}
		if blocking := c.blocking(g, n.Name); len(blocking) > 0 {
			lacks["blocking-ha-resources"] = blocking
		}
		if len(lacks) == 0 {
			allowed = append(allowed, n.Name)
		}
		not[n.Name] = lacks
	}
	return allowed, not
}

func migrateVM(c *call, g *guest) (any, error) {
	target, err := c.migrationTarget()
	if err != nil {
		return nil, err
	}
	if err := c.onlyRoot("force", "migration_type", "migration_network"); err != nil {
		return nil, err
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	if g.now.running && !c.flag("online") {
		return nil, die("can't migrate running VM without --online")
	}
	if err := c.mayTargets(g, c.str("targetstorage"), target.Name); err != nil {
		return nil, err
	}
	return c.migrationTask(g, target, "qmigrate", func(j *journal, stores map[string]string) (outcome, bool) {
		if g.now.running {
			return c.moveLive(j, g, target, stores)
		}
		if c.flag("online") {
			j.say("VM isn't running. Doing offline migration instead.")
		}
		return outcome{}, false
	})
}

func migrateCT(c *call, g *guest) (any, error) {
	target, err := c.migrationTarget()
	if err != nil {
		return nil, err
	}
	if g.now.running && !c.flag("online") && !c.flag("restart") {
		return nil, die("can't migrate running container without --online or --restart")
	}
	if stores := c.str("target-storage"); stores != "" {
		if err := c.mayTargets(g, stores, target.Name); err != nil {
			return nil, err
		}
	}
	return c.migrationTask(g, target, "vzmigrate", func(j *journal, _ map[string]string) (outcome, bool) {
		if g.now.running && !c.flag("restart") {
			j.say("ERROR: migration aborted (duration 00:00:00): lxc live migration is currently not implemented")
			return j.fail(die("migration aborted")), true
		}
		return outcome{}, false
	})
}

// migrationTarget is the node that a guest is to go to.
func (c *call) migrationTarget() (*node, error) {
	name := c.str("target")
	if name == c.node.Name {
		return nil, badParam("target", "target is local node.")
	}
	target := c.nodeNamed(name)
	if target == nil {
		return nil, die("no such cluster node '%s'", name)
	}
	return target, nil
}

// mayTargets checks the storages that a guest's volumes are to go to: those that
// are named for them, or their own.
func (c *call) mayTargets(g *guest, stores, target string) error {
	targets := storageMap(stores)
	own := len(targets) == 0 || targets[""] == "1"
	if own {
		if missing := c.unavailable(g, target); len(missing) > 0 {
			_, err := c.usable(missing[0], target)
			return err
		}
		return nil
	}
	if err := c.caller.Require(aclPath(g.VMID), "VM.Config.Disk"); err != nil {
		return err
	}
	for _, from := range sortedKeys(targets) {
		id := targets[from]
		st, err := c.usable(id, target)
		if err != nil {
			return err
		}
		if err := c.caller.Require("/storage/"+id, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		if g.Kind == "qemu" && !st.holds("images") {
			return die("storage '%s' does not support vm images", id)
		}
	}
	return nil
}

// storageMap reads a map of storages: a:b,c:d, or one for all, which is that of "".
func storageMap(s string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(part, ":")
		if !ok {
			from, to = "", part
		}
		if part != "" {
			out[from] = to
		}
	}
	return out
}

// mapped returns the storage that takes the place of another.
func mapped(stores map[string]string, storage string) string {
	for _, from := range []string{storage, ""} {
		if to := stores[from]; to != "" && to != "1" {
			return to
		}
	}
	return storage
}

// migrationTask moves a guest, or asks the HA manager to. Special does what is
// particular, and says whether that was all.
func (c *call) migrationTask(g *guest, target *node, typ string, special func(*journal, map[string]string) (outcome, bool)) (any, error) {
	if g.managed() {
		return c.fork(c.now, c.node, c.caller.User, "hamigrate", fmt.Sprint(g.VMID), 0, func(time.Time) outcome {
			o := done(haTakes, func(end time.Time) {
				c.moveByHA(g, target, false, end)
				for _, sid := range c.affine(g, "positive") {
					c.moveByHA(c.guestOf(sid), target, false, end)
				}
			})
			o.log = []entry{{text: fmt.Sprintf("Requesting HA migration for %s %d to node %s", g.noun(), g.VMID, target.Name)}}
			return o
		}), nil
	}
	stores := storageMap(c.str("targetstorage") + c.str("target-storage"))
	return c.work(g, typ, func(now time.Time) outcome {
		j := &journal{began: now, stamp: true}
		if refused := cmp.Or(g.unlocked(), reach(target), c.canHold(target, g, stores)); refused != nil {
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
		return c.migrating(g, j, target, stores, func(end time.Time) {
			if restart {
				c.set(g, guestState{running: true, since: end})
			}
		}, restart)
	})
}

// reach says why a node cannot be reached.
func reach(n *node) error {
	if n.Offline {
		return die("Can't connect to destination address using public key")
	}
	return nil
}

// canHold says why a node cannot hold a guest's volumes where they are to go to the
// storages that they are on.
func (c *call) canHold(n *node, g *guest, stores map[string]string) error {
	if missing := c.unavailable(g, n.Name); len(stores) == 0 && len(missing) > 0 {
		_, err := c.usable(missing[0], n.Name)
		return err
	}
	return nil
}

// migrating is a migration under way: the guest is locked, and stopped where it is
// restarted at the target.
func (c *call) migrating(g *guest, j *journal, target *node, stores map[string]string, then func(time.Time), stop bool) outcome {
	g.Config["lock"] = "migrate"
	if stop {
		c.set(g, guestState{})
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
		c.transport(g, target.Name, stores)
		for _, v := range kept {
			c.volumes[place{v.Node, v.ID}] = v
		}
		then(end)
	})
	if c.fault.Keeps != "" {
		o.exit = "migration problems"
	}
	o.brief, o.undo = true, func() { delete(g.Config, "lock") }
	return o
}

// moveLive moves a running VM with its RAM, and its disks where that is allowed.
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
	return c.migrating(g, j, target, stores, func(time.Time) {}, false), true
}

// transport puts a guest on another node, its volumes on the storages that are
// named for them.
func (c *call) transport(g *guest, target string, stores map[string]string) {
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
		c.move(v, id, target)
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
	c.unaired[g.VMID] = true
}
