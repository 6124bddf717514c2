package pvesim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// everyZone are options that zones of all types have.
const everyZone = " nodes mtu dns reversedns dnszone ipam"

// zones separate virtual networks.
func zones() sdnKind {
	k := newSDNKind("zone", "/cluster/sdn/zones", zonesFile, true)
	k.needed = map[string]string{
		"simple": "", "vlan": "bridge", "qinq": "tag bridge", "vxlan": "", "evpn": "vrf-vxlan controller", "faucet": "dp-id controller",
	}
	k.optional = map[string]string{
		"simple": "dhcp" + everyZone, "vlan": "bridge-disable-mac-learning" + everyZone, "faucet": everyZone,
		"qinq":  "bridge-disable-mac-learning vlan-protocol" + everyZone,
		"vxlan": "peers fabric vxlan-port" + everyZone,
		"evpn": "exitnodes exitnodes-local-routing exitnodes-primary advertise-subnets disable-arp-nd-suppression " +
			"bridge-disable-mac-learning rt-import vxlan-port mac" + everyZone,
	}
	k.visible = func(c *call, id string) bool {
		return c.may("/sdn/zones/"+id, "SDN.Audit") || c.may("/sdn/zones/"+id, "SDN.Allocate")
	}
	k.check = checkZone
	k.free = func(c *call, id string) error {
		for _, v := range c.files[vnetsFile] {
			if v.Options["zone"] == id {
				return die("zone %s is used by vnet %s at /usr/share/perl5/PVE/Network/SDN/Zones/Plugin.pm line 148.", id, v.ID)
			}
		}
		return nil
	}
	return k
}

func checkZone(c *call, s Section, create bool) error {
	for _, name := range []string{"dns", "reversedns"} {
		if server := c.str(name); server != "" && c.section(dnsServersFile, "", server) == nil {
			return badParam(name, "%s don't exist", server)
		}
	}
	if c.str("dnszone") != "" && s.Options["dns"] == "" {
		return badParam("dnszone", "missing dns server")
	}
	if ipam := c.str("ipam"); ipam != "" && ipam != "pve" && c.section(ipamsFile, "", ipam) == nil {
		return badParam("ipam", "%s not existing", ipam)
	}
	if old := c.section(zonesFile, "", s.ID); !create && old != nil && old.Options["ipam"] != s.Options["ipam"] {
		if slices.ContainsFunc(c.files[subnetsFile], func(sub Section) bool { return strings.HasPrefix(sub.ID, s.ID+"-") }) {
			return badParam("ipam", "can't change ipam if a subnet is already defined in this zone")
		}
	}
	switch s.Type {
	case "vxlan":
		if (s.Options["peers"] == "") == (s.Options["fabric"] == "") {
			const words = "must have exactly one of peers / fabric defined"
			return &apischema.ParamError{Errors: map[string]string{"peers": words, "fabric": words}}
		}
	case "evpn":
		return c.checkEVPN(s)
	}
	return nil
}

func (c *call) checkEVPN(s Section) error {
	const at = " at /usr/share/perl5/PVE/Network/SDN/Zones/EvpnPlugin.pm line %d."
	controller := c.section(controllersFile, "", s.Options["controller"])
	switch {
	case controller == nil:
		return die("controller %s don't exist"+at, s.Options["controller"], 354)
	case controller.Type != "evpn":
		return die("%s is not a evpn controller type"+at, controller.ID, 356)
	}
	for _, other := range c.files[zonesFile] {
		if other.ID != s.ID && other.Options["vrf-vxlan"] == s.Options["vrf-vxlan"] {
			return die("vrf-vxlan %s is already declared in %s"+at, s.Options["vrf-vxlan"], other.ID, 366)
		}
	}
	if s.Options["mac"] == "" {
		s.Options["mac"] = c.mac()
	}
	return nil
}

// vnets are virtual networks, to which guests are connected as to a bridge.
func vnets() sdnKind {
	k := newSDNKind("vnet", "/cluster/sdn/vnets", vnetsFile, true)
	k.typ = "vnet"
	k.unknown = func(id string) error { return die("sdn vnet '%s' does not exist", id) }
	k.gone, k.absent = k.unknown, k.unknown
	k.access = mayVNet
	k.visible = func(c *call, id string) bool {
		zone := ""
		for _, file := range []string{vnetsFile, inForce(vnetsFile)} {
			if v := c.section(file, "", id); v != nil && zone == "" {
				zone = v.Options["zone"]
			}
		}
		path := "/sdn/zones/" + zone + "/" + id
		return c.may(path, "SDN.Audit") || c.may(path, "SDN.Allocate")
	}
	k.check = checkVNet
	k.free = func(c *call, id string) error {
		if c.hasSubnets(id) {
			return badParam("vnet", "Can't delete vnet if subnets exists")
		}
		return nil
	}
	return k
}

// mayVNet wants one of some privileges on the virtual network that the call is about.
func mayVNet(c *call, privs ...string) error {
	if c.ep.Method == "POST" && c.ep.Path == "/cluster/sdn/vnets" {
		return nil
	}
	v := c.section(vnetsFile, "", c.str("vnet"))
	if v == nil {
		return die("sdn vnet '%s' does not exist", c.str("vnet"))
	}
	return c.caller.RequireAny("/sdn/zones/"+v.Options["zone"]+"/"+v.ID, privs...)
}

func (s *state) hasSubnets(vnet string) bool {
	return slices.ContainsFunc(s.files[subnetsFile], func(sub Section) bool { return sub.Options["vnet"] == vnet })
}

func checkVNet(c *call, s Section, create bool) error {
	if old := c.section(vnetsFile, "", s.ID); !create && old != nil {
		switch {
		case s.Options["zone"] == "":
			return badParam("zone", "cannot delete zone")
		case old.Options["zone"] != s.Options["zone"] && c.hasSubnets(s.ID):
			return badParam("zone", "can't change zone if subnets exist")
		}
	}
	zone := c.section(zonesFile, "", s.Options["zone"])
	if zone == nil {
		return die("cannot lookup undefined type!")
	}
	if err := c.checkVNetTag(s, zone); err != nil {
		return err
	}
	if s.Options["vlanaware"] == "1" && c.hasSubnets(s.ID) {
		return badParam("vlanaware", "vlanaware vnet is not compatible with subnets")
	}
	return nil
}

// checkVNetTag refuses a tag that a virtual network cannot have in its zone.
func (c *call) checkVNetTag(s Section, zone *Section) error {
	tag, most := s.Options["tag"], 4096
	overlay := zone.Type == "vxlan" || zone.Type == "evpn"
	words := map[string][2]string{
		"vlan": {"missing vlan tag", "vlan tag max value is 4096"}, "qinq": {"", "VLAN tag maximal value is 4096"},
		"vxlan": {"missing vxlan tag", "vxlan tag max value is 16777216"}, "evpn": {"missing vxlan tag", "vxlan tag max value is 16777216"},
	}[zone.Type]
	if overlay {
		most = 16777216
	}
	n, _ := strconv.Atoi(tag)
	switch {
	case zone.Type == "simple" && tag != "":
		return badParam("tag", "vlan tag is not allowed on simple zone")
	case zone.Type == "simple" || zone.Type == "faucet":
		return nil
	case tag == "" && words[0] != "":
		return badParam("tag", "%s", words[0])
	case n > most:
		return badParam("tag", "%s", words[1])
	case zone.Type == "evpn" && s.Options["vlanaware"] == "1":
		return badParam("vlan-aware", "vlan-aware option can't be enabled with evpn")
	}
	for _, other := range c.files[vnetsFile] {
		otherZone := c.section(zonesFile, "", other.Options["zone"])
		near := other.Options["zone"] == zone.ID || overlay && otherZone != nil && (otherZone.Type == "vxlan" || otherZone.Type == "evpn")
		if other.ID == s.ID || !near || other.Options["tag"] != tag {
			continue
		}
		switch {
		case overlay:
			return badParam("tag", "vxlan tag %s already exist in vnet %s in zone %s ", tag, other.ID, other.Options["zone"])
		case zone.Type == "qinq" && tag == "":
			return badParam("tag", "tag-less vnet already exists in zone %s vnet %s", zone.ID, other.ID)
		case zone.Type == "qinq":
			return badParam("tag", "tag %s already exist in zone %s vnet %s", tag, zone.ID, other.ID)
		}
		return badParam("tag", "tag %s already exist in vnet %s", tag, other.ID)
	}
	return nil
}

// controllers exchange routes of zones.
func controllers() sdnKind {
	k := newSDNKind("controller", "/cluster/sdn/controllers", controllersFile, true)
	k.needed = map[string]string{"bgp": "node asn peers", "evpn": "asn", "isis": "isis-domain isis-net isis-ifaces node", "faucet": ""}
	k.optional = map[string]string{"bgp": "bgp-multipath-as-path-relax ebgp ebgp-multihop loopback", "evpn": "peers fabric", "isis": "loopback", "faucet": ""}
	k.visible = func(c *call, id string) bool {
		return c.may("/sdn/controllers/"+id, "SDN.Audit") || c.may("/sdn/controllers/"+id, "SDN.Allocate")
	}
	k.check = func(c *call, s Section, _ bool) error {
		const at = " at /usr/share/perl5/PVE/Network/SDN/Controllers/EvpnPlugin.pm line %d."
		if s.Type != "evpn" {
			return nil
		}
		if slices.ContainsFunc(c.files[controllersFile], func(other Section) bool { return other.ID != s.ID && other.Type == "evpn" }) {
			return die("only 1 global evpn controller can be defined"+at, 491)
		}
		if (s.Options["peers"] == "") == (s.Options["fabric"] == "") {
			return die("must have exactly one of peers / fabric defined"+at, 496)
		}
		return nil
	}
	k.free = func(c *call, id string) error {
		for _, z := range c.files[zonesFile] {
			if z.Options["controller"] == id {
				return die("controller %s is used by %s at /usr/share/perl5/PVE/Network/SDN/Controllers/EvpnPlugin.pm line 475.", id, z.ID)
			}
		}
		return nil
	}
	return k
}

// dnsServers are those in which guests get names. PVE asks one before it takes it, and none
// answers here.
func dnsServers() sdnKind {
	k := newSDNKind("dns", "/cluster/sdn/dns", dnsServersFile, false)
	k.needed, k.optional = map[string]string{"powerdns": "url key"}, map[string]string{"powerdns": "ttl reversemaskv6 fingerprint"}
	k.check = func(c *call, s Section, _ bool) error {
		return die("dns api error: Invalid response from server: %s", noServer(s.Options["url"]))
	}
	return k
}

// ipams keep the addresses of guests. PVE asks one before it takes it, and only its own
// answers here.
func ipams() sdnKind {
	k := newSDNKind("ipam", "/cluster/sdn/ipams", ipamsFile, false)
	k.needed = map[string]string{"pve": "", "netbox": "url token", "phpipam": "url token section"}
	k.optional = map[string]string{"pve": "", "netbox": "fingerprint", "phpipam": "fingerprint"}
	k.builtin = []Section{{ID: "pve", Type: "pve"}}
	k.check = func(_ *call, s Section, _ bool) error {
		if s.Type == "pve" {
			return nil
		}
		return die("Can't connect to %s api: Invalid response from server: %s", s.Type, noServer(s.Options["url"]))
	}
	return k
}

// noServer is what a client says of a server that does not answer.
func noServer(url string) string { return fmt.Sprintf("500 Can't connect to %s", url) }
