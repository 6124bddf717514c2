package ha

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// nameRE is what PVE takes as the name of a rule or a group.
var nameRE = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_-]+$`)

// checkApart refuses a move to a node that has a guest from which this one is kept apart.
func (p *planner) checkApart(sid, target string) error {
	for _, r := range p.rules {
		if r["affinity"] != "negative" || !r.isOn() || !slices.Contains(r.list("resources"), sid) {
			continue
		}
		for _, other := range r.list("resources") {
			if other != sid && p.nodeOf(other) == target && p.services[other]["request_state"] != "ignored" {
				return explain.Refusal("Choose another node, or disable the rule (set_rule, enabled: false).", "The rule %s keeps %s apart from %s, which is on %s: HA would not move it there. Nothing was sent.",
					render.Text(r["rule"], 60), p.names.name(sid), p.names.name(other), target)
			}
		}
	}
	return nil
}

// sayTogether says which guests HA moves with one.
func (p *planner) sayTogether(sid, target string) {
	for _, r := range p.rules {
		if r["affinity"] != "positive" || !r.isOn() || !slices.Contains(r.list("resources"), sid) {
			continue
		}
		for _, other := range r.list("resources") {
			if other != sid && p.nodeOf(other) != target {
				p.lost = append(p.lost, fmt.Sprintf("%s moves with it, by the rule %s", p.names.name(other), render.Text(r["rule"], 60)))
				p.also = append(p.also, policy.Guest(vmid(other)))
			}
		}
	}
}

func (p *planner) checkName(what string) error {
	if !nameRE.MatchString(p.in.Name) {
		return tool.BadArgument("name", fmt.Sprintf("is %q; the name of a %s begins with a letter, and has letters, digits, - and _", render.Text(p.in.Name, 60), what))
	}
	return nil
}

func (p *planner) setRule(context.Context) error {
	switch {
	case p.major < 9:
		return explain.Refusal("Use a group: change: set_group, name and nodes; then group of each resource.", "PVE 8 has no HA rules. Nothing was sent.")
	case len(p.groups) > 0:
		return explain.Refusal("They are migrated when all nodes have PVE 9 and HA's manager has seen that; until then change the groups.", "This cluster still has HA groups, and PVE makes no rules meanwhile. Nothing was sent.")
	}
	if err := p.checkName("rule"); err != nil {
		return err
	}
	was := ruleKind.named(p.rules, p.in.Name)
	after, err := p.ruleAfter(was)
	if err != nil {
		return err
	}
	p.begin(http.MethodPut, "rule", p.in.Name, ruleKind.settings(was))
	if was == nil {
		p.begin(http.MethodPost, "rule", p.in.Name, nil)
	}
	p.About = fmt.Sprintf("HA rule %s: %s", p.in.Name, describe(after, p.names))
	if !after.isOn() {
		p.About = fmt.Sprintf("Disabling of the HA rule %s (%s)", p.in.Name, describe(after, p.names))
	}
	members := after.list("resources")
	p.replace(p.in.Name, after)
	if after.isOn() {
		if err := p.refuseFaults(after); err != nil {
			return err
		}
		p.sayMoves(members)
	} else if was.isOn() && was != nil {
		p.lost = append(p.lost, "its guests may run anywhere; those are "+render.List(render.Few(p.names.names(members), 20)))
	}
	p.settle(after)
	p.Form.Set("type", after["type"])
	if was == nil {
		p.Form.Set("rule", p.in.Name)
	}
	for _, sid := range union(was.list("resources"), members) {
		p.also = append(p.also, policy.Guest(vmid(sid)))
	}
	p.undoBy(p.backTo("set_rule", "name", p.in.Name))
	if was == nil {
		p.undoBy(map[string]any{"change": "remove_rule", "name": p.in.Name})
	}
	return nil
}

// replace puts a rule into the layout as it would be.
func (p *planner) replace(name string, after section) {
	own := maps.Clone(after)
	own["rule"] = name
	p.rules = append(slices.DeleteFunc(slices.Clone(p.rules), func(r section) bool { return r["rule"] == name }), own)
}

// ruleAfter is the rule as it would be.
func (p *planner) ruleAfter(was section) (section, error) {
	in, after := p.in, maps.Clone(ruleKind.settings(was))
	if after == nil {
		after = section{"type": nodeAffinity}
		if in.Affinity != "" {
			after["type"] = resourceAffinity
		}
	}
	for _, key := range in.Unset {
		delete(after, key)
	}
	sids, err := p.sids()
	if err != nil {
		return nil, err
	}
	if sids != nil {
		after["resources"] = strings.Join(sids, ",")
	}
	isParts := after["type"] == resourceAffinity
	switch {
	case isParts && (in.Nodes != nil || in.Strict != nil):
		return nil, tool.BadArgument("nodes", "and strict are for a rule about nodes; this one keeps guests together or apart (affinity)")
	case !isParts && in.Affinity != "":
		return nil, tool.BadArgument("affinity", "is for a rule that keeps guests together or apart; this one is about nodes")
	case after["resources"] == "":
		return nil, tool.BadArgument("resources", `is missing: which guests, such as ["vm:101","ct:200"]`)
	case !isParts && in.Nodes == nil && after["nodes"] == "":
		return nil, tool.BadArgument("nodes", `is missing, such as ["pve1:2","pve2:1"]; to keep guests together or apart, give affinity`)
	}
	if err := p.takeNodes(after, "strict"); err != nil {
		return nil, err
	}
	if in.Affinity != "" {
		after["affinity"] = in.Affinity
	}
	if in.Enabled != nil {
		after["disable"] = tool.Flag(!*in.Enabled)
	}
	if in.Comment != "" {
		after["comment"] = in.Comment
	}
	return ruleKind.settings(after), nil
}

// takeNodes puts nodes, and whether they are all that is allowed, into settings.
func (p *planner) takeNodes(after section, strictKey string) error {
	if p.in.Nodes != nil {
		after["nodes"] = strings.Join(p.in.Nodes, ",")
		for name := range after.nodes() {
			if !slices.Contains(p.layout.all, name) {
				return tool.BadArgument("nodes", fmt.Sprintf("has %q; there is %s", render.Text(name, 60), render.List(p.layout.all)))
			}
		}
	}
	if p.in.Strict != nil {
		after[strictKey] = tool.Flag(*p.in.Strict)
	}
	return nil
}

// refuseFaults refuses a rule that could not be fulfilled, or that PVE would refuse.
func (p *planner) refuseFaults(after section) error {
	rule := maps.Clone(after)
	rule["rule"] = p.in.Name
	for _, sid := range rule.list("resources") {
		if resourceKind.named(p.resources, sid) == nil {
			return explain.Refusal("Add it first: change: add.", "HA does not manage %s, and a rule names managed guests only. Nothing was sent.", p.names.name(sid))
		}
	}
	if why := p.faults(rule, p.names); len(why) > 0 {
		p.Note = slices.DeleteFunc(slices.Clone(why), func(line string) bool { return !strings.HasPrefix(line, "HA does not manage") })
		if len(p.Note) < len(why) {
			return explain.Refusal("Change the guests or nodes of the rule, or the other rule first.", "The rule %s has no effect, or cannot be fulfilled: %s. Nothing was sent.", p.in.Name, render.List(why))
		}
	}
	if rule["affinity"] == "negative" && len(rule.list("resources")) > len(p.online) {
		p.Note = append(p.Note, fmt.Sprintf("it cannot be fulfilled now: %d guests, and %d nodes online", len(rule.list("resources")), len(p.online)))
	}
	return nil
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

func (p *planner) removeRule(context.Context) error {
	was := ruleKind.named(p.rules, p.in.Name)
	if was == nil {
		var names []string
		for _, r := range p.rules {
			names = append(names, render.Text(r["rule"], 60))
		}
		return explain.Refusal(fmt.Sprintf("There is %s.", cmp.Or(render.List(names), "none")), "There is no HA rule %q. Nothing was sent.", render.Text(p.in.Name, 60))
	}
	p.begin(http.MethodDelete, "rule", p.in.Name, ruleKind.settings(was))
	p.About = fmt.Sprintf("Deletion of the HA rule %s", p.in.Name)
	p.lost = []string{fmt.Sprintf("no longer: %s", describe(was, p.names))}
	for _, sid := range was.list("resources") {
		p.also = append(p.also, policy.Guest(vmid(sid)))
	}
	p.undoBy(p.backTo("set_rule", "name", p.in.Name))
	return nil
}
