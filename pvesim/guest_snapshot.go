package pvesim

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// snapshot returns the guest's snapshot of a name.
func (g *guest) snapshot(name string) (*snapshot, error) {
	for _, s := range g.snaps {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, die("snapshot '%s' does not exist", name)
}

// diskKeys returns the keys of the volumes that belong to the guest as it is: neither
// drives for removable media nor unused ones.
func diskKeys(kind string, config map[string]string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if propstring.IsDriveKey(kind, key) && !strings.HasPrefix(key, "unused") && !propstring.IsCDROM(config[key]) {
			keys = append(keys, key)
		}
	}
	return keys
}

// hasFeature reports whether all of the guest's volumes have a feature.
func (s *state) hasFeature(g *guest, config map[string]string, feature string, ofSnap bool) bool {
	for _, key := range diskKeys(g.Kind, config) {
		v := s.volumeOf(propstring.Volume(config[key]), g.Node)
		if v == nil || !s.supports(v, feature, ofSnap) {
			return false
		}
		if g.Kind == "lxc" && feature == "snapshot" && s.storageNamed(v.storage()).traits().files && v.Format != "subvol" {
			return false // files of containers are raw
		}
	}
	return true
}

func guestFeature(c *call, g *guest) (any, error) {
	config, name := g.Config, c.str("snapname")
	if name != "" {
		snap, err := g.snapshot(name)
		if err != nil {
			return nil, err
		}
		config = snap.Config
	}
	out := map[string]any{"hasFeature": bit(c.hasFeature(g, config, c.str("feature"), name != ""))}
	if g.Kind == "qemu" {
		out["nodes"] = c.sharedNodes(g)
	}
	return out, nil
}

// sharedNodes are the nodes that see all of the guest's volumes.
func (s *state) sharedNodes(g *guest) []string {
	for key, drive := range g.Config {
		storage, _, _ := strings.Cut(propstring.Volume(drive), ":")
		if st := s.storageNamed(storage); propstring.IsDriveKey(g.Kind, key) && withoutIndex(key) != "unused" && st != nil && !st.everywhere() {
			return []string{g.Node}
		}
	}
	var names []string
	for _, n := range s.nodes {
		names = append(names, n.Name)
	}
	return names
}

// snapshotFields are a snapshot's configuration and what is kept with it.
func (c *call) snapshotFields(g *guest, snap *snapshot) map[string]any {
	out := c.typedAll(g, snap.Config)
	out["snaptime"] = snap.taken.Unix()
	for key, value := range map[string]string{"description": snap.Description, "parent": snap.Parent, "vmstate": snap.VMState, "snapstate": snap.Phase} {
		delete(out, key)
		if value != "" {
			out[key] = value
		}
	}
	return out
}

func listSnapshots(c *call, g *guest) (any, error) {
	out := []any{}
	for _, snap := range g.snaps {
		item := map[string]any{"name": snap.Name, "description": snap.Description, "snaptime": snap.taken.Unix()}
		if g.Kind == "qemu" {
			item["vmstate"] = bit(snap.VMState != "")
		}
		if snap.Parent != "" {
			item["parent"] = snap.Parent
		}
		if snap.Phase != "" {
			item["snapstate"] = snap.Phase
		}
		out = append(out, item)
	}
	now := map[string]any{"name": "current", "description": "You are here!", "digest": g.configDigest(), "running": bit(g.now.running)}
	if parent := g.Config["parent"]; parent != "" {
		now["parent"] = parent
	}
	return append(out, now), nil
}

func getSnapshotConfig(c *call, g *guest) (any, error) {
	snap, err := g.snapshot(c.str("snapname"))
	if err != nil {
		return nil, err
	}
	return c.snapshotFields(g, snap), nil
}

func putSnapshotConfig(c *call, g *guest) (any, error) {
	if c.params["description"] == nil {
		return nil, nil
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	snap, err := g.snapshot(c.str("snapname"))
	if err != nil {
		return nil, err
	}
	snap.Description = c.str("description")
	return nil, nil
}

// taskPrefix is the beginning of a guest's task types.
func (g *guest) taskPrefix() string {
	if g.Kind == "lxc" {
		return "vz"
	}
	return "qm"
}

// checkSnapshotName refuses the names that are PVE's own.
func checkSnapshotName(reserved string) func(*call) error {
	return func(c *call) error {
		for _, name := range []string{"current", reserved} {
			if c.str("snapname") == name || name == "pending" && strings.EqualFold(c.str("snapname"), name) {
				return die("unable to use snapshot name '%s' (reserved name)", name)
			}
		}
		return nil
	}
}

func createSnapshot(c *call, g *guest) (any, error) {
	name := c.str("snapname")
	return c.startGuestTask(g, g.taskPrefix()+"snapshot", func(now time.Time) outcome {
		if err := c.snapshotRefusal(g, name); err != nil {
			return failedBy(err)
		}
		j := &journal{began: now}
		snap := &snapshot{Snapshot: Snapshot{
			Name: name, Description: c.str("description"), Parent: g.Config["parent"], Config: maps.Clone(g.Config), Phase: "prepare",
		}, taken: now}
		delete(snap.Config, "parent")
		delete(snap.Config, "description")
		maps.DeleteFunc(snap.Config, func(key, _ string) bool { return withoutIndex(key) == "unused" })
		if c.flag("vmstate") && g.now.running && g.Kind == "qemu" {
			snap.VMState = c.saveRAM(j, g, "state-"+name, c.stateStorage(g)).ID
			snap.Config["runningmachine"], snap.Config["runningcpu"] = c.runningMachine(), "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep"
		} else if c.node.version.major >= 9 && g.Kind == "qemu" && g.now.running && !g.agentOn() {
			j.say("skipping guest filesystem freeze - disabled in VM options")
		}
		j.pass(300 * time.Millisecond)
		for _, key := range diskKeys(g.Kind, g.Config) {
			if g.Kind == "qemu" {
				j.say("snapshotting 'drive-%s' (%s)", key, propstring.Volume(g.Config[key]))
			}
			if g.Kind == "qemu" && c.node.version.major >= 9 && c.storageNamed(c.volumeOf(propstring.Volume(g.Config[key]), g.Node).storage()).traits().files {
				j.say("internal qemu snapshot")
			}
		}
		g.Config["lock"] = "snapshot"
		g.snaps = append(g.snaps, snap)
		o := j.done(func(time.Time) {
			delete(g.Config, "lock")
			g.Config["parent"], snap.Phase = name, ""
		})
		o.brief = true
		o.undo = func() {
			delete(g.Config, "lock")
			c.freeVolume(snap.VMState, g.Node)
			g.snaps = slices.DeleteFunc(g.snaps, func(s *snapshot) bool { return s == snap })
		}
		return o
	})
}

func (c *call) snapshotRefusal(g *guest, name string) error {
	if g.template() {
		return die("you can't take a snapshot if it's a template")
	}
	if err := g.unlocked(); err != nil {
		return err
	}
	if _, err := g.snapshot(name); err == nil {
		return die("snapshot name '%s' already used", name)
	}
	if !c.hasFeature(g, g.Config, "snapshot", false) {
		return die("snapshot feature is not available")
	}
	return nil
}

// saveRAM writes the state of a running VM to a new volume, which has room for
// twice the memory and half a GiB.
func (c *call) saveRAM(j *journal, g *guest, name, storage string) *volume {
	v := c.newVolume(request{
		storage: storage, node: g.Node, vmid: g.VMID, name: name, content: "images", format: "raw", size: 2*g.maxMem() + 500<<20,
	})
	v.Used = min(g.maxMem()*2/5+5<<20, v.Size)
	j.formatting(c.storageNamed(storage), v)
	j.say("saving VM state and RAM using storage '%s'", storage)
	for left := v.Used; left > 0; left -= copySpeed {
		j.say("%s in %ds", renderBytes(v.Used-left), int64(v.Used-left)/copySpeed)
		j.pass(time.Duration(min(left, copySpeed)) * time.Second / copySpeed)
	}
	j.say("completed saving the VM state in %ds, saved %s", v.Used/copySpeed, renderBytes(v.Used))
	return c.addVolume(v, c.now)
}

// stateStorage is where a VM's RAM is saved: where its configuration says, beside
// its first disk, or on local.
func (c *call) stateStorage(g *guest) string {
	if storage := g.Config["vmstatestorage"]; storage != "" {
		return storage
	}
	if keys := diskKeys(g.Kind, g.Config); len(keys) > 0 {
		storage, _, _ := strings.Cut(propstring.Volume(g.Config[keys[0]]), ":")
		return storage
	}
	return "local"
}

func deleteSnapshot(c *call, g *guest) (any, error) {
	return c.startGuestTask(g, g.taskPrefix()+"delsnapshot", func(now time.Time) outcome {
		snap, err := g.snapshot(c.str("snapname"))
		if err == nil {
			err = g.unlocked()
		}
		if err != nil {
			return failedBy(err)
		}
		g.Config["lock"], snap.Phase = "snapshot-delete", "delete"
		o := done(300*time.Millisecond, func(time.Time) {
			delete(g.Config, "lock")
			for _, other := range g.snaps {
				if other.Parent == snap.Name {
					other.Parent = snap.Parent
				}
			}
			if g.Config["parent"] == snap.Name {
				setOrDelete(g.Config, "parent", snap.Parent)
			}
			c.freeVolume(snap.VMState, g.Node)
			g.snaps = slices.DeleteFunc(g.snaps, func(s *snapshot) bool { return s == snap })
		})
		o.brief = true
		return o
	})
}

// setOrDelete gives a key a value, or takes it away if that is "".
func setOrDelete(config map[string]string, key, value string) {
	if value == "" {
		delete(config, key)
		return
	}
	config[key] = value
}

func rollbackSnapshot(c *call, g *guest) (any, error) {
	return c.startGuestTask(g, g.taskPrefix()+"rollback", func(now time.Time) outcome {
		if g.template() {
			return failed(0, "you can't rollback if vm is a template")
		}
		snap, err := g.snapshot(c.str("snapname"))
		if err == nil {
			err = c.rollbackRefusal(g, snap)
		}
		if err != nil {
			return failedBy(err)
		}
		g.Config["lock"] = "rollback"
		takes, warm := 300*time.Millisecond, snap.VMState != ""
		if g.now.running {
			c.setRunState(g, runState{})
			takes += stopTakes
		}
		if warm {
			takes += startTakes
		}
		o := done(takes, func(end time.Time) {
			c.rollBack(g, snap)
			switch {
			case warm:
				c.setRunState(g, runState{running: true, warm: true, since: end})
			case c.flag("start"):
				c.start(g, end)
			}
		})
		o.brief = true
		return o
	})
}

func (c *call) rollbackRefusal(g *guest, snap *snapshot) error {
	for _, key := range diskKeys(g.Kind, snap.Config) {
		v := c.volumeOf(propstring.Volume(snap.Config[key]), g.Node)
		if v == nil || c.storageNamed(v.storage()).Type != "zfspool" {
			continue
		}
		if snap != g.snaps[len(g.snaps)-1] {
			return die("can't rollback, '%s' is not most recent snapshot on '%s'", snap.Name, v.ID)
		}
	}
	if snap.Phase != "" {
		return die("unable to rollback to incomplete snapshot (snapstate = %s)", snap.Phase)
	}
	return g.unlocked()
}

// rollBack gives the guest the snapshot's configuration. Disks that it did not have
// then become unused ones.
func (c *call) rollBack(g *guest, snap *snapshot) {
	old := g.Config
	g.Config = maps.Clone(snap.Config)
	g.Config["parent"] = snap.Name
	delete(g.Config, "runningmachine")
	delete(g.Config, "runningcpu")
	setOrDelete(g.Config, "description", old["description"])
	clear(g.pending)
	clear(g.dropped)
	kept := map[string]bool{}
	for _, key := range diskKeys(g.Kind, g.Config) {
		drive := g.Config[key]
		kept[propstring.Volume(drive)] = true
		if v := c.volumeOf(propstring.Volume(drive), g.Node); v != nil && propstring.Size(drive) > 0 {
			v.Size = propstring.Size(drive)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if id := propstring.Volume(old[key]); propstring.IsDriveKey(g.Kind, key) && !propstring.IsCDROM(old[key]) && !kept[id] {
			g.addUnused(id)
		}
	}
	if g.Kind == "qemu" && g.Config["vmgenid"] != "" {
		g.Config["vmgenid"] = c.uuid("vmgenid")
	}
}

// addUnused lists a volume as the guest's that it does not use.
func (g *guest) addUnused(volid string) {
	for n := 0; n < 256; n++ {
		key := "unused" + strconv.Itoa(n)
		if g.Config[key] == volid {
			return
		}
		if g.Config[key] == "" {
			g.Config[key] = volid
			return
		}
	}
}
