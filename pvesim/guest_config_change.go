package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// settings are the parameters of a change or creation that are keys of the
// guest's configuration, as text.
func (c *call) settings(not ...string) map[string]string {
	out := map[string]string{}
	for name, value := range c.params {
		if value != nil && !slices.Contains(not, name) && !slices.Contains(notOptions, name) {
			out[name] = perl.Text(value)
		}
	}
	if c.ep.Path == "/nodes/{node}/lxc" {
		c.nameStorage(out)
	}
	const most = 10000 // of cgroups v2
	if n, err := strconv.Atoi(out["cpuunits"]); err == nil && n > most {
		out["cpuunits"] = strconv.Itoa(most)
	}
	if medium, ok := out["cdrom"]; ok { // an old name
		delete(out, "cdrom")
		out["ide2"] = propstring.Set(medium, "media", "cdrom")
	}
	return out
}

// checkConfig is what PVE checks of a change of a VM before it takes the lock.
func checkConfig(c *call) error {
	if err := c.onlyRoot("skiplock"); err != nil {
		return err
	}
	if err := c.checkValues(); err != nil {
		return err
	}
	remove, settings := c.removed(), c.settings()
	if len(remove)+len(c.reverted())+len(settings) == 0 {
		return die("no options specified")
	}
	if err := c.checkNames("qemu"); err != nil {
		return err
	}
	vm := "/vms/" + c.str("vmid")
	for _, key := range remove {
		if g := c.guests[c.number("vmid", 0)]; g != nil && !propstring.IsDriveKey("qemu", key) {
			if err := c.mayKey("qemu", vm, key, ""); err != nil {
				return err
			}
		}
	}
	for _, key := range sortedKeys(settings) {
		if err := c.mayKey("qemu", vm, key, settings[key]); err != nil {
			return err
		}
	}
	if err := c.mayBridges(settings); err != nil {
		return err
	}
	return c.mayDrives("qemu", c.number("vmid", 0), settings, "")
}

// reverted are the keys whose pending changes are taken back.
func (c *call) reverted() []string { return apischema.SplitList(c.str("revert")) }

// checkNames refuses keys to delete or to revert that there are not, or that are set as well.
func (c *call) checkNames(kind string) error {
	revert, where, quote, both := c.reverted(), "delete", "", "revert"
	if kind == "lxc" {
		where, quote, both = "revert", "'", "delete"
	}
	for _, key := range revert {
		switch {
		case !c.isOption(kind, key):
			return badParam("revert", "unknown option '%s'", key)
		case c.params[key] != nil:
			return badParam(where, "you can't use '-%s' and %s-revert %s' at the same time", key, quote, key)
		}
	}
	for _, key := range c.removed() {
		switch {
		case kind == "lxc" && !c.isOption(kind, key):
			return badParam("delete", "unknown option '%s'", key)
		case c.params[key] != nil:
			return badParam("delete", "you can't use '-%s' and -delete %s' at the same time", key, key)
		case slices.Contains(revert, key):
			return badParam(both, "you can't use '-delete %s' and %s-revert %s' at the same time", key, quote, key)
		case !c.isOption(kind, key):
			return badParam("delete", "unknown option '%s'", key)
		}
	}
	return nil
}

// isOption reports whether a configuration can have a key. Some of them no change can set.
func (c *call) isOption(kind, key string) bool {
	own := []string{"parent", "snaptime"}
	if kind == "qemu" {
		own = append(own, "vmstate", "runningmachine", "runningcpu", "meta")
	}
	put := c.api().Endpoint("PUT", "/nodes/{node}/"+kind+"/{vmid}/config")
	return slices.Contains(own, key) || c.api().Param(put, key) != nil && !slices.Contains(notOptions, key)
}

// putConfig changes a guest's configuration at once.
func putConfig(c *call, g *guest) (any, error) {
	if err := c.changeRefusal(g); err != nil {
		return nil, err
	}
	return nil, c.changeConfig(&journal{}, g)
}

// changeRefusal is what PVE checks of a change under the lock, and before a task.
func (c *call) changeRefusal(g *guest) error {
	if err := c.awaitLock(g); err != nil {
		return err
	}
	if err := c.checkDigest(g, otherChecksum); err != nil {
		return err
	}
	if lock := g.Config["lock"]; lock == "suspended" && c.str("delete") == "vmstate" {
		return nil // which ends the suspension
	}
	if err := g.unlocked(); err != nil {
		return err
	}
	config := g.planned()
	maps.Copy(config, c.settings())
	balloon, _ := strconv.ParseInt(config["balloon"], 10, 64)
	memory, err := strconv.ParseInt(config["memory"], 10, 64)
	if err == nil && balloon > memory && (c.params["balloon"] != nil || c.params["memory"] != nil) {
		return die("balloon value too large (must be smaller than assigned memory)")
	}
	return nil
}

// postConfig changes it in a task. With background_delay it waits that long for
// the end of the task, and answers without it if it has ended by then.
func postConfig(c *call, g *guest) (any, error) {
	if c.forked == nil {
		if err := c.changeRefusal(g); err != nil {
			return nil, err
		}
		upid := c.fork(c.now, c.node, c.caller.User, "qmconfig", fmt.Sprint(g.VMID), g.VMID, func(now time.Time) outcome {
			j := &journal{began: now}
			j.say("update VM %d: %s", g.VMID, c.asOptions())
			if err := c.changeConfig(j, g); err != nil {
				return j.fail(err)
			}
			j.pass(200 * time.Millisecond)
			return j.done(nil)
		})
		c.forked = c.byUPID[upid]
	}
	return c.awaitForked("background_delay", fmt.Sprintf("failed to update VM %d: ", g.VMID))
}

// asOptions writes the change as a command line, as PVE logs it.
func (c *call) asOptions() string {
	var parts []string
	all := c.settings()
	for _, name := range []string{"delete", "revert", "force"} {
		if v := c.str(name); v != "" {
			all[name] = v
		}
	}
	for _, key := range sortedKeys(all) {
		value := all[key]
		if key == "cipassword" {
			value = "<hidden>"
		}
		parts = append(parts, "-"+key+" "+value)
	}
	return strings.Join(parts, " ")
}

// changeConfig does what a change asks for. What cannot reach a running guest stays
// pending.
func (c *call) changeConfig(j *journal, g *guest) error {
	for _, key := range apischema.SplitList(c.str("revert")) {
		c.forget(g, key)
		delete(g.dropped, key)
	}
	if err := c.refuseValues(g, c.settings()); err != nil {
		return err
	}
	for _, key := range c.removed() {
		if err := c.removeKey(g, key); err != nil {
			return err
		}
	}
	settings := c.settings()
	for _, key := range sortedKeys(settings) { // what is empty goes
		if settings[key] == "" {
			delete(settings, key)
			if err := c.removeKey(g, key); err != nil {
				return err
			}
		}
	}
	if err := c.changeBoot(g, settings); err != nil {
		return err
	}
	drives, err := c.makeDrives(j, g.Kind, g.VMID, settings, "")
	if err != nil {
		return err
	}
	for key, value := range settings {
		if drive, ok := drives.config[key]; ok {
			value = drive
		}
		c.await(g, key, c.normal(g.Kind, key, value))
	}
	c.pinMachine(g, settings)
	return c.applyPending(g)
}

// await makes a value wait until it can become true.
func (c *call) await(g *guest, key, value string) {
	delete(g.dropped, key)
	g.pending[key] = value
	if value == g.Config[key] {
		delete(g.pending, key)
	}
}

// changeBoot keeps the order of boot devices in step with them: those that go
// leave it, a new drive for media joins it, and it names none that is not there.
func (c *call) changeBoot(g *guest, settings map[string]string) error {
	old := g.planned()["boot"]
	text, ordered := strings.CutPrefix(old, "order=")
	if given := settings["boot"]; g.Kind != "qemu" || given != "" {
		for _, device := range apischema.SplitList(propstring.Get(given, "order")) {
			if settings[device] == "" && (g.planned()[device] == "" || slices.Contains(c.removed(), device)) {
				return die("invalid bootorder: device '%s' does not exist'", device)
			}
		}
		return nil
	}
	if !ordered {
		return nil
	}
	removed := c.removed()
	devices := slices.DeleteFunc(apischema.SplitList(text), func(d string) bool { return slices.Contains(removed, d) })
	for _, key := range sortedKeys(settings) {
		if propstring.IsDriveKey(g.Kind, key) && propstring.IsCDROM(settings[key]) && !slices.Contains(devices, key) {
			devices = append(devices, key)
		}
	}
	if boot := "order=" + strings.Join(devices, ";"); boot != old {
		settings["boot"] = boot
	}
	return nil
}

// forget drops a pending change. The volume that was made for it stays, unused.
func (c *call) forget(g *guest, key string) {
	if drive := g.pending[key]; propstring.IsDriveKey(g.Kind, key) {
		g.addUnusedOf(&c.state, drive)
	}
	delete(g.pending, key)
}

func (c *call) removeKey(g *guest, key string) error {
	value, ok := g.Config[key]
	c.forget(g, key)
	if key == "vmstate" && ok {
		c.freeVolume(value, g.Node)
		for _, key := range []string{"vmstate", "lock", "runningmachine", "runningcpu"} {
			delete(g.Config, key)
		}
		return nil
	}
	if !ok {
		return nil
	}
	if propstring.IsDriveKey(g.Kind, key) {
		if err := c.mayKey(g.Kind, aclPath(g.VMID), key, value); err != nil {
			return err
		}
		what := fmt.Sprintf("can't remove drive '%s'", key)
		switch {
		case g.Kind == "lxc":
			what = fmt.Sprintf("can't remove CT %d drive '%s'", g.VMID, key)
		case withoutIndex(key) == "unused":
			what = fmt.Sprintf("can't remove unused disk '%s'", value)
		}
		if err := g.unprotected("%s", what); err != nil {
			return err
		}
	}
	if withoutIndex(key) == "unused" { // at once, whatever else is asked for
		return c.removeConfigKey(g, key, true)
	}
	g.dropped[key] = c.flag("force")
	return nil
}
