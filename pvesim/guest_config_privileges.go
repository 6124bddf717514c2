package pvesim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// qemuClasses say which privilege a key of a VM's configuration needs, as
// PVE::API2::Qemu's tables do.
var qemuClasses = map[string]string{
	"VM.Config.CPU":     "cores cpu cpulimit cpuunits numa smp sockets vcpus runningcpu",
	"VM.Config.Memory":  "memory balloon shares allow-ksm",
	"VM.Config.HWType":  "acpi hotplug kvm machine scsihw smbios1 tablet vga watchdog audio0 rng0",
	"VM.Config.Options": "agent autostart bios description keyboard localtime migrate_downtime migrate_speed name onboot ostype protection reboot startdate startup tags tdf template",
	"VM.Config.Disk":    "boot bootdisk vmstatestorage",
	"VM.PowerMgmt":      "freeze",
}

var lxcClasses = map[string]string{
	"VM.Config.CPU":     "cores cpulimit cpuunits",
	"VM.Config.Memory":  "memory swap",
	"VM.Config.Network": "nameserver searchdomain hostname",
}

const cloudInitKeys = "cicustom cipassword citype ciuser ciupgrade nameserver searchdomain sshkeys"

// withoutIndex cuts the number off a key: net of net0.
func withoutIndex(key string) string { return strings.TrimRight(key, "0123456789") }

func classOf(classes map[string]string, key string) string {
	for priv, keys := range classes {
		if slices.Contains(strings.Fields(keys), key) {
			return priv
		}
	}
	return ""
}

// mayKey lets callers change a key of a guest's configuration that have the privilege
// for its class. For a drive, the value decides which privilege that is.
func (c *call) mayKey(kind, vm, key, value string) error {
	if c.isRoot() {
		return nil
	}
	if kind == "lxc" {
		return c.mayContainerKey(vm, key, value)
	}
	class := classOf(qemuClasses, key)
	switch {
	case key == "startup":
		if err := c.caller.Require(vm, class); err != nil {
			return err
		}
		return c.caller.Require("/", "Sys.Modify")
	case class != "":
		return c.caller.Require(vm, class)
	case propstring.IsDriveKey(kind, key) && strings.Contains(value, "cloudinit"):
		return c.caller.Require(vm, "VM.Config.Cloudinit", "VM.Config.CDROM")
	case propstring.IsDriveKey(kind, key) && propstring.Volume(value) == "cdrom":
		return c.caller.Require("/", "Sys.Console")
	case propstring.IsDriveKey(kind, key) && propstring.IsCDROM(value):
		return c.caller.Require(vm, "VM.Config.CDROM")
	case propstring.IsDriveKey(kind, key):
		return c.caller.Require(vm, "VM.Config.Disk")
	case slices.Contains(strings.Fields(cloudInitKeys), key), withoutIndex(key) == "ipconfig":
		return c.caller.RequireAny(vm, "VM.Config.Cloudinit", "VM.Config.Network")
	case key == "vmstate":
		return c.caller.Require(vm, "VM.Config.Disk", "VM.PowerMgmt")
	}
	switch withoutIndex(key) {
	case "net":
		return c.caller.Require(vm, "VM.Config.Network")
	case "numa":
		return c.caller.Require(vm, "VM.Config.CPU")
	case "serial":
		if value == "" || value == "socket" {
			return c.caller.Require(vm, "VM.Config.HWType")
		}
		if c.ep.Method == "PUT" || strings.HasSuffix(c.ep.Path, "/config") {
			return die("only root can modify '%s' config for real devices", key)
		}
		return die("only root can set '%s' config for real devices", key)
	case "usb":
		return c.mayDevice(vm, key, value, "real")
	case "hostpci":
		return c.mayDevice(vm, key, value, "non-mapped")
	}
	return die("only root can set '%s' config", key)
}

// mayDevice lets only root give a VM a device of its node as such. Up to PVE 7 there are
// no mapped ones.
func (c *call) mayDevice(vm, key, value, kind string) error {
	mapping, spice := propstring.Get(value, "mapping"), strings.Contains(value, "spice")
	if value != "" && mapping == "" && !spice {
		if c.node.version.major < 8 && withoutIndex(key) == "hostpci" {
			return die("only root can set '%s' config", key)
		}
		return die("only root can set '%s' config for %s devices", key, kind)
	}
	if mapping != "" {
		if err := c.caller.Require("/mapping/"+strings.Replace(withoutIndex(key), "hostpci", "pci", 1)+"/"+mapping, "Mapping.Use"); err != nil {
			return err
		}
	}
	return c.caller.Require(vm, "VM.Config.HWType")
}

func (c *call) mayContainerKey(vm, key, value string) error {
	class := classOf(lxcClasses, key)
	switch {
	case class != "":
		return c.caller.Require(vm, class)
	case propstring.IsDriveKey("lxc", key) && strings.HasPrefix(propstring.Volume(value), "/"):
		return &apischema.PermissionError{What: "mount point type bind is only allowed for root@pam"}
	case propstring.IsDriveKey("lxc", key):
		return c.caller.Require(vm, "VM.Config.Disk")
	case withoutIndex(key) == "net":
		return c.caller.Require(vm, "VM.Config.Network")
	case withoutIndex(key) == "dev":
		return &apischema.PermissionError{What: "configuring device passthrough is only allowed for root@pam"}
	case key == "hookscript":
		return &apischema.PermissionError{What: "changing the hookscript is only allowed for root@pam"}
	case key == "features" && c.privileged():
		return &apischema.PermissionError{What: "changing feature flags for privileged container is only allowed for root@pam"}
	case key == "features" && propstring.Set(value, "nesting", "") != "":
		return &apischema.PermissionError{What: "changing feature flags (except nesting) is only allowed for root@pam"}
	case key == "features":
		return c.caller.Require(vm, "VM.Allocate")
	}
	return c.caller.Require(vm, "VM.Config.Options")
}

// mayBridges wants the use of the bridges that network devices are plugged into.
func (c *call) mayBridges(config map[string]string) error {
	for key, net := range config {
		bridge := propstring.Get(net, "bridge")
		if withoutIndex(key) != "net" || bridge == "" || !c.node.version.atLeast(8, 0) {
			continue
		}
		if err := c.caller.Require("/sdn/zones/"+c.zoneOf(bridge)+"/"+bridge, "SDN.Use"); err != nil {
			return err
		}
	}
	return nil
}

// mayDrives checks what drives need of storages: the right to space for new volumes,
// and access to those that exist.
func (c *call) mayDrives(kind string, vmid int, config map[string]string, defaultStorage string) error {
	for _, key := range sortedKeys(config) {
		if !propstring.IsDriveKey(kind, key) {
			continue
		}
		if err := c.mayDrive(kind, vmid, key, config[key], defaultStorage); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) mayDrive(kind string, vmid int, key, drive, defaultStorage string) error {
	id := propstring.Volume(drive)
	storage, name, ok := strings.Cut(id, ":")
	content, _ := contentOf(name)
	switch {
	case strings.HasPrefix(id, "/") && c.isRoot():
		return nil
	case strings.HasPrefix(id, "/"):
		return onlyRootPaths()
	case !ok, name == "cloudinit":
		return nil
	case propstring.Get(drive, "import-from") != "" && c.mayImport(key, drive, vmid) != nil:
		return c.mayImport(key, drive, vmid)
	case newDisk(name) && storage == "" && defaultStorage == "":
		return die("no storage ID specified (and no default storage)")
	case newDisk(name):
		return c.mayAllocate(kind, cmp.Or(storage, defaultStorage))
	case content == "iso" && !propstring.IsCDROM(drive):
		return badParam(key, "explicit 'media=cdrom' is required for iso images")
	}
	if err := c.mayVolume(id, vmid); err != nil {
		return err
	}
	if content != "images" && content != "iso" {
		return badParam(key, "content type needs to be 'images' or 'iso'")
	}
	return nil
}

// mayAllocate checks a storage for new volumes. Whether it is there at the moment
// shows for VMs when they are made.
func (c *call) mayAllocate(kind, storage string) error {
	may := func() error { return c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace") }
	if kind == "qemu" {
		st := c.storageNamed(storage)
		switch err := may(); {
		case err != nil:
			return err
		case st == nil:
			return die("storage '%s' does not exist", storage)
		case !st.holds("images"):
			return badParam("storage", "storage '%s' does not support vm images", storage)
		}
		return nil
	}
	st, err := c.usable(storage, c.node.Name)
	switch {
	case err != nil:
		return err
	case !st.holds("rootdir"):
		return badParam("storage", "storage '%s' does not support container directories", storage)
	}
	return may()
}

// newDisk reports whether the name after a storage is that of a volume to be
// made: its size in GiB, or cloudinit.
func newDisk(name string) bool {
	if name == "cloudinit" {
		return true
	}
	return name != "" && strings.Trim(name, "0123456789.") == ""
}

// mayVolume wants access to a volume for a guest, as PVE::Storage's
// check_volume_access does. The volume need not exist.
func (c *call) mayVolume(id string, vmid int) error {
	storage, name, _ := strings.Cut(id, ":")
	st := c.storageNamed(storage)
	if st == nil {
		return die("storage '%s' does not exist", storage)
	}
	content, owner, err := st.parseName(name)
	if err != nil {
		return err
	}
	return c.mayRead(content, owner, storage, vmid)
}

// mayRead wants access to a volume of an owner, or of nobody (0), on behalf of a
// guest, or of nobody.
func (c *call) mayRead(content string, owner int, storage string, vmid int) error {
	where := "/storage/" + storage
	switch {
	case c.may(where, "Datastore.Allocate"):
		return nil
	case content == "iso" || content == "vztmpl" || content == "import":
		return c.caller.RequireAny(where, "Datastore.AllocateSpace", "Datastore.Audit")
	case owner != 0 && owner == vmid:
		return nil
	case content == "backup" && owner != 0:
		return c.mayBackups(storage, owner)
	case (content == "images" || content == "rootdir") && owner != 0:
		if err := c.caller.Require(where, "Datastore.Audit"); err != nil {
			return err
		}
		return c.caller.Require(aclPath(owner), "VM.Config.Disk")
	}
	return c.caller.Require(where, "Datastore.Allocate")
}
