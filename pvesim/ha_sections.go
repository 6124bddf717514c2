package pvesim

import (
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// sections are the HA groups or the HA rules.
type sections struct {
	list *[]HASection
	key  string // that has a section's id: group or rule
}

// sectionsOf copies a model's sections.
func sectionsOf(list []HASection) []HASection {
	list = slices.Clone(list)
	for i := range list {
		list[i].Options = maps.Clone(list[i].Options)
	}
	return list
}

func sectionNamed(list []HASection, id string) int {
	return slices.IndexFunc(list, func(s HASection) bool { return s.ID == id })
}

// rulesOnly reports whether rules have taken the place of groups, which they do
// when all nodes have PVE 9.
func (s *state) rulesOnly() bool {
	return !slices.ContainsFunc(s.nodes, func(n *node) bool { return n.version.major < 9 })
}

// groupsMoved reports whether a node says that rules have taken the place of groups: one of PVE
// 9 does so as soon as there are none.
func (c *call) groupsMoved() bool {
	return c.rulesOnly() || c.node.version.major >= 9 && len(c.haGroups) == 0
}

// onGroups is a handler about HA groups, which refuses if the cluster has rules instead.
func onGroups(verb string, do func(*call, sections) (any, error)) handler {
	return func(c *call) (any, error) {
		if c.groupsMoved() {
			what := map[bool]string{true: "groups", false: "group"}[verb == "index"]
			return nil, die("cannot %s %s: ha groups have been migrated to rules", verb, what)
		}
		return c.onSections(sections{&c.haGroups, "group"}, do)
	}
}

func onRules(do func(*call, sections) (any, error)) handler {
	return func(c *call) (any, error) { return c.onSections(sections{&c.haRules, "rule"}, do) }
}

// onSections answers a call about groups or rules, and lets the manager look at what it has
// changed.
func (c *call) onSections(s sections, do func(*call, sections) (any, error)) (any, error) {
	if c.req.Method != "GET" {
		c.wakeHA(c.now)
	}
	return do(c, s)
}

func (s sections) fields(section HASection) map[string]any {
	out := withNumbers(section.Options)
	out[s.key], out["type"], out["digest"] = section.ID, section.Type, haDigest(*s.list)
	if s.key == "rule" {
		out["order"] = sectionNamed(*s.list, section.ID) + 1
	}
	return out
}

func listSections(c *call, s sections) (any, error) {
	out := []any{}
	for _, section := range *s.list {
		sids := apischema.SplitList(section.Options["resources"])
		if want := c.str("resource"); want != "" && !slices.Contains(sids, want) {
			continue
		}
		if want := c.str("type"); want == "" || want == section.Type {
			out = append(out, s.fields(section))
		}
	}
	return out, nil
}

// find returns the section that the call names.
func (s sections) find(c *call) (int, error) {
	i := sectionNamed(*s.list, c.str(s.key))
	if i < 0 {
		return 0, die("no such ha %s '%s'", s.key, c.str(s.key))
	}
	return i, nil
}

func getSection(c *call, s sections) (any, error) {
	i, err := s.find(c)
	if err != nil {
		return nil, err
	}
	return s.fields((*s.list)[i]), nil
}

func createGroup(c *call, s sections) (any, error) {
	id := c.str("group")
	if sectionNamed(*s.list, id) >= 0 {
		return nil, die("create ha group failed: group ID '%s' already defined", id)
	}
	group := HASection{ID: id, Type: "group", Options: map[string]string{}}
	c.setGroup(group)
	*s.list = append(*s.list, group)
	return nil, nil
}

func (c *call) setGroup(group HASection) {
	for _, key := range []string{"comment", "nodes", "nofailback", "restricted"} {
		if value := c.params[key]; value != nil {
			group.Options[key] = perl.Text(value)
		}
	}
}

func putGroup(c *call, s sections) (any, error) {
	i, err := s.find(c)
	if err != nil {
		return nil, err
	}
	if digest := c.str("digest"); digest != "" && digest != haDigest(*s.list) {
		return nil, die("update ha group failed: %s", otherDigest)
	}
	c.setGroup((*s.list)[i])
	for _, key := range apischema.SplitList(c.str("delete")) {
		delete((*s.list)[i].Options, key)
	}
	return nil, nil
}

func deleteHAGroup(c *call, s sections) (any, error) {
	i, err := s.find(c)
	if err != nil {
		return nil, err
	}
	for _, id := range c.order {
		if g := c.guests[id]; g.HAOptions["group"] == c.str("group") {
			return nil, die("delete ha group failed: ha group is used by service '%s'", g.sid())
		}
	}
	*s.list = slices.Delete(*s.list, i, i+1)
	return nil, nil
}

// dropFromRules takes a resource out of all rules; one that is left without any
// goes.
func (s *state) dropFromRules(sid string) {
	var rest []HASection
	for _, rule := range s.haRules {
		sids := slices.DeleteFunc(apischema.SplitList(rule.Options["resources"]), func(other string) bool { return other == sid })
		if len(sids) > 0 {
			rule.Options["resources"] = strings.Join(sids, ",")
			rest = append(rest, rule)
		}
	}
	s.haRules = rest
}
