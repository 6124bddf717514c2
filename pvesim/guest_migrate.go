package pvesim

import (
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
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
	for _, key := range diskKeys(g.Kind, g.Config) {
		storage, _, ok := strings.Cut(propstring.Volume(g.Config[key]), ":")
		if _, err := s.usable(storage, node); ok && err != nil {
			missing[storage] = true
		}
	}
	return sortedKeys(missing)
}

// localResourceRE matches the keys of devices that a VM has of its node.
var localResourceRE = lazyregexp.New(`^(?:hostpci|usb|serial|parallel)\d+$`)

// localResources are the devices of a VM that keep it on its node: those without a mapping, and
// neither SPICE's USB nor sockets.
func (g *guest) localResources() []any {
	out := []any{}
	for _, key := range sortedKeys(g.Config) {
		value := g.Config[key]
		if localResourceRE.MatchString(key) && !strings.Contains(value, "mapping=") && !strings.HasPrefix(value, "spice") && value != "socket" {
			out = append(out, key)
		}
	}
	return out
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
		"local_resources": g.localResources(), "mapped-resources": []any{}, "mapped-resource-info": map[string]any{},
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
	if c.node.version.major >= 9 && g.managed() {
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
	if jobs := c.replicationsOf(g); g.now.running && len(jobs) > 0 && !slices.ContainsFunc(jobs, func(r Replication) bool { return r.Target == target.Name }) {
		return nil, die("Cannot live-migrate replicated VM to node '%s' - not a replication target. Use 'force' to override.", target.Name)
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

// replicationsOf are the jobs that copy a guest to other nodes.
func (s *state) replicationsOf(g *guest) []Replication {
	return slices.DeleteFunc(slices.Clone(s.replications), func(r Replication) bool { return r.guest() != g.VMID })
}

// checkTarget refuses a target of a migration before it is known whether there is such a guest.
func checkTarget(c *call) error {
	_, err := c.migrationTarget()
	return err
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
