package pvesim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// pinMachine makes a VM whose system becomes Windows keep the version of its machine.
func (c *call) pinMachine(g *guest, settings map[string]string) {
	if settings["ostype"] == "" || settings["machine"] != "" || g.pending["machine"] != "" || slices.Contains(c.removed(), "machine") {
		return
	}
	if pinned := c.pinned(g.Config["machine"], settings["ostype"]); pinned != g.Config["machine"] {
		g.pending["machine"] = pinned
	}
}

// pinned is a machine with the version that PVE gives it for Windows, which is confused by another.
func (c *call) pinned(machine, ostype string) string {
	kind := cmp.Or(propstring.Get(machine, ""), propstring.Get(machine, "type"), "pc")
	if !strings.HasPrefix(ostype, "w") || kind != "pc" && kind != "q35" {
		return machine
	}
	name := map[string]string{"pc": "pc-i440fx", "q35": "pc-q35"}[kind] + "-" + c.node.version.newestMachine()
	if machine == "" {
		return name
	}
	return c.printed("qemu", "machine", strings.Replace(machine, kind, name, 1))
}

// normal writes a value as PVE keeps it: tags sorted, network devices with an
// address.
func (c *call) normal(kind, key, value string) string {
	switch {
	case key == "tags":
		tags := apischema.SplitList(strings.ToLower(value))
		slices.Sort(tags)
		return strings.Join(slices.Compact(tags), ";")
	case key == "description" && value == "":
		return value
	case key == "description" && kind == "lxc":
		return strings.TrimRight(value, "\n") + "\n"
	case key == "description":
		return strings.TrimRight(value, " \t\r\n")
	case kind == "lxc" && (key == "nameserver" || key == "searchdomain"):
		return strings.Join(apischema.SplitList(value), " ")
	case key == "vmgenid" && value == "1":
		return c.uuid("vmgenid")
	case withoutIndex(key) == "net" && key != "net":
		return c.withMAC(kind, key, value)
	}
	return value
}

// printed is a property string as PVE writes it.
func (c *call) printed(kind, key, value string) string {
	return c.api().Normal(c.api().Param(c.api().Endpoint("PUT", "/nodes/{node}/"+kind+"/{vmid}/config"), key), value)
}

// withMAC is a network device as PVE writes it. One without a hardware address gets a new
// one, even if it had one before.
func (c *call) withMAC(kind, key, net string) string {
	if kind == "lxc" {
		if propstring.Get(net, "hwaddr") == "" {
			net = propstring.Set(net, "hwaddr", c.mac())
		}
		return c.printed(kind, key, propstring.Set(net, "type", "veth"))
	}
	if net = c.printed(kind, key, net); macOf(net) == "" {
		net = c.printed(kind, key, net+",macaddr="+c.mac())
	}
	return net
}
