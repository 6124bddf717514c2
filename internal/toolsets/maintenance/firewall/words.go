package firewall

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// actions are the words for what a rule does.
var actions = map[string]string{
	"accept": accept, "allow": accept, "open": accept, "permit": accept,
	"drop": drop, "block": drop, "deny": drop, "close": drop, "reject": reject,
}

var nameRE = lazyregexp.New(`^[A-Za-z][A-Za-z0-9\-_]+$`)

// ruleKeys are the keys of a rule, by the arguments that give them.
var ruleKeys = []struct{ argument, key string }{
	{"direction", "type"}, {"action", "action"}, {"enable", "enable"}, {"protocol", "proto"}, {"port", "dport"}, {"source_port", "sport"}, {"source", "source"},
	{"dest", "dest"}, {"macro", "macro"}, {"icmp_type", "icmp-type"}, {"iface", "iface"}, {"log", "log"}, {"comment", "comment"},
}

// given is what the arguments say of a rule, by PVE's keys.
func (in setIn) given() (entry, error) {
	out := entry{}
	for key, value := range map[string]string{
		"type": in.Direction, "proto": strings.ToLower(in.Protocol), "dport": portText(in.Port), "sport": portText(in.SourcePort), "source": addressText(in.Source),
		"dest": addressText(in.Dest), "macro": in.Macro, "icmp-type": in.ICMPType, "iface": in.Iface, "log": in.Log, "comment": in.Comment,
	} {
		if value != "" {
			out[key] = value
		}
	}
	if in.Enable != nil {
		out["enable"] = tool.Flag(*in.Enable)
	}
	group, isGroup := strings.CutPrefix(in.Action, "group:")
	switch word := actions[strings.ToLower(in.Action)]; {
	case in.Action == "":
	case isGroup && in.Direction != "":
		return nil, tool.BadArgument("direction", "is that of the rules in the group; leave it out")
	case isGroup:
		out["type"], out["action"] = "group", group
	case word == "":
		return nil, tool.BadArgument("action", fmt.Sprintf("is %q; it takes accept, drop, reject, or group:NAME for a security group", render.Text(in.Action, 60)))
	default:
		out["action"] = word
	}
	return out, nil
}

// portText writes ports as PVE does: ranges with a colon.
func portText(text string) string {
	text = strings.ReplaceAll(text, " ", "")
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if from, to, is := strings.Cut(part, "-"); is && strings.Trim(from+to, "0123456789") == "" {
			part = from + ":" + to
		}
		out = append(out, part)
	}
	return strings.ToLower(strings.Join(out, ","))
}

// addressText writes addresses as PVE does; all of them is no limit.
func addressText(text string) string {
	text = strings.ReplaceAll(text, " ", "")
	if slices.Contains([]string{"any", "all", "anywhere", "everybody"}, strings.ToLower(text)) {
		return ""
	}
	return text
}

// checkRule refuses what PVE would refuse of a rule, in words.
func (e *edit) checkRule(ctx context.Context, r entry) error {
	isICMP := slices.Contains([]string{"icmp", "ipv6-icmp"}, protocol(r["proto"]))
	switch {
	case r["action"] == "":
		return tool.BadArgument("action", "is missing: accept, drop, reject, or group:NAME for a security group")
	case r["type"] == "group" && e.in.Group != "":
		return tool.BadArgument("action", "names a security group; a group cannot use another one")
	case r["type"] == "forward" && e.place.isGuest():
		return tool.BadArgument("direction", "is in or out for a guest")
	case r["type"] == "forward" && r["action"] == reject:
		return tool.BadArgument("action", "is accept or drop for forward")
	case r["iface"] != "" && e.in.Group != "":
		return tool.BadArgument("iface", "is not for rules of a security group; give it where the group is used")
	case r["iface"] != "" && e.place.isGuest() && !cardRE.MatchString(r["iface"]):
		return tool.BadArgument("iface", fmt.Sprintf("is %q; of a guest it is the key of a NIC, such as net0", render.Text(r["iface"], 60)))
	case r["icmp-type"] != "" && !isICMP:
		return tool.BadArgument("icmp_type", "needs protocol icmp or icmpv6")
	case (r["dport"] != "" || r["sport"] != "") && !slices.Contains([]string{"tcp", "udp", "sctp", "dccp", "udplite", "33", "132", "136"}, protocol(r["proto"])) && !isICMP:
		return tool.BadArgument("port", fmt.Sprintf("does not go with protocol %s, which has no ports", render.Text(r["proto"], 30)))
	}
	if err := checkPorts("port", r["dport"], isICMP); err != nil {
		return err
	}
	if err := checkPorts("source_port", r["sport"], false); err != nil {
		return err
	}
	if r["type"] == "group" {
		if err := e.checkGroup(r["action"]); err != nil {
			return err
		}
	}
	if err := e.checkMacro(ctx, r); err != nil {
		return err
	}
	for _, key := range []string{"source", "dest"} {
		if err := e.checkAddresses(key, r[key]); err != nil {
			return err
		}
	}
	return nil
}

var cardRE = lazyregexp.New(`^net\d+$`)

func checkPorts(name, text string, isICMP bool) error {
	for _, p := range portsOf(text) {
		switch {
		case p.name != "" && (strings.Trim(p.name, "0123456789:-") == "" || !isICMP && !serviceRE.MatchString(p.name)):
			return tool.BadArgument(name, fmt.Sprintf("has %q; it takes ports such as 443, 80,443 or 8000-8010", render.Text(p.name, 60)))
		case p.from > p.to || p.to > 65535:
			return tool.BadArgument(name, fmt.Sprintf("has %d-%d; ports go from 0 to 65535, the lower one first", p.from, p.to))
		}
	}
	return nil
}

var serviceRE = lazyregexp.New(`^[a-z][a-z0-9\-]*$`)

func (e *edit) checkGroup(name string) error {
	if _, has := e.before.Groups[name]; has || e.blindCluster {
		return nil
	}
	return explain.Refusal("pve_firewall without vmid and node shows the groups; add_group makes one.", "There is no security group %q%s. Nothing was sent.",
		render.Text(name, 80), thereAre(keysOf(e.before.Groups)))
}

// checkMacro refuses a macro that PVE does not have, and writes it as PVE does.
func (e *edit) checkMacro(ctx context.Context, r entry) error {
	if r["macro"] == "" {
		return nil
	}
	macros, err := readList(ctx, e.PVE, "cluster", "firewall", "macros")
	if err != nil {
		return err
	}
	var near []string
	for _, name := range namesOf(macros.Entries, "macro") {
		if strings.EqualFold(name, r["macro"]) {
			r["macro"] = name
			return nil
		}
		if strings.EqualFold(name[:1], r["macro"][:1]) {
			near = append(near, name)
		}
	}
	return tool.BadArgument("macro", fmt.Sprintf("is %q, which PVE does not have%s; or give protocol and port", render.Text(r["macro"], 60), thereAre(near)))
}

func thereAre(names []string) string {
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; there are " + render.Text(render.List(slices.Compact(names)), 400)
}

// checkAddresses refuses addresses that are none, and names of what is not there.
func (e *edit) checkAddresses(name, text string) error {
	if text == "" {
		return nil
	}
	isName := strings.HasPrefix(text, "+") || aliasRefRE.MatchString(text)
	if !isName {
		for part := range strings.SplitSeq(text, ",") {
			if _, err := spanOf(part); err != nil {
				return tool.BadArgument(name, err.Error()+"; or an alias, or +SET")
			}
		}
		return nil
	}
	if strings.HasPrefix(text, "+") && !setRefRE.MatchString(text) {
		return tool.BadArgument(name, fmt.Sprintf("is %q, which is no name of a set, such as +trusted", render.Text(text, 60)))
	}
	names := e.names(&e.before)
	if _, ok := e.before.addresses(text, *names); ok {
		return nil
	}
	if plain := strings.TrimPrefix(text, "+"); plain != text {
		return tool.BadArgument(name, fmt.Sprintf("is the set %q, which is not there%s; add_set makes one", render.Text(plain, 60), thereAre(append(keysOf(names.Sets), keysOf(e.before.Cluster.Sets)...))))
	}
	return tool.BadArgument(name, fmt.Sprintf("is %q: no address, and no alias that is there%s; set_alias makes one", render.Text(text, 60),
		thereAre(append(keysOf(names.Aliases), keysOf(e.before.Cluster.Aliases)...))))
}

func keysOf[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
