package pvesim

import (
	"net/netip"
	"slices"
	"strings"
)

func ruleRoutes(base string) routes {
	return routes{
		"GET " + base:               {serve: onRulesOf(listFirewallRules)},
		"POST " + base:              {serve: onRulesOf(createFirewallRule)},
		"GET " + base + "/{pos}":    {serve: onRulesOf(getFirewallRule)},
		"PUT " + base + "/{pos}":    {serve: onRulesOf(putFirewallRule)},
		"DELETE " + base + "/{pos}": {serve: onRulesOf(deleteFirewallRule)},
	}
}

// onRulesOf is a handler about the rules of the firewall that the call names.
func onRulesOf(do func(*call, firewall, []Section) (any, error)) handler {
	return func(c *call) (any, error) {
		f := c.theFirewall()
		if group := c.str("group"); f.env == "group" && c.section(f.file, "group", group) == nil {
			return nil, die("no such security group '%s'", group)
		}
		return do(c, f, c.sectionsOfType(f.file, f.list))
	}
}

// ruleFields are the properties of a rule.
var ruleFields = []string{"action", "comment", "dest", "dport", "enable", "icmp-type", "iface", "log", "macro", "proto", "source", "sport", "type"}

// rulesOf are rules as PVE shows them, without their positions.
func rulesOf(c *call, rules []Section) []map[string]any {
	ep := c.api().Endpoint("POST", "/cluster/firewall/rules")
	var out []map[string]any
	for _, s := range rules {
		rule := c.options(ep, s)
		if v := ipVersion(s.Options); v != 0 {
			rule["ipversion"] = v
		}
		out = append(out, rule)
	}
	return out
}

// ipVersion is that of the addresses of a rule, 0 if it has none.
func ipVersion(rule map[string]string) int {
	switch rule["proto"] {
	case "icmp":
		return 4
	case "icmpv6", "ipv6-icmp":
		return 6
	}
	for _, list := range []string{rule["source"], rule["dest"]} {
		first, _, _ := strings.Cut(list, ",")
		first, _, _ = strings.Cut(first, "-")
		first, _, _ = strings.Cut(first, "/")
		if ip, err := netip.ParseAddr(first); err == nil {
			return map[bool]int{true: 4, false: 6}[ip.Is4()]
		}
	}
	return 0
}

func listFirewallRules(c *call, _ firewall, rules []Section) (any, error) {
	out := withDigest(rulesOf(c, rules))
	for i, rule := range out {
		rule["pos"] = i
	}
	return out, nil
}

// position is that of the rule that the call names.
func (c *call) position(rules []Section) (int, error) {
	pos := c.number("pos", 0)
	if pos >= len(rules) {
		return 0, die("no rule at position %s", c.str("pos"))
	}
	return pos, nil
}

func getFirewallRule(c *call, _ firewall, rules []Section) (any, error) {
	pos, err := c.position(rules)
	if err != nil {
		return nil, err
	}
	rule := withDigest(rulesOf(c, rules))[pos]
	rule["pos"] = c.str("pos") // as it came
	return rule, nil
}

// setRule gives a rule what the call says of it. What is empty is taken away.
func (c *call) setRule(rule *Section) {
	for _, name := range ruleFields {
		if value := c.params[name]; value != nil {
			if text := optionText(value); text == "" || text == "-" {
				delete(rule.Options, name)
			} else {
				rule.Options[name] = text
			}
		}
	}
}

// createFirewallRule adds a rule before all others, whatever position is asked for.
func createFirewallRule(c *call, f firewall, rules []Section) (any, error) {
	rule := Section{Type: f.list, Options: map[string]string{}}
	c.setRule(&rule)
	if err := c.checkRule(f, rule.Options); err != nil {
		return nil, err
	}
	if rule.Options["enable"] == "" {
		rule.Options["enable"] = "0"
	}
	c.setSections(f.file, f.list, slices.Insert(rules, 0, rule))
	return nil, nil
}

// putFirewallRule moves a rule, or changes it: not both.
func putFirewallRule(c *call, f firewall, rules []Section) (any, error) {
	if err := c.checkDigestOf(listDigest(rulesOf(c, rules))); err != nil {
		return nil, err
	}
	pos, err := c.position(rules)
	if err != nil {
		return nil, err
	}
	if to := c.number("moveto", pos); to != pos {
		c.setSections(f.file, f.list, moved(rules, pos, to))
		return nil, nil
	}
	rules = cloneSections(rules)
	c.setRule(&rules[pos])
	for _, name := range c.deleted() {
		switch {
		case !slices.Contains(ruleFields, name):
			return nil, badParam("delete", "no such property ('%s')", name)
		case name == "type" || name == "action":
			return nil, badParam("delete", "unable to delete required property '%s'", name)
		}
		delete(rules[pos].Options, name)
	}
	if err := c.checkRule(f, rules[pos].Options); err != nil {
		return nil, err
	}
	c.setSections(f.file, f.list, rules)
	return nil, nil
}

// moved puts a rule before the one that is at a position now, or behind all.
func moved(rules []Section, from, to int) (out []Section) {
	for i, rule := range rules {
		if i == from {
			continue
		}
		if i == to {
			out = append(out, rules[from])
		}
		out = append(out, rule)
	}
	if to >= len(rules) {
		out = append(out, rules[from])
	}
	return out
}

func deleteFirewallRule(c *call, f firewall, rules []Section) (any, error) {
	if err := c.checkDigestOf(listDigest(rulesOf(c, rules))); err != nil {
		return nil, err
	}
	pos, err := c.position(rules)
	if err != nil {
		return nil, err
	}
	c.setSections(f.file, f.list, slices.Delete(slices.Clone(rules), pos, pos+1))
	return nil, nil
}
