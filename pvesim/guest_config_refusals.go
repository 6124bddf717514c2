package pvesim

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// onlyRoot refuses parameters that root alone may use, and what they do for root is not
// simulated. One that is off is not used.
func (c *call) onlyRoot(names ...string) error {
	for _, name := range names {
		if v := c.params[name]; v == nil || perl.Text(v) == "0" || perl.Text(v) == "" {
			continue
		}
		return c.rootOption(name, "Only root may use this option.")
	}
	return nil
}

// rootOption refuses an option that only root may use.
func (c *call) rootOption(name, words string) error {
	if c.isRoot() {
		return &refusal{status: 501, message: "Option '" + name + "' of " + c.ep.Method + " " + c.ep.Path + " not implemented by pvesim"}
	}
	return badParam(name, "%s", words)
}

// checkValues refuses values of a guest's configuration that their formats let pass:
// CPU models that do not exist, and SSH keys that are none.
func (c *call) checkValues() error {
	model := cmp.Or(propstring.Get(c.str("cpu"), "cputype"), propstring.Get(c.str("cpu"), ""))
	if model != "" && !strings.HasPrefix(model, "custom-") && !isCPUModel(model) {
		return badParam("cpu", "invalid format - Built-in cputype '%s' is not defined (missing 'custom-' prefix?)\n", model)
	}
	machine := cmp.Or(propstring.Get(c.str("machine"), "type"), propstring.Get(c.str("machine"), ""))
	if machine != "" && !machineType.MatchString(machine) {
		return badParam("machine", "invalid format - format error\nmachine.type: value does not match the regex pattern\n")
	}
	keys, err := url.PathUnescape(c.str("sshkeys"))
	if err != nil {
		keys = c.str("sshkeys")
	}
	for line := range strings.Lines(keys + "\n" + c.str("ssh-public-keys")) {
		if strings.TrimSpace(line) != "" && !isPublicKey(line) {
			return die("SSH public key validation error")
		}
	}
	return nil
}

// machineType are the types of machines that PVE lets QEMU be.
var machineType = lazyregexp.New(`^(?:(?:pc|pc(?:-i440fx)?-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|q35|pc-q35-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|virt(?:-\d+(?:\.\d+)+)?(?:\+pve\d+)?))$`)

// refuseValues refuses values of a VM that only its configuration shows to be wrong.
func (c *call) refuseValues(g *guest, settings map[string]string) error {
	if err := refuseClipboard(settings["vga"]); err != nil {
		return err
	}
	old, state := g.Config["tpmstate0"], settings["tpmstate0"]
	version := func(drive string) string { return cmp.Or(propstring.Get(drive, "version"), "v1.2") }
	if old != "" && propstring.Volume(old) == propstring.Volume(state) && version(old) != version(state) {
		return die("cannot change TPM state version after creation")
	}
	return nil
}

// refuseClipboard refuses a display that cannot share its clipboard.
func refuseClipboard(vga string) error {
	display := cmp.Or(propstring.Get(vga, ""), propstring.Get(vga, "type"))
	if propstring.Get(vga, "clipboard") == "vnc" && display != "" && !vncClipboard.MatchString(display) {
		return die("vga type %s is not compatible with VNC clipboard", display)
	}
	return nil
}

// vncClipboard are the displays that can share it.
var vncClipboard = lazyregexp.New(`^(?:std|cirrus|vmware|virtio|qxl)`)

// isPublicKey reports whether a line is a key as OpenSSH writes it: its type and, in
// base64, the key, which begins with the type.
func isPublicKey(line string) bool {
	words := strings.Fields(line)
	for i := range len(words) - 1 {
		key, err := base64.StdEncoding.DecodeString(words[i+1])
		if err != nil || len(key) < 4 {
			continue
		}
		n := binary.BigEndian.Uint32(key)
		if int(n) == len(words[i]) && strings.HasPrefix(string(key[4:]), words[i]) {
			return true
		}
	}
	return false
}

// mayImport checks the volume that a new disk is to be filled from.
func (c *call) mayImport(key, drive string, vmid int) error {
	source := propstring.Get(drive, "import-from")
	if source == "" {
		return nil
	}
	_, size, _ := strings.Cut(propstring.Volume(drive), ":")
	if !newDisk(size) || strings.Trim(size, "0.") != "" {
		return badParam(key, "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>")
	}
	for _, needed := range map[string][]string{"efidisk0": {"efitype", "pre-enrolled-keys"}, "tpmstate0": {"version"}}[key] {
		if propstring.Get(drive, needed) == "" {
			return badParam(key, "need to specify '%s' when using 'import-from'", needed)
		}
	}
	_, content, owner, err := c.managed(source)
	switch {
	case err != nil:
		return err
	case content != "images" && content != "import":
		return badParam(key, "%s has wrong type '%s' - needs to be 'images' or 'import'", source, content)
	case owner != 0:
		return c.caller.Require(aclPath(owner), "VM.Clone")
	}
	return c.mayVolume(source, vmid)
}

// notOptions are parameters of a change that are no keys of a guest's configuration.
var notOptions = []string{
	"background_delay", "delete", "digest", "force", "import-working-storage", "node", "revert", "skiplock", "vmid",
}

// removed are the keys that a change removes. The drive for media has an old name.
func (c *call) removed() []string {
	keys := apischema.SplitList(c.str("delete"))
	for i, key := range keys {
		if key == "cdrom" {
			keys[i] = "ide2"
		}
	}
	return keys
}

// privileged reports whether the container that the call is about is privileged, or
// will be.
func (c *call) privileged() bool {
	if g := c.guests[c.number("vmid", 0)]; g != nil && c.ep.Path != "/nodes/{node}/lxc" {
		return g.Config["unprivileged"] != "1"
	}
	if c.params["unprivileged"] != nil {
		return !c.flag("unprivileged")
	}
	return c.node.version.major < 9
}
