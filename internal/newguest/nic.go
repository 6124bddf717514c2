// Package newguest is what the tools that make a guest share: they read the words for NICs,
// disks and keys, choose a place, wait until the guest can be reached, and take back what they
// have made if something fails.
package newguest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// NIC is a network interface as a caller has asked for it.
type NIC struct {
	Bridge  string // "" if the caller leaves the choice
	Address pve.IPConfig
	options []string // the others, as PVE writes them
	model   string
	mac     string
	name    string // within a container
}

// nicExample is a right NIC.
const nicExample = `such as "bridge=vmbr0,tag=30,ip=10.0.0.5/24,gw=10.0.0.1"`

// ReadNIC reads a NIC: key=value between commas, in PVE's words for VMs and containers. The
// error says what is wrong with the argument nics.
func ReadNIC(text string) (NIC, error) {
	var n NIC
	for part := range strings.SplitSeq(text, ",") {
		key, value, keyed := strings.Cut(strings.TrimSpace(part), "=")
		if key == "" {
			continue
		}
		if !keyed || value == "" {
			if guestconfig.IsModel(key) {
				n.model = key
				continue
			}
			return NIC{}, badNIC(text, "%q has no value", part)
		}
		if !n.take(key, value) {
			return NIC{}, badNIC(text, "%q is no option of a NIC", key)
		}
	}
	return n, n.check(text)
}

// take sets an option, and reports whether there is such a one.
func (n *NIC) take(key, value string) bool {
	switch key {
	case "bridge":
		n.Bridge = value
	case "vlan":
		n.options = append(n.options, "tag="+value)
	case "tag", "firewall", "rate", "mtu", "queues", "link_down", "trunks":
		n.options = append(n.options, key+"="+value)
	case "mac", "macaddr", "hwaddr":
		n.mac = value
	case "model":
		n.model = value
	case "name":
		n.name = value
	case "type": // veth, which is all that there is
	case "ip":
		n.Address.IP = value
	case "gw":
		n.Address.Gateway = value
	case "ip6":
		n.Address.IP6 = value
	case "gw6":
		n.Address.Gateway6 = value
	default:
		if guestconfig.IsModel(key) { // virtio=BC:24:…
			n.model, n.mac = key, value
			return true
		}
		return false
	}
	return true
}

func (n NIC) check(text string) error {
	for _, a := range []struct{ what, ip, gateway string }{{"ip", n.Address.IP, n.Address.Gateway}, {"ip6", n.Address.IP6, n.Address.Gateway6}} {
		if slices.Contains([]string{"", "dhcp", "auto", "manual"}, a.ip) {
			if a.gateway != "" {
				return badNIC(text, "a gateway needs a fixed address in %s", a.what)
			}
			continue
		}
		network, err := netip.ParsePrefix(a.ip)
		if err != nil {
			return badNIC(text, "%s=%s is no address with its prefix, dhcp or auto", a.what, a.ip)
		}
		if network.Addr() == network.Masked().Addr() && network.Bits() < network.Addr().BitLen()-1 {
			return badNIC(text, "%s=%s is the address of the network itself", a.what, a.ip)
		}
		if a.gateway == "" {
			continue
		}
		gateway, err := netip.ParseAddr(a.gateway)
		switch {
		case err != nil:
			return badNIC(text, "the gateway %s is no address", a.gateway)
		case gateway == network.Addr():
			return badNIC(text, "the gateway %s is the address of the guest itself", a.gateway)
		case !network.Contains(gateway) && !gateway.IsLinkLocalUnicast():
			return badNIC(text, "the gateway %s is outside of the network %v", a.gateway, network.Masked())
		}
	}
	return nil
}

func badNIC(text, format string, args ...any) error {
	problem := render.Text(fmt.Sprintf(format, args...), 200)
	return tool.BadArgument("nics", fmt.Sprintf("has %q: %s; %s", render.Text(text, 100), problem, nicExample))
}

// Fixed reports whether the NIC has an address that is known before the guest runs.
func (n NIC) Fixed() (address string, ok bool) {
	for _, ip := range []string{n.Address.IP, n.Address.IP6} {
		if p, err := netip.ParsePrefix(ip); err == nil {
			return p.Addr().String(), true
		}
	}
	return "", false
}

// WantsAddress reports whether the NIC is to have an address, which DHCP gives it if nothing else
// is said.
func (n NIC) WantsAddress() bool {
	return n.IPConfig() == "ip=dhcp" || slices.ContainsFunc([]string{n.Address.IP, n.Address.IP6}, func(ip string) bool { return ip != "" && ip != "manual" })
}

// OfVM writes the NIC as PVE has it for a VM.
func (n NIC) OfVM() string {
	model := n.model
	if model == "" {
		model = "virtio"
	}
	if n.mac != "" {
		model += "=" + n.mac
	}
	return strings.Join(slices.Concat([]string{model, "bridge=" + n.Bridge}, n.options), ",")
}

// OfContainer writes the NIC as PVE has it for a container, whose i-th it is.
func (n NIC) OfContainer(i int) string {
	name := n.name
	if name == "" {
		name = "eth" + strconv.Itoa(i)
	}
	parts := []string{"name=" + name, "bridge=" + n.Bridge}
	if n.mac != "" {
		parts = append(parts, "hwaddr="+n.mac)
	}
	parts = append(parts, n.options...)
	if ip := n.IPConfig(); ip != "" {
		parts = append(parts, ip)
	}
	return strings.Join(parts, ",")
}

// IPConfig writes the addresses as PVE has them, DHCP if none is given.
func (n NIC) IPConfig() string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+value)
		}
	}
	add("ip", n.Address.IP)
	add("gw", n.Address.Gateway)
	add("ip6", n.Address.IP6)
	add("gw6", n.Address.Gateway6)
	if parts == nil {
		return "ip=dhcp"
	}
	return strings.Join(parts, ",")
}

// UseModel gives the NIC a card, unless the caller has named one.
func (n *NIC) UseModel(model string) {
	if n.model == "" {
		n.model = model
	}
}

// UseMAC gives the NIC a MAC address, unless the caller has, and returns the one that it has.
func (n *NIC) UseMAC(mac string) string {
	if n.mac == "" {
		n.mac = mac
	}
	return n.mac
}
