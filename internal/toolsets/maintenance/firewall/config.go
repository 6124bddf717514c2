package firewall

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// entry is a rule, an address of a set or an alias, as PVE has it.
type entry map[string]string

// flag is a switch: unset is what it is if it was not set.
func (e entry) flag(key string, unset bool) bool {
	if e[key] == "" {
		return unset
	}
	return e[key] != "0"
}

func (e entry) isOn() bool { return e.flag("enable", false) }

// section is the firewall of the cluster, a node or a guest.
type section struct {
	Options entry
	Rules   []entry
	Sets    map[string][]entry
	Aliases map[string]entry
	Unseen  bool // its sets and aliases were not read
}

// setup is all that was read of the firewalls of a cluster.
type setup struct {
	Cluster section
	Groups  map[string][]entry
	Nodes   map[string]*section
	Guests  map[string]*section // by id
}

// sectionOf is the firewall of a place, nil if it was not read.
func (s *setup) sectionOf(p place) *section {
	switch {
	case p.isGuest():
		return s.Guests[p.Guest.VMID.String()]
	case p.Node != "":
		return s.Nodes[p.Node]
	}
	return &s.Cluster
}

// PVE's own names.
const (
	managementSet = "management"
	blacklistSet  = "blacklist"
	localNetwork  = "local_network"
)

// managementPorts are those of TCP that PVE opens on nodes for the management.
var managementPorts = []string{"8006", "5900:5999", "3128", "22", "60000:60050"}

// localPorts are those of TCP that nodes get to on their local network.
var localPorts = []string{"8006", "22", "5900:5999", "3128"}

// directions are those that a chain is for.
var directions = []string{"in", "out", "forward"}

// chains are the parts of chains that there are, by name. Each is compared with itself after a
// change: a packet passes them one after the other.
func (s setup) chains() map[string][]match {
	out := map[string][]match{"blacklist": s.blacklist()}
	for _, d := range directions {
		out["the cluster's rules, "+d] = s.clusterChain(d)
		for _, name := range slices.Sorted(maps.Keys(s.Groups)) {
			out["the security group "+name+", "+d] = s.matches(s.Groups[name], s.Cluster, d, "group "+name)
		}
		for _, name := range slices.Sorted(maps.Keys(s.Nodes)) {
			out["the rules of node "+name+", "+d] = s.nodeRules(name, d)
		}
		for _, id := range slices.Sorted(maps.Keys(s.Guests)) {
			if d != "forward" {
				out["the rules of guest "+id+", "+d] = s.guestChain(id, d)
			}
		}
	}
	return out
}

// blacklist is what drops the addresses in the set of that name, before all rules.
func (s setup) blacklist() []match {
	if _, has := s.Cluster.Sets[blacklistSet]; !has {
		return nil
	}
	from, _ := s.addresses("+"+blacklistSet, s.Cluster)
	return []match{{action: drop, source: from, from: "the set blacklist"}}
}

func (s setup) nodeRules(node, direction string) []match {
	if s.Nodes[node] == nil {
		return nil
	}
	return s.matches(s.Nodes[node].Rules, s.Cluster, direction, node)
}

// clusterChain are the cluster's rules, then those that PVE adds for the management, then the
// policy. A node has its own rules before these.
func (s setup) clusterChain(direction string) []match {
	out := s.matches(s.Cluster.Rules, s.Cluster, direction, "the cluster")
	switch direction {
	case "in":
		for _, p := range managementPorts {
			out = append(out, match{action: accept, source: s.management(), proto: "tcp", dport: portsOf(p), from: "PVE's own for management"})
		}
	case "out":
		for _, p := range localPorts {
			out = append(out, match{action: accept, dest: s.localNetwork(), proto: "tcp", dport: portsOf(p), from: "PVE's own for the local network"})
		}
	}
	return append(out, s.Cluster.lastMatch(direction))
}

// policy is what becomes of packets that no rule matches.
func (c section) policy(direction string) string {
	standard := accept
	if direction == "in" {
		standard = drop
	}
	return cmp.Or(c.Options["policy_"+direction], standard)
}

func (c section) lastMatch(direction string) match {
	policy := c.policy(direction)
	return match{action: policy, from: "policy " + policy}
}

func (s setup) guestChain(id, direction string) []match {
	own := s.Guests[id]
	return append(s.matches(own.Rules, *own, direction, id), own.lastMatch(direction))
}

// localNetwork is the network that a node finds itself, or the alias of that name.
func (s setup) localNetwork() addresses {
	if a := s.Cluster.alias(localNetwork); a != nil {
		one, err := spanOf(a["cidr"])
		if err == nil {
			return addresses{limited: true, in: []span{one}, text: a["cidr"]}
		}
	}
	return addresses{limited: true, unknown: []string{localNetwork}, text: "the node's local network"}
}

// management are the addresses that PVE lets manage the nodes: those of the set of that name, and
// the local network.
func (s setup) management() addresses {
	out := s.localNetwork()
	if _, has := s.Cluster.Sets[managementSet]; has {
		set, _ := s.addresses("+"+managementSet, s.Cluster)
		out.in, out.except, out.unknown = slices.Concat(set.in, out.in), set.except, slices.Concat(set.unknown, out.unknown)
		out.unseen = set.unseen
		out.text = strings.TrimPrefix(set.text+", "+out.text, ", ")
	}
	return out
}

// matches are the rules of a direction as packets meet them, with groups and macros expanded. A
// rule that names what is not there has no effect.
func (s setup) matches(rules []entry, names section, direction, of string) []match {
	var out []match
	for i, r := range rules {
		where := fmt.Sprintf("rule %d of %s", i, of)
		switch {
		case !r.isOn():
		case r["type"] == "group":
			for _, m := range s.matches(s.Groups[r["action"]], s.Cluster, direction, "group "+r["action"]) {
				m.iface, m.from = r["iface"], where+": "+m.from
				out = append(out, m)
			}
		case r["type"] == direction:
			out = append(out, s.expand(r, names, where)...)
		}
	}
	return out
}

// expand is a rule as packets meet it: more than one for some macros.
func (s setup) expand(r entry, names section, where string) []match {
	source, ok := s.addresses(r["source"], names)
	dest, ok2 := s.addresses(r["dest"], names)
	if !ok || !ok2 || source.none() || dest.none() {
		return nil
	}
	one := match{
		action: r["action"], source: source, dest: dest, iface: r["iface"], proto: protocol(r["proto"]), icmp: r["icmp-type"],
		sport: portsOf(r["sport"]), dport: portsOf(r["dport"]), from: where,
	}
	if r["macro"] == "" {
		return []match{one}
	}
	parts := service(r["macro"])
	if parts == nil || r["dport"] != "" || r["sport"] != "" || r["proto"] != "" {
		one.macro = r["macro"]
		return []match{one}
	}
	var out []match
	for _, part := range parts {
		proto, rest, _ := strings.Cut(part, "/")
		rest, sport, _ := strings.Cut(rest, "<")
		one.proto, one.sport, one.dport, one.icmp = protocol(proto), portsOf(sport), nil, ""
		if proto == "icmp" {
			one.icmp = rest
		} else {
			one.dport = portsOf(rest)
		}
		out = append(out, one)
	}
	return out
}

// protocol is a protocol by its usual name.
func protocol(text string) string {
	switch text {
	case "6":
		return "tcp"
	case "17":
		return "udp"
	case "1":
		return "icmp"
	case "58", "icmpv6":
		return "ipv6-icmp"
	case "0":
		return ""
	}
	return text
}

var (
	setRefRE   = lazyregexp.New(`^\+(guest/|dc/|sdn/)?([A-Za-z][A-Za-z0-9\-_]+)$`)
	aliasRefRE = lazyregexp.New(`^(guest/|dc/)?([A-Za-z][A-Za-z0-9\-_]+)$`)
)

// addresses are those that a rule names. ok is false if it names what is not there.
func (s setup) addresses(text string, names section) (out addresses, ok bool) {
	if text == "" {
		return addresses{}, true
	}
	if m := setRefRE.FindStringSubmatch(text); m != nil {
		return s.addressesOfSet(m[1], m[2], names)
	}
	if m := aliasRefRE.FindStringSubmatch(text); m != nil {
		return s.addressesOfAlias(m[1], m[2], names)
	}
	out = addresses{limited: true, text: text}
	for part := range strings.SplitSeq(text, ",") {
		one, err := spanOf(part)
		if err != nil {
			out.unseen = true
			continue
		}
		out.in = append(out.in, one)
	}
	return out, true
}

func (s setup) addressesOfSet(scope, name string, names section) (addresses, bool) {
	out := addresses{limited: true}
	list, has := names.Sets[name]
	if scope == "dc/" || !has && scope == "" {
		list, has = s.Cluster.Sets[name]
	}
	switch {
	case scope == "sdn/":
		out.unknown, out.text = []string{"+sdn/" + name}, "+sdn/"+name
		return out, true
	case !has && s.Cluster.Unseen: // and so no change is of it
		out.unknown, out.text = []string{"+" + name}, "+"+name
		return out, true
	case !has && names.Unseen:
		out.unseen, out.text = true, "+"+name
		return out, true
	case !has:
		return out, false
	}
	var shown []string
	for _, e := range list {
		one, ok := s.addresses(e["cidr"], names)
		switch {
		case !ok:
		case e.flag("nomatch", false):
			out.except = append(out.except, one.in...)
			shown = append(shown, "not "+one.text)
		default:
			out.in, out.unknown, out.unseen = append(out.in, one.in...), append(out.unknown, one.unknown...), out.unseen || one.unseen
			shown = append(shown, one.text)
		}
	}
	out.text = fmt.Sprintf("+%s (%s)", name, cmp.Or(few(shown), "empty"))
	return out, true
}

// alias finds an alias by its name in any case, as PVE does.
func (c section) alias(name string) entry {
	for key, e := range c.Aliases {
		if strings.EqualFold(key, name) {
			return e
		}
	}
	return nil
}

func (s setup) addressesOfAlias(scope, name string, names section) (addresses, bool) {
	found := names.alias(name)
	if scope == "dc/" || found == nil && scope == "" {
		found = s.Cluster.alias(name)
	}
	switch {
	case found == nil && strings.EqualFold(name, localNetwork):
		return s.localNetwork(), true
	case found == nil && s.Cluster.Unseen:
		return addresses{limited: true, unknown: []string{name}, text: name}, true
	case found == nil && names.Unseen:
		return addresses{limited: true, unseen: true, text: name}, true
	case found == nil:
		return addresses{}, false
	}
	one, err := spanOf(found["cidr"])
	return addresses{limited: true, in: []span{one}, unseen: err != nil, text: fmt.Sprintf("%s (%s)", name, found["cidr"])}, true
}

// few are the first of some words.
func few(words []string) string {
	const most = 5
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
