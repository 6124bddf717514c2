package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// localDisk is a volume that its guest's other nodes do not see.
type localDisk struct {
	*volume
	key      string
	attached bool
	cdrom    bool
}

// localDisks are the volumes that keep a guest on its node, unused ones first.
func (s *state) localDisks(g *guest) []localDisk {
	var out []localDisk
	keys := sortedKeys(g.Config)
	slices.SortStableFunc(keys, func(a, b string) int {
		return bit(index(b) == "unused") - bit(index(a) == "unused")
	})
	for _, key := range keys {
		v := s.volumeOf(volumeIn(g.Config[key]), g.Node)
		if v == nil || !isDrive(g.Kind, key) || v.Node == "" {
			continue
		}
		out = append(out, localDisk{v, key, index(key) != "unused", isCDROM(g.Config[key])})
	}
	return out
}

// unavailable are the storages of a guest that a node does not have.
func (s *state) unavailable(g *guest, node string) []string {
	missing := map[string]bool{}
	for _, key := range disks(g.Kind, g.Config) {
		storage, _, ok := strings.Cut(volumeIn(g.Config[key]), ":")
		if _, err := s.usable(storage, node); ok && err != nil {
			missing[storage] = true
		}
	}
	return sortedKeys(missing)
}

// getMigrateVM says where a VM may go, and what goes with it.
func getMigrateVM(c *call, g *guest) (any, error) {
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
			item["is_cloudinit"] = bit(isCloudInit(g.Config[d.key]))
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
	return out, nil
}

func getMigrateCT(c *call, g *guest) (any, error) {
	allowed, not := c.migrationNodes(g)
	return map[string]any{"running": bit(g.now.running), "allowed-nodes": allowed, "not-allowed-nodes": not}, nil
}

// migrationNodes are the nodes where a guest's storages are, and for each other
// node what it lacks.
func (c *call) migrationNodes(g *guest) (allowed []string, not map[string]any) {
	allowed, not = []string{}, map[string]any{}
	for _, n := range c.nodes {
		if n.Name == g.Node || n.Offline {
			continue
		}
		lacks := map[string]any{}
		if missing := c.unavailable(g, n.Name); len(missing) > 0 && g.Kind == "qemu" {
			lacks["unavailable_storages"] = missing
		} else {
			allowed = append(allowed, n.Name)
		}
		not[n.Name] = lacks
	}
	return allowed, not
}

func migrateVM(c *call, g *guest) (any, error) {
	for _, p := range []string{"force", "migration_network", "migration_type"} {
		if c.params[p] != nil {
			return nil, badParam(p, "Only root may use this option.")
		}
	}
	target, err := c.migrationTarget(g)
	if err != nil {
		return nil, err
	}
	if g.now.running && !c.flag("online") {
		return nil, die("can't migrate running VM without --online")
	}
	if missing := c.unavailable(g, target.Name); len(missing) > 0 && c.str("targetstorage") == "" {
		return nil, die("storage '%s' is not available on node '%s'", missing[0], target.Name)
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
	target, err := c.migrationTarget(g)
	if err != nil {
		return nil, err
	}
	if g.now.running && !c.flag("online") && !c.flag("restart") {
		return nil, die("can't migrate running container without --online or --restart")
	}
	return c.migrationTask(g, target, "vzmigrate", func(j *journal, _ map[string]string) (outcome, bool) {
		if g.now.running && !c.flag("restart") {
			j.say("ERROR: migration aborted (duration 00:00:00): lxc live migration is currently not implemented")
			return j.fail(die("migration aborted")), true
		}
		return outcome{}, false
	})
}

// migrationTarget checks what is checked before a migration's task.
func (c *call) migrationTarget(g *guest) (*node, error) {
	name := c.str("target")
	if name == c.node.Name {
		return nil, badParam("target", "target is local node.")
	}
	target := c.nodeNamed(name)
	if target == nil {
		return nil, die("no such cluster node '%s'", name)
	}
	for _, p := range []string{"targetstorage", "target-storage"} {
		stores := c.str(p)
		if stores == "" {
			continue
		}
		if err := c.caller.Require(aclPath(g.VMID), "VM.Config.Disk"); err != nil {
			return nil, err
		}
		for _, id := range slices.Collect(maps.Values(storageMap(stores))) {
			if id == "1" {
				continue
			}
			if err := c.caller.Require("/storage/"+id, "Datastore.AllocateSpace"); err != nil {
				return nil, err
			}
			if _, err := c.usable(id, name); err != nil {
				return nil, err
			}
		}
	}
	if target.Offline {
		return nil, die("failed to connect to remote node '%s' (%s)", name, target.IP)
	}
	return target, g.unlocked()
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
	if g.HA != "" {
		return c.fork(c.now, c.node, c.caller.User, "hamigrate", fmt.Sprint(g.VMID), 0, func(time.Time) outcome {
			return done(haTakes, func(end time.Time) {
				c.later(end.Add(haActs), func(time.Time) { c.transport(g, target.Name, nil) })
			})
		}), nil
	}
	stores := storageMap(c.str("targetstorage") + c.str("target-storage"))
	return c.work(g, typ, func(now time.Time) outcome {
		j := &journal{began: now, stamp: true}
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

// migrating is a migration under way: the guest is locked, and stopped where it is
// restarted at the target.
func (c *call) migrating(g *guest, j *journal, target *node, stores map[string]string, then func(time.Time), stop bool) outcome {
	g.Config["lock"] = "migrate"
	if stop {
		c.set(g, guestState{})
	}
	o := j.done(func(end time.Time) {
		delete(g.Config, "lock")
		c.transport(g, target.Name, stores)
		then(end)
	})
	o.undo = func() { delete(g.Config, "lock") }
	return o
}

func (j *journal) found(g *guest, local []localDisk) {
	for _, d := range local {
		switch {
		case g.Kind == "lxc":
			j.say("found local volume '%s' (in current VM config)", d.ID)
		case d.attached:
			j.say("found local disk '%s' (attached)", d.ID)
		default:
			j.say("found local disk '%s' (unused)", d.ID)
		}
	}
}

// clockText writes a duration as hours, minutes and seconds.
func clockText(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// netSpeed is what volumes are sent to another node with, in bytes a second.
const netSpeed = 110 << 20

// copyLocal sends the volumes of a stopped guest.
func (j *journal) copyLocal(c *call, g *guest, stores map[string]string) {
	var local []localDisk
	for _, d := range c.localDisks(g) {
		if !d.cdrom {
			local = append(local, d)
		}
	}
	if len(local) > 0 && g.Kind == "qemu" {
		j.say("copying local disk images")
	}
	for _, d := range local {
		storage := mapped(stores, d.storage())
		j.pass(2 * time.Second)
		j.formatting(c.storageNamed(storage), d.Volume)
		for sent := int64(3 * netSpeed); sent < d.Size; sent += 3 * netSpeed {
			j.pass(3 * time.Second)
			j.say("%d bytes (%s) copied, %d s, %d MB/s", sent, renderBytes(sent), sent/netSpeed, netSpeed/1000000)
		}
		j.pass(2 * time.Second)
		_, name, _ := strings.Cut(d.ID, ":")
		j.say("successfully imported '%s:%s'", storage, name)
		j.say("volume '%s' is '%s:%s' on the target", d.ID, storage, name)
	}
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
		if d.attached && (d.cdrom || !c.flag("with-local-disks")) {
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
	if len(local) > 0 {
		j.mirror(c, g, local)
	}
	j.say("starting online/live migration on unix:/run/qemu-server/%d.migrate", g.VMID)
	j.ram(g)
	j.pass(4 * time.Second)
	j.say("migration finished successfully (duration %s)", clockText(j.at))
	return c.migrating(g, j, target, stores, func(time.Time) {}, false), true
}

// mirror copies the disks of a running VM.
func (j *journal) mirror(c *call, g *guest, local []localDisk) {
	job := "drive"
	if c.node.version.major >= 9 {
		job = "mirror"
	}
	j.say("starting storage migration")
	for _, d := range local {
		name := job + "-" + d.key
		j.say("%s: start migration to nbd:unix:/run/qemu-server/%d_nbd.migrate:exportname=drive-%s", d.key, g.VMID, d.key)
		j.bare("drive mirror is starting for %s", name)
		for sent, s := int64(0), 0; ; sent, s = min(sent+netSpeed, d.Size), s+1 {
			ready := ""
			if sent == d.Size {
				ready = ", ready"
			}
			j.bare("%s: transferred %s of %s (%.2f%%) in %ds%s", name, renderBytes(sent), renderBytes(d.Size), 100*float64(sent)/float64(max(d.Size, 1)), s, ready)
			if sent == d.Size {
				break
			}
			j.pass(time.Second)
		}
	}
	j.bare("all 'mirror' jobs are ready")
}

// ram copies the memory of a running VM.
func (j *journal) ram(g *guest) {
	total := g.maxMem()
	j.say("start migrate command to unix:/run/qemu-server/%d.migrate", g.VMID)
	for sent := int64(netSpeed); sent < total*2/5; sent += netSpeed {
		j.pass(time.Second)
		j.say("migration active, transferred %s of %s VM-state, %s/s", renderBytes(sent), renderBytes(total), renderBytes(netSpeed))
	}
	j.pass(time.Second)
	j.say("average migration speed: %s/s - downtime 9 ms", renderBytes(netSpeed))
	j.say("migration completed, transferred %s VM-state", renderBytes(total*2/5))
	j.say("migration status: completed")
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
		if c.volumeOf(id, target) != nil {
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
			if id := renamed[volumeIn(drive)]; isDrive(g.Kind, key) && id != "" {
				config[key] = withVolume(drive, id)
			}
		}
	}
	g.Node = target
	c.unaired[g.VMID] = true
}
