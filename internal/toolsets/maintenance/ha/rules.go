package ha

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// layout is what decides where HA runs its guests: rules or groups, nodes, and where they are.
type layout struct {
	rules, groups, resources []section
	services                 map[string]section // by sid
	online                   []string           // nodes
	all                      []string
}

const (
	nodeAffinity     = "node-affinity"
	resourceAffinity = "resource-affinity"
)

func (r section) isOn() bool { return !r.flag("disable", false) }

// affinity is to which nodes a rule or a group binds a guest.
type affinity struct {
	nodes            map[string]int
	strict, failback bool
}

// affinityOf is what binds a guest to nodes; ok is false for one that is free.
func (l layout) affinityOf(sid string) (a affinity, ok bool) {
	resource := resourceKind.named(l.resources, sid)
	for _, r := range l.rules {
		if r["type"] == nodeAffinity && r.isOn() && slices.Contains(r.list("resources"), sid) {
			return affinity{r.nodes(), r.flag("strict", false), resource.flag("failback", true)}, true
		}
	}
	if g := groupKind.named(l.groups, resource["group"]); g != nil && resource["group"] != "" {
		return affinity{g.nodes(), g.flag("restricted", false), !g.flag("nofailback", false)}, true
	}
	return affinity{}, false
}

// best are the nodes of the highest priority that are online.
func (a affinity) best(online []string) []string {
	var out []string
	for _, node := range slices.Sorted(maps.Keys(a.nodes)) {
		switch {
		case !slices.Contains(online, node):
		case len(out) > 0 && a.nodes[node] < a.nodes[out[0]]:
		case len(out) > 0 && a.nodes[node] == a.nodes[out[0]]:
			out = append(out, node)
		default:
			out = []string{node}
		}
	}
	return out
}

// isPlaced reports whether HA leaves a guest on a node.
func (a affinity) isPlaced(at string, online []string) bool {
	best := a.best(online)
	_, allowed := a.nodes[at]
	switch {
	case len(best) == 0:
		return !a.strict
	case slices.Contains(best, at):
		return true
	}
	return !a.failback && (allowed || !a.strict)
}

// runs reports whether HA keeps a guest running.
func (l layout) runs(sid string) bool { return l.services[sid]["request_state"] == "started" }

func (l layout) nodeOf(sid string) string { return l.services[sid]["node"] }

// moves says, in a line for each guest, which of some guests HA would move or stop.
func (l layout) moves(sids []string, names guestNames) []string {
	var out []string
	for _, sid := range sids {
		a, bound := l.affinityOf(sid)
		at := l.nodeOf(sid)
		if !bound || !l.runs(sid) || a.isPlaced(at, l.online) {
			continue
		}
		if best := a.best(l.online); len(best) > 0 {
			out = append(out, fmt.Sprintf("HA moves %s from %s to %s", names.name(sid), at, strings.Join(best, " or ")))
		} else {
			out = append(out, fmt.Sprintf("HA stops %s: none of its nodes is online", names.name(sid)))
		}
	}
	return append(out, l.parts(sids, names)...)
}

// parts says which guests HA would bring together, or apart, of those that rules about some
// guests name.
func (l layout) parts(sids []string, names guestNames) []string {
	var out []string
	for _, r := range l.rules {
		members := r.list("resources")
		if r["type"] != resourceAffinity || !r.isOn() || !slices.ContainsFunc(members, func(sid string) bool { return slices.Contains(sids, sid) }) {
			continue
		}
		if line := l.unfulfilled(r, names); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// unfulfilled says what HA moves because of a rule about guests, "" for nothing.
func (l layout) unfulfilled(r section, names guestNames) string {
	byNode := map[string][]string{}
	for _, sid := range r.list("resources") {
		if at := l.nodeOf(sid); at != "" && l.runs(sid) {
			byNode[at] = append(byNode[at], names.name(sid))
		}
	}
	nodes := slices.SortedFunc(maps.Keys(byNode), pve.CompareNames)
	if r["affinity"] == "positive" {
		if len(nodes) < 2 {
			return ""
		}
		var where []string
		for _, node := range nodes {
			where = append(where, fmt.Sprintf("%s on %s", render.List(byNode[node]), node))
		}
		return "HA moves guests until they are on one node: " + strings.Join(where, "; ")
	}
	var crowded []string
	for _, node := range nodes {
		if len(byNode[node]) > 1 {
			crowded = append(crowded, fmt.Sprintf("%s from %s, except one of them", render.List(byNode[node]), node))
		}
	}
	if crowded == nil {
		return ""
	}
	return "HA moves " + strings.Join(crowded, ", and ")
}

// faults says why a rule has no effect, or cannot be fulfilled.
func (l layout) faults(r section, names guestNames) []string {
	var out []string
	members := r.list("resources")
	var unmanaged []string
	for _, sid := range members {
		if s := l.services[sid]; s == nil || s["request_state"] == "ignored" {
			unmanaged = append(unmanaged, names.name(sid))
		}
	}
	if len(unmanaged) > 0 {
		out = append(out, "HA does not manage "+render.List(render.Few(unmanaged, 5)))
	}
	if r["type"] == resourceAffinity {
		out = append(out, l.faultsOfParts(r)...)
	} else {
		out = append(out, l.faultsOfNodes(r, names)...)
	}
	for _, said := range strings.Split(strings.Trim(r["errors"], `{}`), `",`) {
		if text := strings.Trim(said, `"[]: `); text != "" {
			out = append(out, "PVE: "+render.Text(text, 200))
		}
	}
	return out
}

// faultsOfParts are those of a rule about guests that belong together or apart.
func (l layout) faultsOfParts(r section) []string {
	var out []string
	members, apart := r.list("resources"), r["affinity"] == "negative"
	if len(members) < 2 {
		out = append(out, "it names fewer than two guests, and has no effect")
	}
	if apart && len(members) > len(l.all) {
		out = append(out, fmt.Sprintf("it cannot be fulfilled: %d guests are to be apart, and there are %d nodes", len(members), len(l.all)))
	} else if apart {
		out = append(out, l.tooFewNodes(members)...)
	}
	for _, other := range l.rules {
		if other["rule"] == r["rule"] || other["type"] != resourceAffinity || !other.isOn() || other["affinity"] == r["affinity"] {
			continue
		}
		both := slices.DeleteFunc(other.list("resources"), func(sid string) bool { return !slices.Contains(members, sid) })
		if len(both) > 1 {
			out = append(out, fmt.Sprintf("it contradicts the rule %s, which has two of the same guests", render.Text(other["rule"], 60)))
		}
	}
	return out
}

// tooFewNodes says that strict rules leave guests that are to be apart too few nodes.
func (l layout) tooFewNodes(members []string) []string {
	nodes := map[string]bool{}
	for _, sid := range members {
		a, bound := l.affinityOf(sid)
		if !bound || !a.strict {
			return nil
		}
		for node := range a.nodes {
			nodes[node] = true
		}
	}
	if len(nodes) >= len(members) {
		return nil
	}
	return []string{fmt.Sprintf("it cannot be fulfilled: strict rules bind its %d guests to %d nodes", len(members), len(nodes))}
}

// faultsOfNodes are those of a rule or group about nodes.
func (l layout) faultsOfNodes(r section, names guestNames) []string {
	var out, missing []string
	for _, node := range slices.Sorted(maps.Keys(r.nodes())) {
		if !slices.Contains(l.all, node) {
			missing = append(missing, render.Text(node, 60))
		}
	}
	if missing != nil {
		out = append(out, "there is no node "+render.List(missing))
	}
	for _, sid := range r.list("resources") {
		for _, other := range l.rules {
			if other["rule"] != r["rule"] && other["type"] == nodeAffinity && other.isOn() && slices.Contains(other.list("resources"), sid) {
				out = append(out, fmt.Sprintf("%s is in the rule %s too, and a guest can be in one about nodes", names.name(sid), render.Text(other["rule"], 60)))
			}
		}
	}
	return out
}

// members are the guests of a group.
func (l layout) members(group string) []string {
	var out []string
	for _, r := range l.resources {
		if r["group"] == group {
			out = append(out, r["sid"])
		}
	}
	return out
}

// describe says in words what a rule wants.
func describe(r section, names guestNames) string {
	who := render.List(render.Few(names.names(r.list("resources")), 5))
	var text string
	switch {
	case r["affinity"] == "positive":
		text = "keep together: " + who
	case r["affinity"] == "negative":
		text = "keep apart: " + who
	case r.flag("strict", false):
		text = fmt.Sprintf("%s only on %s", who, r["nodes"])
	default:
		text = fmt.Sprintf("%s rather on %s", who, r["nodes"])
	}
	return render.Text(text, 300)
}
