package pvesim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// notConfig are the parameters of a creation that no configuration keeps.
var notConfig = []string{
	"archive", "bwlimit", "ha-managed", "ignore-unpack-errors", "import-working-storage", "live-restore", "ostemplate", "password",
	"pool", "restore", "ssh-public-keys", "start", "storage", "unique",
}

// checkCreate wants VM.Allocate for the new guest or its pool, the privileges of
// the keys that are given, and room for the disks.
func checkCreate(c *call) error {
	kind, settings := "qemu", c.settings(notConfig...)
	if err := c.checkValues(); err != nil {
		return err
	}
	if c.ep.Path == "/nodes/{node}/lxc" {
		kind = "lxc"
		if err := c.unusedID(c.number("vmid", 0)); err != nil && !(c.flag("force") && c.flag("restore")) {
			return err
		}
	}
	if err := c.poolExists(); err != nil {
		return err
	}
	if storage := c.str("storage"); storage != "" && kind == "qemu" {
		if err := c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
			return err
		}
	}
	pool, vm := c.str("pool"), "/vms/"+c.str("vmid")
	if !slices.ContainsFunc([]string{vm, "/pool/" + pool}, func(path string) bool {
		return path != "/pool/" && c.caller.Require(path, "VM.Allocate") == nil
	}) && !c.mayReplace(vm) {
		return &apischema.PermissionError{}
	}
	if pool != "" && c.caller.Require("/pool/"+pool, "VM.Allocate") == nil {
		vm = "/pool/" + pool
	}
	if c.flag("start") && kind == "qemu" && c.node.version.atLeast(9, 2) { // since qemu-server 9.1.10
		if err := c.caller.Require(vm, "VM.PowerMgmt"); err != nil {
			return err
		}
	}
	if c.str("archive") != "" {
		for _, key := range drivesInOrder("qemu", settings) {
			return badParam(key, "option conflicts with option 'archive'")
		}
	}
	if kind == "qemu" { // its drives come first
		if err := c.mayDrives(kind, c.number("vmid", 0), settings, c.str("storage")); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(settings) {
		if err := c.mayKey(kind, vm, key, settings[key]); err != nil {
			return err
		}
	}
	if err := c.mayBridges(settings); err != nil || kind == "qemu" {
		return err
	}
	if c.node.version.major >= 9 && c.params["unprivileged"] != nil && !c.flag("unprivileged") {
		if err := c.caller.Require("/", "Sys.Modify"); err != nil {
			return err
		}
	}
	return c.mayDrives(kind, c.number("vmid", 0), settings, c.str("storage"))
}

// poolExists refuses a pool that is not there.
func (c *call) poolExists() error {
	if pool := c.str("pool"); pool != "" && c.poolNamed(pool) == nil {
		return &apischema.PermissionError{What: "pool '" + pool + "' does not exist"}
	}
	return nil
}

// unusedID refuses an id that a guest has.
func (s *state) unusedID(id int) error {
	if g := s.guests[id]; g != nil {
		return die("%s %d already exists on node '%s'", g.noun(), id, g.Node)
	}
	return nil
}

// reserve makes a guest exist that a task is about to make: locked, and unknown to
// the other nodes until the next broadcast.
func (c *call) reserve(kind string, id int, lock string) *guest {
	g := newGuest(Guest{VMID: id, Kind: kind, Node: c.node.Name, Config: map[string]string{"lock": lock}}, c.model.Seed)
	g.isNew = true
	c.guests[id] = g
	at, _ := slices.BinarySearch(c.order, id)
	c.order = slices.Insert(c.order, at, id)
	c.unannounced[id] = true
	if pool := c.str("pool"); pool != "" {
		c.join(pool, id)
	}
	return g
}

// join makes a guest a member of a pool.
func (s *state) join(pool string, id int) {
	for i := range s.pools {
		if s.pools[i].ID == pool {
			s.pools[i].VMIDs = append(slices.Clone(s.pools[i].VMIDs), id)
			s.poolsWith[aclPath(id)] = append(s.poolsWith[aclPath(id)], pool)
		}
	}
	clear(s.privCache)
}

// remove makes a guest cease to exist, with its place in pools and ACLs.
func (s *state) remove(g *guest) {
	delete(s.guests, g.VMID)
	if !g.isNew {
		g.lastAnnounced, s.removedGuests[g.VMID] = s.lastBroadcast, g
	}
	s.order = slices.DeleteFunc(s.order, func(id int) bool { return id == g.VMID })
	for i := range s.pools {
		s.pools[i].VMIDs = slices.DeleteFunc(slices.Clone(s.pools[i].VMIDs), func(id int) bool { return id == g.VMID })
	}
	delete(s.poolsWith, aclPath(g.VMID))
	delete(s.acl, aclPath(g.VMID))
	delete(s.files, guestFirewall(strconv.Itoa(g.VMID)))
	clear(s.privCache)
}

// creation is a task that makes a guest: make returns its configuration.
func (c *call) creation(kind string, id int, typ string, make func(j *journal) (madeDrives, error)) (any, error) {
	return c.fork(c.now, c.node, c.caller.User, typ, strconv.Itoa(id), 0, func(now time.Time) outcome {
		g := c.reserve(kind, id, "create")
		j := &journal{began: now}
		made, err := make(j)
		if err != nil {
			c.remove(g)
			return j.fail(die("unable to create %s %d - %s", g.noun(), g.VMID, strings.TrimSpace(refusalOf(err).message)))
		}
		j.pass(300 * time.Millisecond)
		if c.flag("start") && kind == "qemu" {
			j.say("Execute autostart")
		}
		o := j.done(func(end time.Time) {
			g.Config = made.config
			if c.flag("ha-managed") {
				g.HA = map[bool]string{true: "started", false: "stopped"}[c.flag("start")]
			}
			if c.flag("start") {
				c.start(g, end)
			}
		})
		o.undo = func() { made.undo(&c.state); c.remove(g) }
		return o
	}), nil
}

// given are the settings of a new guest that say something.
func (c *call) given() map[string]string {
	settings := c.settings(notConfig...)
	maps.DeleteFunc(settings, func(_, value string) bool { return value == "" })
	return settings
}

// createVM makes a VM, or restores one from a backup.
func createVM(c *call) (any, error) {
	id := c.number("vmid", 0)
	if archive := c.str("archive"); archive != "" {
		return c.restoreVM(archive)
	}
	if err := c.unusedID(id); err != nil {
		return nil, die("unable to create VM %d - %s", id, strings.TrimSpace(refusalOf(err).message))
	}
	settings := c.given()
	return c.creation("qemu", id, "qmcreate", func(j *journal) (madeDrives, error) {
		made, err := c.makeDrives(j, "qemu", id, settings, c.str("storage"))
		if err != nil {
			return made, err
		}
		for key, value := range settings {
			if !propstring.IsDriveKey("qemu", key) {
				made.config[key] = c.normal("qemu", key, value)
			}
		}
		c.complete(made.config)
		if err := refuseClipboard(settings["vga"]); err != nil {
			made.undo(&c.state)
			return made, err
		}
		if machine := made.config["machine"]; machine != settings["machine"] {
			j.say("pinning machine type to '%s' for Windows guest OS", cmp.Or(propstring.Get(machine, ""), propstring.Get(machine, "type")))
		}
		return made, nil
	})
}

// complete adds to a new VM's configuration what PVE makes up.
func (c *call) complete(config map[string]string) {
	if config["boot"] == "" {
		setOrDelete(config, "boot", bootOrder(config))
	}
	if id := config["vmgenid"]; id == "" || id == "1" {
		config["vmgenid"] = c.uuid("vmgenid")
	}
	if config["smbios1"] == "" {
		config["smbios1"] = "uuid=" + c.uuid("smbios")
	}
	setOrDelete(config, "machine", c.pinned(config["machine"], config["ostype"]))
	config["meta"] = fmt.Sprintf("creation-qemu=%s,ctime=%d", c.node.version.qemu(), c.now.Unix())
}

// bootOrder is PVE's for new VMs: the first disk, drive and network device.
func bootOrder(config map[string]string) string {
	var disk, drive, net []string
	for _, key := range drivesInOrder("qemu", config) {
		if propstring.IsCDROM(config[key]) {
			drive = append(drive, key)
		} else {
			disk = append(disk, key)
		}
	}
	for i := range maxNets {
		if key := fmt.Sprint("net", i); config[key] != "" {
			net = append(net, key)
		}
	}
	var devices []string
	for _, list := range [][]string{disk, drive, net} {
		devices = append(devices, list[:min(1, len(list))]...)
	}
	if len(devices) == 0 {
		return ""
	}
	return "order=" + strings.Join(devices, ";")
}

// maxNets is how many network devices a VM may have.
const maxNets = 32

// nameStorage lets volumes of a new container that only have a size be on the storage of the
// call. Unused volumes it cannot have.
func (c *call) nameStorage(settings map[string]string) {
	for key, drive := range settings {
		switch {
		case isUnused(key):
			delete(settings, key)
		case propstring.IsDriveKey("lxc", key) && newDisk(drive):
			settings[key] = cmp.Or(c.str("storage"), "local") + ":" + drive
		}
	}
}

// createCT makes a container from a template, or restores one from a backup.
func createCT(c *call) (any, error) {
	if c.flag("restore") {
		return c.restoreCT(c.str("ostemplate"))
	}
	id, template, settings := c.number("vmid", 0), c.str("ostemplate"), c.given()
	if err := c.mayUnpack(template, "vztmpl", id); err != nil {
		return nil, err
	}
	if settings["rootfs"] == "" {
		if len(diskKeys("lxc", settings)) > 0 {
			return nil, die("mount points configured, but 'rootfs' not set - aborting")
		}
		settings["rootfs"] = cmp.Or(c.str("storage"), "local") + ":4"
		if err := c.mayDrives("lxc", id, settings, ""); err != nil {
			return nil, err
		}
	}
	for _, key := range sortedKeys(settings) {
		if propstring.IsDriveKey("lxc", key) || key == "unprivileged" {
			continue
		}
		if err := c.refuseContainerValue(nil, key, settings[key]); err != nil {
			return nil, err
		}
	}
	return c.creation("lxc", id, "vzcreate", func(j *journal) (madeDrives, error) {
		archive := c.volumeOf(template, c.node.Name)
		if archive == nil {
			return madeDrives{}, die("volume '%s' does not exist", template)
		}
		made, err := c.makeDrives(j, "lxc", id, settings, c.str("storage"))
		if err != nil {
			return made, err
		}
		for _, v := range made.volumes {
			v.Blank, v.Image = false, Image{NoNetwork: archive.Image.NoNetwork}
		}
		if archive.OCI != nil {
			j.say("Detected OCI archive")
		}
		j.say("extracting archive '%s/template/cache/%s'", c.storageNamed(archive.storage()).path(), archive.file())
		j.pass(time.Duration(archive.Size/(100<<20)) * time.Second)
		j.say("Total bytes read: %d", archive.Size*2)
		j.say("Detected container architecture: amd64")
		for key, value := range settings {
			if !propstring.IsDriveKey("lxc", key) {
				made.config[key] = c.normal("lxc", key, value)
			}
		}
		c.completeCT(made.config, archive)
		c.applyOCI(j, made.config, archive)
		return made, nil
	})
}

// applyOCI sets what an OCI image sets, whatever the call said of it.
func (c *call) applyOCI(j *journal, config map[string]string, archive *volume) {
	if archive.OCI == nil {
		return
	}
	if len(archive.OCI.Env) > 0 {
		config["env"] = strings.Join(archive.OCI.Env, "\x00")
	}
	if init := archive.OCI.Entrypoint; init != "" && init != "/sbin/init" {
		config["entrypoint"], config["cmode"] = init, "console"
		for i := range maxNets {
			key := fmt.Sprint("net", i)
			if net := config[key]; net != "" && propstring.Get(net, "host-managed") == "" {
				j.say("Auto-Enabling host-managed network for network device %s.", key)
				config[key] = c.printed("lxc", key, propstring.Set(net, "host-managed", "1"))
			}
		}
	}
}

// completeCT adds to a new container's configuration what PVE sets: defaults, and
// what the template tells.
func (c *call) completeCT(config map[string]string, archive *volume) {
	system, _, _ := strings.Cut(archive.file(), "-")
	if !slices.Contains(strings.Fields("debian devuan ubuntu centos fedora opensuse archlinux alpine gentoo nixos"), system) {
		system = "unmanaged"
	}
	unprivileged := "0"
	if c.node.version.major >= 9 {
		unprivileged = "1"
	}
	for key, value := range map[string]string{
		"arch": "amd64", "hostname": "CT" + c.str("vmid"), "memory": "512", "swap": "512", "ostype": system, "unprivileged": unprivileged,
	} {
		if config[key] == "" {
			config[key] = value
		}
	}
	if config["unprivileged"] == "0" {
		delete(config, "unprivileged")
	}
}
