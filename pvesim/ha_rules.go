package pvesim

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// ruleKeys are what a type of HA rule has, first what it needs. PVE's description of
// its API does not say, so that this is checked here.
var ruleKeys = map[string]struct{ needed, other []string }{
	"node-affinity":     {[]string{"nodes", "resources"}, []string{"comment", "disable", "strict"}},
	"resource-affinity": {[]string{"affinity", "resources"}, []string{"comment", "disable"}},
}

// ruleID is the id of a rule, and sidRE the name of a resource.
var (
	ruleID = lazyregexp.New(`^(?i:[a-z][a-z0-9_-]+)$`)
	sidRE  = lazyregexp.New(`^(?:(?:vm|ct):)?[1-9][0-9]{2,8}$`)
)

// ruleRefusals are those of parameters that PVE's description leaves out.
func (c *call) ruleRefusals(typ string, create bool) error {
	errs := map[string]string{}
	keys := ruleKeys[typ]
	known := slices.Concat(keys.needed, keys.other, []string{"rule", "type", "digest", "delete"})
	for name := range c.params {
		if !slices.Contains(known, name) {
			errs[name] = "property is not defined in schema and the schema does not allow additional properties"
		}
	}
	needed := []string{"rule"}
	if create {
		needed = append(needed, keys.needed...)
	}
	for _, name := range needed {
		if c.params[name] == nil {
			errs[name] = "property is missing and it is not optional"
		}
	}
	if id := c.str("rule"); id != "" && !ruleID.MatchString(id) {
		errs["rule"] = "invalid format - invalid configuration ID '" + id + "'\n"
	}
	for _, name := range []string{"disable", "strict"} {
		if v := c.params[name]; v != nil && perl.Text(v) != "0" && perl.Text(v) != "1" {
			errs[name] = "type check ('boolean') failed - got '" + perl.Text(v) + "'"
		}
	}
	if v := c.str("affinity"); v != "" && v != "positive" && v != "negative" {
		errs["affinity"] = "value '" + v + "' does not have a value in the enumeration 'positive, negative'"
	}
	for _, sid := range apischema.SplitList(c.str("resources")) {
		if !sidRE.MatchString(sid) {
			errs["resources"] = "invalid format - value does not look like a valid ha resource id\n"
		}
	}
	if len(errs) > 0 {
		return &apischema.ParamError{Errors: errs}
	}
	return nil
}

// givenRule returns the options that the call gives a rule. It refuses guests that HA does
// not manage, and nodes that do not exist.
func (c *call) givenRule(typ, words string) (map[string]string, error) {
	options, keys := map[string]string{}, ruleKeys[typ]
	for _, key := range slices.Concat(keys.needed, keys.other) {
		if c.params[key] != nil {
			options[key] = perl.Text(c.params[key])
		}
	}
	var unmanaged, missing, sids []string
	for _, sid := range apischema.SplitList(options["resources"]) {
		_, id, _ := strings.Cut(sid, ":")
		if id == "" {
			id = sid
		}
		n, _ := strconv.Atoi(id)
		g := c.guests[n]
		if g == nil || g.HA == "" {
			unmanaged = append(unmanaged, sid)
			continue
		}
		sids = append(sids, g.sid())
	}
	for _, node := range apischema.SplitList(options["nodes"]) {
		if name, _, _ := strings.Cut(node, ":"); c.nodeNamed(name) == nil {
			missing = append(missing, name)
		}
	}
	slices.Sort(unmanaged)
	slices.Sort(missing)
	switch {
	case len(unmanaged) > 0:
		return nil, die("%scannot use unmanaged resource(s) %s.", words, strings.Join(unmanaged, ", "))
	case len(missing) > 0:
		return nil, die("%scannot use non-existant node(s) %s.", words, strings.Join(missing, ", "))
	}
	if len(sids) > 0 {
		slices.Sort(sids)
		options["resources"] = strings.Join(sids, ",")
	}
	return options, nil
}

// feasible refuses a rule about resources that says of fewer than two, and one about
// nodes of a resource that another is about.
func (s sections) feasible(rule HASection) error {
	sids := apischema.SplitList(rule.Options["resources"])
	why := ""
	switch {
	case rule.Type == "resource-affinity" && len(sids) < 2:
		why = "rule is ineffective as there are less than two resources"
	case rule.Type == "node-affinity":
		for _, other := range *s.list {
			for _, sid := range apischema.SplitList(other.Options["resources"]) {
				if other.ID != rule.ID && other.Type == rule.Type && slices.Contains(sids, sid) {
					why = "resource '" + sid + "' is already used in another node affinity rule"
				}
			}
		}
	}
	if why == "" {
		return nil
	}
	return &refusal{status: 400, message: "Rule '" + rule.ID + "' is invalid.\n", errors: map[string]string{"resources": why}}
}

func createRule(c *call, s sections) (any, error) {
	const words = "create ha rule failed: "
	typ := c.str("type")
	if _, ok := ruleKeys[typ]; !ok {
		why := "property is missing and it is not optional"
		if typ != "" {
			why = "value '" + typ + "' does not have a value in the enumeration 'node-affinity, resource-affinity'"
		}
		return nil, badParam("type", "%s", why)
	}
	if err := c.ruleRefusals(typ, true); err != nil {
		return nil, err
	}
	id := c.str("rule")
	if sectionNamed(*s.list, id) >= 0 {
		return nil, die("%sHA rule '%s' already defined", words, id)
	}
	options, err := c.givenRule(typ, words)
	if err != nil {
		return nil, err
	}
	rule := HASection{ID: id, Type: typ, Options: options}
	if err := s.feasible(rule); err != nil {
		return nil, err
	}
	*s.list = append(*s.list, rule)
	return nil, nil
}

// putRule changes a rule, all or nothing of what is asked for.
func putRule(c *call, s sections) (any, error) {
	const words = "update HA rules failed: "
	i := sectionNamed(*s.list, c.str("rule"))
	if i < 0 {
		return nil, die("%sHA rule '%s' does not exist", words, c.str("rule"))
	}
	rule := (*s.list)[i]
	if err := c.ruleRefusals(rule.Type, false); err != nil {
		return nil, err
	}
	if digest := c.str("digest"); digest != "" && digest != haDigest(*s.list) {
		return nil, die("%s%s", words, otherDigest)
	}
	given, err := c.givenRule(rule.Type, words)
	if err != nil {
		return nil, err
	}
	rule = sectionsOf([]HASection{rule})[0]
	for _, key := range apischema.SplitList(c.str("delete")) {
		if !slices.Contains(ruleKeys[rule.Type].other, key) {
			return nil, die("%sunable to delete required option '%s'", words, key)
		}
		delete(rule.Options, key)
	}
	for key, value := range given {
		rule.Options[key] = value
	}
	if err := s.feasible(rule); err != nil {
		return nil, err
	}
	(*s.list)[i] = rule
	return nil, nil
}

// deleteRule deletes a rule; that there is none is no failure.
func deleteRule(c *call, s sections) (any, error) {
	*s.list = slices.DeleteFunc(*s.list, func(rule HASection) bool { return rule.ID == c.str("rule") })
	return nil, nil
}

// affine are the resources that rules keep together with a guest, or apart from it, if
// the HA manager takes care of both.
func (s *state) affine(g *guest, affinity string) []string {
	out := []string{}
	for _, rule := range s.rulesInForce() {
		sids := apischema.SplitList(rule.Options["resources"])
		if rule.Type != "resource-affinity" || rule.Options["affinity"] != affinity || !slices.Contains(sids, g.sid()) {
			continue
		}
		for _, sid := range sids {
			if other := s.guestOf(sid); sid != g.sid() && other != nil && other.managed() && g.managed() && !slices.Contains(out, sid) {
				out = append(out, sid)
			}
		}
	}
	slices.Sort(out)
	return out
}

// rulesInForce are the HA rules, which there are when all nodes have PVE 9.
func (s *state) rulesInForce() []HASection {
	if !s.rulesOnly() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.haRules), func(rule HASection) bool { return rule.Options["disable"] == "1" })
}

// blocking are the resources that keep a guest away from a node, as answers list them.
func (s *state) blocking(g *guest, node string) []any {
	var out []any
	for _, sid := range s.affineAt(g, s.nodeNamed(node)) {
		out = append(out, map[string]any{"sid": sid, "cause": "resource-affinity"})
	}
	return out
}

// affineAt are the resources on a node, or on their way there, that rules keep apart from a
// guest.
func (s *state) affineAt(g *guest, n *node) []string {
	return slices.DeleteFunc(s.affine(g, "negative"), func(sid string) bool {
		other := s.guestOf(sid)
		return n == nil || other.Node != n.Name && other.movesTo != n.Name
	})
}

// guestOf returns the guest that a resource is, or nil.
func (s *state) guestOf(sid string) *guest {
	_, id, _ := strings.Cut(sid, ":")
	n, _ := strconv.Atoi(id)
	return s.guests[n]
}
