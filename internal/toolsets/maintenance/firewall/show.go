// Package firewall has the tools for PVE's firewall. It knows the order in which PVE's rules take
// effect, so that it can say whether a firewall works, and whether a change is proven to let
// through all that passed before.
package firewall

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type showIn struct {
	VMID  pve.VMID `json:"vmid,omitzero" jsonschema:"id or name"`
	Node  string   `json:"node,omitzero" jsonschema:"a node; without both: the cluster"`
	Limit int      `json:"limit,omitzero" min:"1" max:"500" default:"60" jsonschema:"lines of each list"`
}

type showOut struct {
	Message string            `json:"message"`
	Works   *bool             `json:"works,omitzero" jsonschema:"left out if it cannot be seen"`
	Why     []string          `json:"why,omitzero" jsonschema:"what stands against it, or lets things pass"`
	In      []string          `json:"in,omitzero" cut:"end" jsonschema:"incoming, in the order in which it takes effect; the first that fits decides"`
	Out     []string          `json:"out,omitzero" cut:"end" jsonschema:"outgoing"`
	Forward []string          `json:"forward,omitzero" cut:"end" jsonschema:"passed on; only with nftables"`
	Access  []string          `json:"access,omitzero" jsonschema:"who gets to the nodes"`
	Filters []string          `json:"filters,omitzero" jsonschema:"of what it sends"`
	Groups  map[string]int    `json:"groups,omitzero" jsonschema:"security groups, and how many rules each has"`
	Sets    map[string]string `json:"sets,omitzero" jsonschema:"IP sets; ! is taken out"`
	Aliases map[string]string `json:"aliases,omitzero"`
	Options map[string]string `json:"options,omitzero" jsonschema:"that are set"`
	Digest  string            `json:"digest,omitzero" jsonschema:"of its rules, for pve_set_firewall"`
	LeftOut []string          `json:"left_out,omitzero"`
	Blind   []survey.Blind    `json:"blind,omitzero" jsonschema:"what could not be seen"`
}

// Show is pve_firewall.
func Show() tool.Tool {
	return tool.Read(tool.Spec[showIn, showOut]{
		Name:  "pve_firewall",
		Title: "Show the firewall, and whether it works",
		Doc: "Which firewall rules apply to a guest, a node or the cluster: is it on, does it work and why not, which ports it lets through or blocks; security " +
			"groups, IP sets, aliases and options in the order in which they take effect.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":101}`},
			{Arguments: `{"node":"pve1"}`},
			{Arguments: `{}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").If("a guest"),
			tool.On(tool.OnNode, "Sys.Audit").If("a node").Else("the firewall of a node is unknown"),
			tool.On(tool.OnRoot, "Sys.Audit").Else("the cluster's switch, groups, sets and aliases are unknown"),
		},
		Run: show,
	})
}

func show(ctx context.Context, c *tool.Call, in showIn) (showOut, error) {
	p, err := placeOf(ctx, c, in.VMID, in.Node)
	if err != nil {
		return showOut{}, err
	}
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return showOut{}, err
	}
	defer end()
	r := read(s, p)
	if err := s.Err(); err != nil {
		return showOut{}, err
	}
	out := r.describe()
	out.bound(cmp.Or(in.Limit, 60))
	out.LeftOut = append(out.LeftOut, r.leftOut...)
	out.Blind = s.Blind()
	return out, nil
}

// own is the firewall that the call is about.
func (r *reader) own() section {
	if s := r.sectionOf(r.place); s != nil {
		return *s
	}
	return section{}
}

func (r *reader) describe() showOut {
	own := r.own()
	out := showOut{Options: own.Options, Digest: r.digest, Why: r.obstacles()}
	if r.place.isGuest() {
		r.describeGuest(&out, own)
	} else {
		r.describeHost(&out)
	}
	out.Groups, out.Sets, out.Aliases = r.used(own)
	r.sayWhether(&out, own)
	return out
}

// sayWhether fills in the first line: whether the firewall works.
func (r *reader) sayWhether(out *showOut, own section) {
	state := r.works()
	policies := fmt.Sprintf("incoming: %d rules, then %s; outgoing: %d rules, then %s",
		r.count(own, "in"), own.policy("in"), r.count(own, "out"), own.policy("out"))
	if r.place.Node != "" {
		policies = fmt.Sprintf("its rules come first (%d), then those of the cluster (%d), then %s for incoming and %s for outgoing",
			len(own.Rules), len(r.Cluster.Rules), r.Cluster.policy("in"), r.Cluster.policy("out"))
	}
	title := r.place.title()
	yes, no := true, false
	switch state {
	case working:
		out.Works, out.Message = &yes, title+" works: "+policies+"."
	case partly:
		out.Works, out.Message = &yes, title+" works for some of its network cards only: "+out.Why[0]+"."
	case idle:
		out.Works, out.Message = &no, title+" does not work: "+out.Why[0]+"."
	default:
		out.Message = "Whether " + r.place.whole() + " works cannot be seen: " + unseenSwitch(r) + "."
	}
}

func unseenSwitch(r *reader) string {
	if r.blindCluster {
		return "the cluster's switch needs Sys.Audit on /"
	}
	return "its own options were not read"
}

// count is how many rules of a direction are on, those of groups each.
func (r *reader) count(c section, direction string) int {
	sameRule := func(a, b match) bool { return a.from == b.from } // which a macro makes several of
	return len(slices.CompactFunc(r.matches(c.Rules, c, direction, ""), sameRule))
}

// The states of a firewall.
type state int

const (
	unknown state = iota
	idle
	partly
	working
)

func (r *reader) works() state {
	own := r.own()
	on := own.Options.flag("enable", r.place.Node != "")
	filtered, open := r.cards()
	switch {
	case own.Options != nil && !on, !r.blindCluster && !r.Cluster.Options.isOn(), r.place.isGuest() && r.nics != nil && len(filtered) == 0:
		return idle
	case r.blindCluster || own.Options == nil:
		return unknown
	case len(open) > 0:
		return partly
	}
	return working
}

// cards are the network cards that have firewall=1, and the others.
func (r *reader) cards() (filtered, open []string) {
	for _, n := range r.nics {
		if n.Firewall.Value {
			filtered = append(filtered, n.Key)
		} else {
			open = append(open, n.Key)
		}
	}
	return filtered, open
}

// obstacles are why a firewall does not work, or not wholly.
func (r *reader) obstacles() []string {
	var out []string
	own := r.own()
	if !r.blindCluster && !r.Cluster.Options.isOn() {
		out = append(out, "the cluster's firewall is off (option enable), so no node and no guest has one")
	}
	switch {
	case r.place.isGuest():
		if own.Options != nil && !own.Options.isOn() {
			out = append(out, "its own option enable is off")
		}
		switch filtered, open := r.cards(); {
		case len(r.nics) == 0:
		case len(open) == 1:
			out = append(out, "its NIC "+open[0]+" has firewall=0")
		case len(open) > 1:
			out = append(out, fmt.Sprintf("its NICs %s have firewall=0", render.List(open)))
		case len(filtered) == 0:
			out = append(out, "it has no NIC")
		}
	case r.place.Node != "" && !own.Options.flag("enable", true):
		out = append(out, "the node's own option enable is off")
	}
	return out
}

func (r *reader) describeGuest(out *showOut, own section) {
	first := r.blacklistLine()
	if own.Options.flag("dhcp", true) {
		first = append(first, "PVE: ACCEPT DHCP")
	}
	out.In = slices.Concat(first, r.linesOf(own.Rules, own, "in", ""), []string{"policy: " + own.policy("in")})
	out.Out = append(r.linesOf(own.Rules, own, "out", ""), "policy: "+own.policy("out"))
	if own.Options.flag("macfilter", true) {
		out.Filters = append(out.Filters, "macfilter: only from its own MAC address")
	}
	sets := slices.Sorted(maps.Keys(own.Sets))
	for _, n := range r.nics {
		set := "ipfilter-" + n.Key
		switch {
		case slices.Contains(sets, set):
			out.Filters = append(out.Filters, fmt.Sprintf("ipfilter of %s: only from %s, and its link-local address", n.Key, sayAddresses(own.Sets[set])))
		case own.Options.flag("ipfilter", false):
			out.Filters = append(out.Filters, fmt.Sprintf("ipfilter of %s: only from its own addresses (those of its configuration, and link-local)", n.Key))
		}
	}
}

func (r *reader) blacklistLine() []string {
	if _, has := r.Cluster.Sets[blacklistSet]; !has {
		return nil
	}
	return []string{"PVE: DROP from +blacklist (" + sayAddresses(r.Cluster.Sets[blacklistSet]) + ")"}
}

func (r *reader) describeHost(out *showOut) {
	lines := func(direction string) []string {
		var own []string
		if n := r.Nodes[r.place.Node]; n != nil {
			own = r.linesOf(n.Rules, r.Cluster, direction, r.place.Node)
		}
		return append(own, r.linesOf(r.Cluster.Rules, r.Cluster, direction, "cluster")...)
	}
	out.In = append(r.blacklistLine(), lines("in")...)
	out.Out, out.Forward = lines("out"), lines("forward")
	if r.blindCluster {
		return
	}
	out.In = append(out.In, "PVE: ACCEPT tcp "+strings.Join(managementPorts, ", ")+" from "+r.management().text, "PVE: ACCEPT corosync among the nodes",
		"policy: "+r.Cluster.policy("in"))
	out.Out = append(out.Out, "PVE: ACCEPT tcp "+strings.Join(localPorts, ", ")+" to "+r.localNetwork().text, "policy: "+r.Cluster.policy("out"))
	if len(out.Forward) > 0 {
		out.Forward = append(out.Forward, "policy: "+r.Cluster.policy("forward"))
	}
	out.Access = r.accessTo(r.place.Node)
}

// used are the groups, sets and aliases: those of the cluster, or those that a guest has or may
// name.
func (r *reader) used(own section) (groups map[string]int, sets, aliases map[string]string) {
	groups, sets, aliases = map[string]int{}, map[string]string{}, map[string]string{}
	for name, rules := range r.Groups {
		groups[name] = len(rules)
	}
	for _, c := range []section{r.Cluster, own} {
		for name, list := range c.Sets {
			sets[name] = sayAddresses(list)
		}
		for name, a := range c.Aliases {
			aliases[name] = a["cidr"]
		}
	}
	return groups, sets, aliases
}

// bound leaves out what is beyond a number of lines.
func (out *showOut) bound(most int) {
	for _, part := range []struct {
		name  string
		lines *[]string
	}{{"in", &out.In}, {"out", &out.Out}, {"forward", &out.Forward}} {
		lines := *part.lines
		if n := len(lines) - most; n > 0 {
			out.LeftOut = append(out.LeftOut, fmt.Sprintf("%d lines of %s, before its policy", n, part.name))
			*part.lines = append(slices.Clone(lines[:most-1]), lines[len(lines)-1])
		}
	}
	for _, part := range []struct {
		name string
		all  map[string]string
	}{{"sets", out.Sets}, {"aliases", out.Aliases}} {
		names := slices.Sorted(maps.Keys(part.all))
		for _, name := range names[min(len(names), most):] {
			delete(part.all, name)
		}
		if n := len(names) - most; n > 0 {
			out.LeftOut = append(out.LeftOut, fmt.Sprintf("%d %s", n, part.name))
		}
	}
}
