package pvesim

import (
	"net/netip"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// sdnSubnets are the networks of addresses of virtual networks.
func sdnSubnets() sdnKind {
	k := newSDNKind("subnet", "/cluster/sdn/vnets/{vnet}/subnets", subnetsFile, true)
	k.typ = "subnet"
	k.unknown = func(id string) error { return die("sdn subnet '%s' does not exist", id) }
	k.gone, k.absent = k.unknown, nil
	k.access = mayVNet
	k.idOf = subnetID
	k.fields = shownSubnet
	k.check = checkSubnet
	k.free = func(c *call, id string) error {
		for _, l := range c.model.Leases {
			if l.Subnet == id && !l.Gateway {
				return die("cannot delete subnet '%s', not empty", cidrOf(id))
			}
		}
		return nil
	}
	return k
}

// subnetID is the id of the subnet that the call is about: its zone, and its network.
func subnetID(c *call) string {
	id := c.str("subnet")
	v := c.section(vnetsFile, "", c.str("vnet"))
	if !strings.Contains(id, "/") || v == nil {
		return id
	}
	return v.Options["zone"] + "-" + strings.Replace(id, "/", "-", 1)
}

// cidrOf is the network that a subnet's id tells.
func cidrOf(id string) string {
	_, network, _ := strings.Cut(id, "-")
	return strings.Replace(network, "-", "/", 1)
}

// shownSubnet is a subnet of the network that the call is about, as PVE shows it; nil for
// one of another.
func shownSubnet(c *call, entry map[string]any) map[string]any {
	if entry["vnet"] != c.str("vnet") {
		return nil
	}
	id := entry["subnet"].(string)
	zone, network, _ := strings.Cut(id, "-")
	address, mask, _ := strings.Cut(network, "-")
	entry["id"], entry["zone"], entry["network"], entry["mask"], entry["cidr"] = id, zone, address, mask, cidrOf(id)
	ranges := []any{}
	given, _ := entry["dhcp-range"].([]any)
	for _, text := range given {
		start, end := propstring.Get(text.(string), "start-address"), propstring.Get(text.(string), "end-address")
		ranges = append(ranges, map[string]any{"start-address": start, "end-address": end})
	}
	entry["dhcp-range"] = ranges
	return entry
}

func checkSubnet(c *call, s Section, _ bool) error {
	if v := c.section(vnetsFile, "", s.Options["vnet"]); v != nil && v.Options["vlanaware"] == "1" {
		return badParam("vnet", "you can't add a subnet on a vlanaware vnet")
	}
	cidr := cidrOf(s.ID)
	network, err := netip.ParsePrefix(cidr)
	if err != nil {
		return die("%s", err)
	}
	pointToPoint := network.Addr().Is4() && network.Bits() == 32
	if gateway := s.Options["gateway"]; gateway != "" && !pointToPoint && !holds(network, gateway) {
		return badParam("gateway", "%s is not in subnet %s", gateway, cidr)
	}
	return checkDHCPRanges(s.Options["dhcp-range"], cidr, network)
}

func holds(network netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && network.Masked().Contains(a)
}

func checkDHCPRanges(text, cidr string, network netip.Prefix) error {
	type bounds struct{ first, last netip.Addr }
	var seen []bounds
	for line := range strings.SplitSeq(text, listSeparator) {
		if line == "" {
			continue
		}
		start, end := propstring.Get(line, "start-address"), propstring.Get(line, "end-address")
		first, err := netip.ParseAddr(start)
		if err != nil {
			return badParam("dhcp-range", "start-address is not a valid IP %s", start)
		}
		last, err := netip.ParseAddr(end)
		switch {
		case err != nil:
			return badParam("dhcp-range", "end-address is not a valid IP %s", end)
		case last.Less(first):
			return badParam("dhcp-range", "start-address %s must be smaller than end-address %s", start, end)
		case !holds(network, start):
			return badParam("dhcp-range", "start-address %s is not in subnet %s", start, cidr)
		case !holds(network, end):
			return badParam("dhcp-range", "end-address %s is not in subnet %s", end, cidr)
		}
		for _, other := range seen {
			if !last.Less(other.first) && !other.last.Less(first) {
				return badParam("dhcp-range", "dhcp ranges must not overlap")
			}
		}
		seen = append(seen, bounds{first, last})
	}
	return nil
}
