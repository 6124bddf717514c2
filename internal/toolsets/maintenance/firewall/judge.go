package firewall

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// accesses are the ways by which people and nodes manage a cluster: ports of TCP.
var accesses = []struct{ what, port string }{
	{"port 8006 (web interface and API)", "8006"},
	{"port 22 (SSH)", "22"},
	{"ports 5900-5999 (consoles)", "5900:5999"},
	{"port 3128 (SPICE)", "3128"},
	{"ports 60000-60050 (migration)", "60000:60050"},
}

// narrowed names the chains of which it is not proven that after lets through all that before
// does.
func narrowed(before, after setup) []string {
	were, are := before.chains(), after.chains()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(are)) {
		if same := reflect.DeepEqual(were[name], are[name]); same && !hasUnseen(are[name]) {
			continue
		}
		if !widens(were[name], are[name]) {
			out = append(out, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(were)) {
		if _, is := are[name]; !is && len(were[name]) > 0 {
			out = append(out, name)
		}
	}
	return out
}

func hasUnseen(chain []match) bool {
	return slices.ContainsFunc(chain, func(m match) bool { return m.source.unseen || m.dest.unseen })
}

// hostChain are the rules that packets to a node meet, in their order.
func (s setup) hostChain(node string) []match {
	return slices.Concat(s.blacklist(), s.nodeRules(node, "in"), s.clusterChain("in"))
}

// isOn reports whether the firewall of a node is: the cluster's switch counts, and its own, which
// is on unless it was switched off.
func (s setup) isOn(node string) bool {
	own := s.Nodes[node]
	return s.Cluster.Options.isOn() && (own == nil || own.Options.flag("enable", true))
}

// whoGetsTo says who gets to a port of TCP, in the order in which the rules decide it, and by which
// rules if these are to be named: their positions shift.
func whoGetsTo(chain []match, port string, named bool) string {
	by := func(m match) string {
		if !named {
			return ""
		}
		return " (" + m.from + ")"
	}
	asked := match{proto: "tcp", dport: portsOf(port)}
	var out []string
	for _, m := range chain {
		if !m.overlaps(asked) {
			continue
		}
		may := "no"
		if m.action == accept {
			may = "yes"
		}
		everybody := m.isForAll() && m.covers(asked)
		whom := m.whom()
		switch {
		case everybody && len(out) == 0 && may == "yes":
			return "everybody" + by(m)
		case everybody && len(out) == 0:
			return "nobody" + by(m)
		case everybody:
			whom = "everybody else"
		case whom == "":
			whom = "some of these ports"
		}
		out = append(out, whom+": "+may+by(m))
		if everybody {
			break
		}
	}
	return strings.Join(out, ", ")
}

// accessTo says who gets to the ways of management of a node.
func (s setup) accessTo(node string) []string {
	if !s.isOn(node) {
		return nil
	}
	chain := s.hostChain(node)
	var g grouped
	for _, a := range accesses {
		g.add(a.what, whoGetsTo(chain, a.port, true))
	}
	return g.lines()
}

// grouped are ways of access, those together of which the same is said.
type grouped struct {
	said []string
	ways map[string][]string
}

func (g *grouped) add(way, text string) {
	if g.ways == nil {
		g.ways = map[string][]string{}
	}
	if g.ways[text] == nil {
		g.said = append(g.said, text)
	}
	g.ways[text] = append(g.ways[text], way)
}

func (g *grouped) lines() []string {
	var out []string
	for _, text := range g.said {
		out = append(out, strings.Join(g.ways[text], ", ")+": "+text)
	}
	return out
}

// allNodes is short for each node that has no rules and options of its own.
const allNodes = ""

// nodesWithOwn are the nodes whose access is looked at: each with rules of its own, and one for
// all others.
func (s setup) nodesWithOwn() []string {
	var out []string
	others := len(s.Nodes) == 0
	for _, name := range slices.Sorted(maps.Keys(s.Nodes)) {
		if n := s.Nodes[name]; len(n.Rules) > 0 || n.Options["enable"] != "" {
			out = append(out, name)
		} else {
			others = true
		}
	}
	if others {
		out = append([]string{allNodes}, out...)
	}
	return out
}

// mostNodesNamed bounds the nodes whose access is said.
const mostNodesNamed = 5

// changedAccess says for each way of management to whom it was open and is, if that differs.
func changedAccess(before, after setup, nodes []string) []string {
	var out []string
	for _, node := range nodes {
		var g grouped
		for _, a := range accesses {
			was, is := before.mayReach(node, a.port, false), after.mayReach(node, a.port, false)
			if was != is {
				g.add(a.what, fmt.Sprintf("before: %s; after: %s", was, after.mayReach(node, a.port, true)))
			}
		}
		for _, line := range g.lines() {
			out = append(out, strings.TrimSpace(ofNode(node)+" "+line))
		}
	}
	return out
}

// mayReach says who gets to a port of a node.
func (s setup) mayReach(node, port string, named bool) string {
	if s.Cluster.Options.isOn() && !s.isOn(node) {
		return "everybody (its firewall is off)"
	}
	return whoGetsTo(s.hostChain(node), port, named)
}
