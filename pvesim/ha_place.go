package pvesim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// wish is what a node is looked for for.
type wish int

const (
	toStay  wish = iota // where the resource is, if it may stay there
	toServe             // any, as its own is gone
	toRetry             // one where it has not failed yet
)

// isOperating reports whether HA may put resources on a node.
func (s *state) isOperating(n *node) bool {
	return !n.Offline && !n.Maintenance && !n.evacuates
}

// nodesFor are the nodes on which a resource may run, and of these the ones with the highest
// priority, by the rule or group that it is in. All other nodes come last, unless it is
// strict.
func (s *state) nodesFor(g *guest) (allowed, best []*node) {
	wanted, strict := s.nodeAffinity(g)
	top := -2
	for _, n := range s.nodes {
		priority, named := wanted[n.Name]
		if !named {
			priority = -1
		}
		if !s.isOperating(n) || !named && strict {
			continue
		}
		allowed = append(allowed, n)
		if priority > top {
			top, best = priority, nil
		}
		if priority == top {
			best = append(best, n)
		}
	}
	return allowed, best
}

// nodeAffinity are the nodes with their priorities that a rule or group names for a resource,
// and whether it may run on no other.
func (s *state) nodeAffinity(g *guest) (nodes map[string]int, strict bool) {
	options := map[string]string{}
	for _, rule := range s.rulesInForce() {
		if rule.Type == "node-affinity" && slices.Contains(apischema.SplitList(rule.Options["resources"]), g.sid()) {
			options = rule.Options
		}
	}
	if group := s.haGroup(g); group != nil {
		options = map[string]string{"nodes": group.Options["nodes"], "strict": group.Options["restricted"]}
	}
	nodes = map[string]int{}
	for _, node := range apischema.SplitList(options["nodes"]) {
		name, priority, _ := strings.Cut(node, ":")
		nodes[name], _ = strconv.Atoi(priority)
	}
	return nodes, options["strict"] == "1" && len(nodes) > 0
}

// haGroup is the group that a resource is in; nil if it is in none.
func (s *state) haGroup(g *guest) *HASection {
	if s.rulesOnly() || g.HAOptions["group"] == "" {
		return nil
	}
	if i := sectionNamed(s.haGroups, g.HAOptions["group"]); i >= 0 {
		return &s.haGroups[i]
	}
	return nil
}

// failsBack reports whether a resource returns to the node that it prefers.
func (s *state) failsBack(g *guest) bool {
	if group := s.haGroup(g); group != nil {
		return group.Options["nofailback"] != "1"
	}
	return g.HAOptions["failback"] != "0"
}

// nodeOf chooses the node for a resource, as the manager does; nil if there is none for it.
func (s *state) nodeOf(g *guest, w wish) *node {
	allowed, best := s.nodesFor(g)
	together, apart := s.occupied(g, "positive"), s.occupied(g, "negative")
	here := s.nodeNamed(g.Node)
	if len(best) == 0 {
		return nil
	}
	if w == toStay && !s.failsBack(g) && slices.Contains(allowed, here) && (together[here] > 0 || apart[here] == 0) {
		return here
	}
	best = slices.DeleteFunc(best, func(n *node) bool {
		return apart[n] > 0 || w == toRetry && slices.Contains(g.failedOn, n.Name)
	})
	best = mostOf(best, together)
	home := s.nodeNamed(g.home)
	switch {
	case len(best) == 0:
		return nil
	case slices.Contains(best, home):
		return home
	case w == toStay && slices.Contains(best, here):
		return here
	}
	load := s.resourcesByNode()
	return slices.MinFunc(best, func(a, b *node) int {
		return cmp.Or(cmp.Compare(load[a.Name], load[b.Name]), strings.Compare(a.Name, b.Name))
	})
}

// occupied are the nodes that have, or get, resources that rules keep together with one, or
// apart from it, with their number.
func (s *state) occupied(g *guest, affinity string) map[*node]int {
	out := map[*node]int{}
	for _, sid := range s.affine(g, affinity) {
		other := s.guestOf(sid)
		at, to := s.nodeNamed(other.Node), s.nodeNamed(other.movesTo)
		if to != nil && affinity == "positive" {
			at = nil
		}
		for _, n := range []*node{at, to} {
			if n != nil && s.isOperating(n) {
				out[n]++
			}
		}
	}
	return out
}

// mostOf leaves the node that has most of some resources, or all nodes if none has any.
func mostOf(nodes []*node, count map[*node]int) []*node {
	var most []*node
	for _, n := range nodes {
		if count[n] > 0 && (most == nil || count[n] > count[most[0]]) {
			most = []*node{n}
		}
	}
	if most == nil {
		return nodes
	}
	return most
}

// resourcesByNode counts the resources that are to run, by node.
func (s *state) resourcesByNode() map[string]int {
	out := map[string]int{}
	for _, g := range s.guests {
		if g.HA == "started" {
			out[cmp.Or(g.movesTo, g.Node)]++
		}
	}
	return out
}
