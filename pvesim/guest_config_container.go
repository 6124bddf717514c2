package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// putContainerConfig changes a container's configuration. All is checked under the lock. If one
// of the changes fails, none is made.
func putContainerConfig(c *call, g *guest) (any, error) {
	if err := c.awaitLock(g); err != nil {
		return nil, err
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	if err := c.checkDigest(g, otherDigest); err != nil {
		return nil, err
	}
	if err := c.mayChangeContainer(g); err != nil {
		return nil, err
	}
	config, pending, dropped := maps.Clone(g.Config), maps.Clone(g.pending), maps.Clone(g.dropped)
	if err := c.changeContainer(g); err != nil {
		g.Config, g.pending, g.dropped = config, pending, dropped
		return nil, err
	}
	return nil, nil
}

// checkContainerConfig wants something to do.
func checkContainerConfig(c *call) error {
	for name := range c.params {
		if !slices.Contains([]string{"node", "vmid", "digest"}, name) {
			return nil
		}
	}
	return die("no options specified")
}

// mayChangeContainer checks privileges and names, in PVE's order.
func (c *call) mayChangeContainer(g *guest) error {
	vm, settings := aclPath(g.VMID), c.settings()
	for _, key := range slices.Concat(c.removed(), c.reverted()) {
		if err := c.mayKey("lxc", vm, key, ""); err != nil {
			return err
		}
	}
	if err := c.checkNames("lxc"); err != nil {
		return err
	}
	for _, key := range sortedKeys(settings) {
		if err := c.mayKey("lxc", vm, key, settings[key]); err != nil {
			return err
		}
		if err := c.mayMount(g, key, settings[key]); err != nil {
			return err
		}
	}
	return c.mayBridges(settings)
}

// mayMount wants room for a new volume of a container, or access to one that exists.
func (c *call) mayMount(g *guest, key, drive string) error {
	storage, name, ok := strings.Cut(propstring.Volume(drive), ":")
	switch {
	case !ok || !propstring.IsDriveKey("lxc", key) || isUnused(key):
		return nil
	case newDisk(name):
		return c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace")
	}
	return c.mayVolume(propstring.Volume(drive), g.VMID)
}

// changeContainer does what a change asks for.
func (c *call) changeContainer(g *guest) error {
	for _, key := range c.reverted() {
		delete(g.pending, key)
		delete(g.dropped, key)
	}
	for _, key := range c.removed() {
		if err := c.dropContainerKey(g, key); err != nil {
			return err
		}
	}
	settings := c.settings()
	for _, key := range sortedKeys(settings) {
		if err := c.refuseContainerValue(g, key, settings[key]); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(settings) {
		value := settings[key]
		if value == "" { // an empty one is none
			if _, ok := g.Config[key]; ok {
				g.dropped[key] = false
			}
			continue
		}
		if withoutIndex(key) != "net" { // which is written anew when it becomes true
			value = c.normal("lxc", key, value)
		}
		c.await(g, key, value)
	}
	return c.applyPending(g)
}

// dropContainerKey removes a key that a container can do without.
func (c *call) dropContainerKey(g *guest, key string) error {
	if _, set := g.planned()[key]; !set {
		return nil
	}
	switch {
	case slices.Contains([]string{"memory", "ostype", "rootfs"}, key):
		return die("unable to delete required option '%s'", key)
	case key == "unprivileged":
		return die("unable to delete read-only option: '%s'", key)
	case propstring.IsDriveKey("lxc", key):
		if err := g.unprotected("can't remove CT %d drive '%s'", g.VMID, key); err != nil {
			return err
		}
	}
	delete(g.pending, key)
	if _, ok := g.Config[key]; ok {
		g.dropped[key] = false
	}
	return nil
}

// refuseContainerValue refuses values that PVE's code does not take.
func (c *call) refuseContainerValue(g *guest, key, value string) error {
	switch {
	case propstring.IsDriveKey("lxc", key) && !isUnused(key):
		return c.refuseMount(g, key, value)
	case key == "hookscript":
		return c.refuseHookScript(value)
	case key == "unprivileged":
		return die("unable to modify read-only option: 'unprivileged'")
	}
	return refuseMTU(key, value)
}

// refuseMount refuses a mount point on a storage that is not for containers.
func (c *call) refuseMount(g *guest, key, value string) error {
	if err := g.unprotected("can't update CT %d drive '%s'", g.VMID, key); err != nil {
		return err
	}
	storage, _, ok := strings.Cut(propstring.Volume(value), ":")
	switch st := c.storageNamed(storage); {
	case !ok:
		return nil
	case st == nil:
		return die("storage '%s' does not exist", storage)
	case !st.holds("rootdir"):
		return die("storage '%s' does not allow content type 'rootdir' (Container)", storage)
	}
	return nil
}

// refuseMTU refuses a container's network device that is too large for its bridge.
func refuseMTU(key, value string) error {
	const bridge = 1500
	mtu := propstring.Get(value, "mtu")
	var n int
	if _, err := fmt.Sscan(mtu, &n); withoutIndex(key) != "net" || err != nil || n <= bridge {
		return nil
	}
	return die("%s: MTU size '%s' is bigger than bridge MTU '%d'", key, mtu, bridge)
}

// refuseHookScript refuses a script that is not there.
func (c *call) refuseHookScript(id string) error {
	_, content, _, err := c.managed(id)
	switch {
	case err != nil:
		return err
	case content != "snippets":
		return die("'%s' is not in the snippets directory", id)
	case c.volumeOf(id, c.node.Name) == nil:
		return die("script '%s' does not exist", id)
	}
	return nil
}

// settled is a value of a container as it becomes true: a volume is made, and property
// strings are written as PVE writes them.
func (s *state) settled(g *guest, key, value string) (string, error) {
	if g.Kind != "lxc" {
		return value, nil
	}
	w := &call{Sim: s.sim, node: s.nodeNamed(g.Node), now: s.happens}
	switch withoutIndex(key) {
	case "net":
		return w.withMAC("lxc", key, value), nil
	case "mp":
		if _, name, ok := strings.Cut(propstring.Volume(value), ":"); ok && !newDisk(name) && s.volumeOf(propstring.Volume(value), g.Node) == nil {
			return w.printed("lxc", key, value), nil // PVE warns that it cannot look up the size
		}
		drive, _, err := w.makeDrive(&journal{}, "lxc", key, value, request{node: g.Node, vmid: g.VMID})
		return drive, err
	}
	return value, nil
}

// fastInContainers are the keys that change at once while a container runs.
var fastInContainers = strings.Fields("description onboot startup protection hostname hookscript cores cpulimit cpuunits swap tags lock")

// canSetNow reports whether a new value reaches a running container at once. Mount points and
// devices can be added.
func (g *guest) canSetNow(key string) bool {
	_, set := g.Config[key]
	switch withoutIndex(key) {
	case "net", "unused":
		return true
	case "mp", "dev":
		return !set
	}
	return key == "memory" || slices.Contains(fastInContainers, key)
}

// canDropNow reports whether a key can be taken from a running container at once.
func (g *guest) canDropNow(key string) bool {
	base := withoutIndex(key)
	return base == "net" || base == "unused" || slices.Contains(fastInContainers, key)
}
