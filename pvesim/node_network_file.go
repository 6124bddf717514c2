package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// An interface is kept as PVE would write it. What PVE shows is what it reads back of the file,
// where all is text and some follows from the name.

var (
	bondName     = lazyregexp.New(`^bond\d+$`)
	vlanName     = lazyregexp.New(`^(\S+)\.(\d+)$`)
	vlanNumber   = lazyregexp.New(`^vlan(\d+)$`)
	physicalName = lazyregexp.New(`^(eth\d+|en[^:.]+|ib[^:.]+|(nic|if)\d+)$`)
)

// notPrinted are options that PVE's file has in words of their own, and those of bridges and bonds.
const notPrinted = "families method method6 autostart comments comments6 address netmask gateway address6 netmask6 gateway6 cidr cidr6 " +
	"bridge_ports bridge_stp bridge_fd bridge_vlan_aware bridge_vids slaves bond_mode bond_miimon bond_xmit_hash_policy bond-primary"

// readInterface is an interface as PVE reads it back. parentExists is what it knows of a card.
func readInterface(s Section, parentExists func(string) any) map[string]any {
	o := s.Options
	out := map[string]any{"iface": s.ID, "type": interfaceType(s), "method": orManual(o["method"]), "method6": orManual(o["method6"])}
	for name, value := range o {
		if value != "" && value != "0" && !slices.Contains(strings.Fields(notPrinted), name) {
			out[name] = value
		}
	}
	families := []any{}
	for _, family := range apischema.SplitList(cmp.Or(o["families"], "inet")) {
		families = append(families, family)
	}
	out["families"] = families
	if o["autostart"] == "1" {
		out["autostart"] = 1
	}
	if lines := strings.TrimRight(o["comments"]+o["comments6"], "\n"); lines != "" {
		out["comments"] = lines + "\n"
	}
	for suffix, prefix := range map[string]string{"": "32", "6": "128"} {
		readAddress(out, o, suffix, prefix)
	}
	switch out["type"] {
	case "bridge":
		readBridge(out, o)
	case "bond":
		readBond(out, o)
	case "vlan":
		if m := vlanName.FindStringSubmatch(s.ID); m != nil {
			out["vlan-raw-device"], out["vlan-id"] = m[1], m[2]
		} else if m := vlanNumber.FindStringSubmatch(s.ID); m != nil {
			out["vlan-id"] = m[1]
		}
		out["exists"] = parentExists(fmt.Sprint(out["vlan-raw-device"]))
	}
	return out
}

func orManual(method string) string { return cmp.Or(method, "manual") }

// interfaceType is what PVE takes an interface for, by its options and its name.
func interfaceType(s Section) string {
	switch {
	case s.Type == "bridge":
		return "bridge"
	case bondName.MatchString(s.ID):
		return "bond"
	case vlanName.MatchString(s.ID), s.Options["vlan-raw-device"] != "":
		return "vlan"
	case physicalName.MatchString(s.ID):
		return "eth"
	}
	return "unknown"
}

func readAddress(out map[string]any, o map[string]string, suffix, prefix string) {
	if gateway := o["gateway"+suffix]; gateway != "" {
		out["gateway"+suffix] = gateway
	}
	address := o["address"+suffix]
	if address == "" {
		return
	}
	out["address"+suffix], out["cidr"+suffix] = address, address+"/"+cmp.Or(o["netmask"+suffix], prefix)
	if mask := o["netmask"+suffix]; mask != "" {
		out["netmask"+suffix] = mask
	}
}

func readBridge(out map[string]any, o map[string]string) {
	out["bridge_ports"] = sortedPorts(o["bridge_ports"])
	out["bridge_stp"], out["bridge_fd"] = cmp.Or(o["bridge_stp"], "off"), cmp.Or(o["bridge_fd"], "0")
	if _, aware := o["bridge_vlan_aware"]; aware { // whatever it says
		out["bridge_vlan_aware"], out["bridge_vids"] = 1, cmp.Or(o["bridge_vids"], "2-4094")
	}
}

func readBond(out map[string]any, o map[string]string) {
	mode := cmp.Or(o["bond_mode"], "balance-rr")
	out["slaves"], out["bond_mode"], out["bond_miimon"] = sortedPorts(o["slaves"]), mode, cmp.Or(o["bond_miimon"], "100")
	if policy := o["bond_xmit_hash_policy"]; policy != "" && (mode == "balance-xor" || mode == "802.3ad") {
		out["bond_xmit_hash_policy"] = policy
	}
	if primary := o["bond-primary"]; primary != "" && mode == "active-backup" {
		out["bond-primary"] = primary
	}
}

// sortedPorts are names of interfaces as PVE lists them.
func sortedPorts(list string) string {
	names := apischema.SplitList(list)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// changedInterface is an interface with what the call says of it.
func (c *call) changedInterface(old Section) (Section, error) {
	s := cloneSections([]Section{old})[0]
	s.Type = c.str("type")
	for _, name := range c.deleted() {
		if suffix, isAddress := strings.CutPrefix(name, "cidr"); isAddress {
			delete(s.Options, "address"+suffix)
			delete(s.Options, "netmask"+suffix)
		}
	}
	c.setSection(&s, "iface", "node", "type", "cidr", "cidr6")
	var families []string
	for family, suffix := range map[string]string{"inet": "", "inet6": "6"} {
		address := c.str("address" + suffix)
		if cidr := c.str("cidr" + suffix); cidr != "" {
			if address != "" {
				return s, badParam("address"+suffix, "address conflicts with cidr")
			}
			address, s.Options["netmask"+suffix], _ = strings.Cut(cidr, "/")
			s.Options["address"+suffix] = address
		}
		s.Options["method"+suffix] = "manual"
		if address != "" {
			s.Options["method"+suffix] = "static"
			families = append(families, family)
		}
	}
	slices.Sort(families)
	s.Options["families"] = cmp.Or(strings.Join(families, " "), "inet")
	return s, nil
}

// checkInterface refuses what PVE does not write to its file.
func (c *call) checkInterface(s Section) error {
	others := map[string]map[string]any{}
	for _, i := range c.networkNow(c.node) {
		if i["iface"] != s.ID {
			others[i["iface"].(string)] = i
		}
	}
	for _, suffix := range []string{"", "6"} {
		for _, name := range sortedKeys(others) {
			if c.str("gateway"+suffix) != "" && others[name]["gateway"+suffix] != nil {
				return badParam("gateway"+suffix, "Default %sgateway already exists on interface '%s'.", map[string]string{"6": "ipv6 "}[suffix], name)
			}
		}
	}
	if err := c.checkPortsAreFree(others); err != nil {
		return err
	}
	switch read := readInterface(s, func(string) any { return nil }); read["type"] {
	case "bridge":
		return checkBridgePorts(s.ID, fmt.Sprint(read["bridge_ports"]), others)
	case "bond":
		return checkBond(s, fmt.Sprint(read["slaves"]), others)
	case "vlan":
		return checkVLAN(s, read, others)
	}
	return nil
}

// checkPortsAreFree refuses ports that another interface has.
func (c *call) checkPortsAreFree(others map[string]map[string]any) error {
	for _, param := range []string{"bridge_ports", "slaves"} {
		for _, port := range apischema.SplitList(c.str(param)) {
			for _, name := range sortedKeys(others) {
				for _, list := range []string{"bridge_ports", "slaves"} {
					if taken, _ := others[name][list].(string); slices.Contains(strings.Fields(taken), port) {
						return badParam(param, "%s is already used on interface '%s'.", port, name)
					}
				}
			}
		}
	}
	return nil
}

func checkBridgePorts(id, ports string, others map[string]map[string]any) error {
	for _, port := range strings.Fields(ports) {
		n := others[port]
		switch {
		case n == nil && vlanName.MatchString(port): // which PVE makes by itself
		case n == nil:
			return die("bridge '%s' - unable to find bridge port '%s'", id, port)
		case n["method"] == "static" || n["method6"] == "static":
			return die("iface %s - ip address can't be set on interface if bridged in %s", port, id)
		}
	}
	return nil
}

func checkBond(s Section, slaves string, others map[string]map[string]any) error {
	for _, slave := range strings.Fields(slaves) {
		switch n := others[slave]; {
		case n == nil:
			return die("bond '%s' - unable to find slave '%s'", s.ID, slave)
		case n["type"] != "eth" && n["type"] != "bond":
			return die("bond '%s' - wrong interface type on slave '%s' ('%s' != 'eth or bond')", s.ID, slave, n["type"])
		}
	}
	return nil
}

func checkVLAN(s Section, read map[string]any, others map[string]map[string]any) error {
	parent, id := read["vlan-raw-device"], fmt.Sprint(read["vlan-id"])
	if number, _ := strconv.Atoi(id); number > 4094 {
		return die("vlan '%s' - vlan-id %s should be <= 4094", s.ID, id)
	}
	n := others[fmt.Sprint(parent)]
	switch {
	case parent == nil:
		return die("missing vlan-raw-device option at /usr/share/perl5/PVE/Network/Interfaces.pm line 954.")
	case read["vlan-id"] == nil:
		return die("missing vlan-id option at /usr/share/perl5/PVE/Network/Interfaces.pm line 962.")
	case n == nil:
		return die("vlan '%s' - unable to find parent '%s'", s.ID, parent)
	}
	if kind, _ := n["type"].(string); !slices.Contains([]string{"eth", "bridge", "bond", "vlan"}, kind) {
		return die("vlan '%s' - wrong interface type on parent '%s' ('%s' != 'eth|bond|bridge|vlan' )", s.ID, parent, kind)
	}
	return checkMTU(fmt.Sprint(parent), n, s)
}

// checkMTU refuses an interface whose packets do not fit into those of its parent.
func checkMTU(parent string, n map[string]any, s Section) error {
	mtu, _ := strconv.Atoi(s.Options["mtu"])
	most, _ := strconv.Atoi(fmt.Sprint(cmp.Or(n["mtu"], any("1500"))))
	if mtu > most && !(n["type"] == "bond" && n["mtu"] == nil) {
		return die("interface '%s' - mtu %d is lower than '%s' - mtu %d", parent, most, s.ID, mtu)
	}
	return nil
}
