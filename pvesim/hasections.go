package pvesim

import (
	"slices"
	"strings"

	"pve-mcp/pve/apischema"
)

// sections are the HA groups or the HA rules, with the words of their refusals.
type sections struct {
	list *[]HASection
	key  string // that has a section's id: group or rule
}

func sectionNamed(list []HASection, id string) int {
	return slices.IndexFunc(list, func(s HASection) bool { return s.ID == id })
}

// rulesOnly reports whether rules have taken the place of groups, which they do
// when all nodes have PVE 9.
func (s *state) rulesOnly() bool {
	return !slices.ContainsFunc(s.nodes, func(n *node) bool { return n.version.major < 9 })
}

// onGroups is a handler about HA groups, which refuses where there are rules.
func onGroups(verb string, do func(*call, sections) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		if c.rulesOnly() {
			what := map[bool]string{true: "groups", false: "group"}[verb == "index"]
			return nil, die("cannot %s %s: ha groups have been migrated to rules", verb, what)
		}
		return do(c, sections{&c.haGroups, "group"})
	}
}

func onRules(do func(*call, sections) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) { return do(c, sections{&c.haRules, "rule"}) }
}

func (s sections) show(section HASection) map[string]any {
	out := withNumbers(section.Options)
	out[s.key], out["type"], out["digest"] = section.ID, section.Type, haDigest(*s.list)
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
			out = append(out, s.show(section))
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
	return s.show((*s.list)[i]), nil
}

func createSection(c *call, s sections) (any, error) {
	id := c.str(s.key)
	switch {
	case id == "":
		return nil, badParam(s.key, "property is missing and it is not optional")
	case s.key == "rule" && c.str("type") == "":
		return nil, badParam("type", "property is missing and it is not optional")
	case s.key == "rule" && c.str("resources") == "":
		return nil, badParam("resources", "property is missing and it is not optional")
	case sectionNamed(*s.list, id) >= 0:
		return nil, die("create ha %s failed: %s ID '%s' already defined", s.key, s.key, id)
	}
	section := HASection{ID: id, Type: "group", Options: map[string]string{}}
	if s.key == "rule" {
		section.Type = c.str("type")
	}
	s.set(c, section)
	*s.list = append(*s.list, section)
	return nil, nil
}

func (s sections) set(c *call, section HASection) {
	for key, value := range c.params {
		if value != nil && !slices.Contains([]string{s.key, "type", "digest", "delete"}, key) {
			section.Options[key] = text(value)
		}
	}
}

func putSection(c *call, s sections) (any, error) {
	i, err := s.find(c)
	if err != nil {
		return nil, err
	}
	if digest := c.str("digest"); digest != "" && digest != haDigest(*s.list) {
		return nil, die("update ha %s failed: %s", s.key, otherDigest)
	}
	s.set(c, (*s.list)[i])
	for _, key := range apischema.SplitList(c.str("delete")) {
		delete((*s.list)[i].Options, key)
	}
	return nil, nil
}

func deleteSection(c *call, s sections) (any, error) {
	i, err := s.find(c)
	if err != nil {
		return nil, err
	}
	if s.key == "group" {
		for _, id := range c.order {
			if g := c.guests[id]; g.HAOptions["group"] == c.str("group") {
				return nil, die("delete ha group failed: ha group is used by service '%s'", g.sid())
			}
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
