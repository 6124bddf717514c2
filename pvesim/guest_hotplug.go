package pvesim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// fast are the keys that change at once while a VM runs: they are PVE's own
// business, or of no meaning before its next start.
var fast = strings.Fields("name description onboot startup tags protection hookscript shares vmstatestorage autostart reboot lock balloon cpulimit cpuunits hotplug freeze " +
	"migrate_downtime migrate_speed parent " + cloudInitKeys)

// canApplyNow reports whether a change of a key reaches a running VM at once.
func (g *guest) canApplyNow(key, value string) bool {
	base := withoutIndex(key)
	switch {
	case slices.Contains(fast, key), base == "unused", base == "ipconfig":
		return true
	case propstring.IsDriveKey(g.Kind, key) && propstring.IsCDROM(value) && propstring.IsCDROM(g.Config[key]):
		return true // another medium
	case base == "scsi" || base == "virtio":
		return g.hotplugs("disk")
	case base == "net":
		return g.hotplugs("network")
	case base == "usb" || key == "tablet":
		return g.hotplugs("usb")
	case key == "vcpus" || key == "cores" || key == "sockets":
		return key == "vcpus" && g.hotplugs("cpu")
	case key == "memory":
		return g.hotplugs("memory") && g.Config["numa"] == "1"
	}
	return false
}

// hotplugs reports whether the VM lets a class of devices be plugged while it runs.
func (g *guest) hotplugs(class string) bool {
	switch set := g.Config["hotplug"]; set {
	case "", "1":
		return class != "memory" && class != "cpu"
	case "0":
		return false
	default:
		return slices.Contains(strings.Split(set, ","), class)
	}
}

// applyPending makes the pending changes true that can be now. One that fails stays pending,
// and is refused as a parameter.
func (s *state) applyPending(g *guest) error {
	refused := map[string]string{}
	for _, key := range sortedKeys(g.dropped) {
		if g.now.running && !(g.Kind == "lxc" && g.canDropNow(key) || g.Kind == "qemu" && g.canApplyNow(key, g.Config[key])) {
			continue
		}
		if err := s.removeConfigKey(g, key, g.dropped[key]); err != nil {
			refused[key] = applyError(g, key, err)
			continue
		}
		delete(g.dropped, key)
	}
	for _, key := range sortedKeys(g.pending) {
		value := g.pending[key]
		if g.now.running && !(g.Kind == "lxc" && g.canSetNow(key) || g.Kind == "qemu" && g.canApplyNow(key, value)) {
			continue
		}
		value, err := s.settled(g, key, value)
		if err != nil {
			refused[key] = applyError(g, key, err)
			continue
		}
		if old := g.Config[key]; propstring.IsDriveKey(g.Kind, key) && propstring.Volume(old) != propstring.Volume(value) {
			g.addUnusedOf(s, old)
		}
		g.Config[key] = value
		g.removeUnused(propstring.Volume(value))
		delete(g.pending, key)
	}
	if len(refused) > 0 {
		return &apischema.ParamError{Errors: refused}
	}
	return nil
}

func applyError(g *guest, key string, err error) string {
	switch {
	case !g.now.running:
		return fmt.Sprintf("unable to apply pending change %s : %s", key, err)
	case g.Kind == "lxc":
		return fmt.Sprintf("unable to hotplug %s: %s", key, err)
	}
	return "hotplug problem - " + err.Error()
}

// removeConfigKey takes a key away. A drive's volume becomes an unused one, or ceases to
// exist by force, or if it is an unused one already.
func (s *state) removeConfigKey(g *guest, key string, force bool) error {
	if g.now.running && g.Kind == "qemu" && withoutIndex(key) == "net" && g.IgnoresShutdown {
		return die("error on hot-unplugging device '%s'", key)
	}
	drive := g.Config[key]
	id := propstring.Volume(drive)
	if propstring.IsDriveKey(g.Kind, key) && (force || withoutIndex(key) == "unused" || propstring.IsCloudInit(drive)) {
		if err := s.destroyVolume(g, id); err != nil {
			return err
		}
	} else if propstring.IsDriveKey(g.Kind, key) {
		defer g.addUnusedOf(s, drive)
	}
	delete(g.Config, key)
	return nil
}

// destroyVolume frees a volume that no snapshot of the guest needs.
func (s *state) destroyVolume(g *guest, id string) error {
	if g.isInSnapshot(id) {
		return die("unable to delete '%s' - volume is still in use (snapshot?)", id)
	}
	if v := s.volumeOf(id, g.Node); v != nil && v.VMID == g.VMID {
		if len(s.clones(v)) > 0 {
			return die("base volume '%s' is still in use by linked cloned", id)
		}
		s.removeVolume(v)
	}
	return nil
}

// isInSnapshot reports whether a snapshot of the guest has a volume.
func (g *guest) isInSnapshot(id string) bool {
	for _, snap := range g.snaps {
		for key, drive := range snap.Config {
			if propstring.IsDriveKey(g.Kind, key) && propstring.Volume(drive) == id {
				return true
			}
		}
	}
	return false
}

// addUnusedOf lists the volume of a drive as unused, if it is the guest's own.
func (g *guest) addUnusedOf(s *state, drive string) {
	v := s.volumeOf(propstring.Volume(drive), g.Node)
	if v == nil || propstring.IsCDROM(drive) || v.VMID != g.VMID {
		return
	}
	g.addUnused(v.ID)
}

// removeUnused takes a volume off the list of unused ones.
func (g *guest) removeUnused(volid string) {
	for key, value := range g.Config {
		if withoutIndex(key) == "unused" && value == volid {
			delete(g.Config, key)
		}
	}
}
