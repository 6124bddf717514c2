package pvesim

import (
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// clusterFile has the options of the cluster.
const clusterFile = "datacenter.cfg"

// clusterOptions are those that are set.
func (s *state) clusterOptions() Section {
	if set := s.section(clusterFile, "", ""); set != nil {
		return *set
	}
	return Section{}
}

// registeredTags are those that only some may give and all may see.
func (s *state) registeredTags() []string {
	return apischema.SplitList(s.clusterOptions().Options["registered-tags"])
}

// getOptions tells those who may audit the cluster its options, and all the tags
// that they may give.
func getOptions(c *call) (any, error) {
	tags := slices.Clone(c.registeredTags())
	for _, g := range c.guests {
		tags = append(tags, apischema.SplitList(g.Config["tags"])...)
	}
	slices.Sort(tags)
	out := map[string]any{"allowed-tags": append([]string{}, slices.Compact(tags)...)}
	if !c.may("/", "Sys.Audit") {
		return out, nil
	}
	set := c.clusterOptions()
	ep := c.api().Endpoint("PUT", "/cluster/options")
	for name, text := range set.Options {
		s := c.api().Param(ep, name)
		switch {
		case name == "registered-tags":
			out[name] = c.registeredTags()
		case s != nil && s.Format != nil && len(s.Format.Keys) > 0 && name != "bwlimit":
			out[name] = propertiesOf(s.Format.Keys, text)
		default:
			out[name] = optionValue(s, text)
		}
	}
	if out["mac_prefix"] == nil {
		out["mac_prefix"] = "BC:24:11"
	}
	out["description"] = asComment(set.Options["description"])
	return out, nil
}

// asComment is a text as PVE reads it back of the comments at the top of a file.
func asComment(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

// propertiesOf are the parts of a property string.
func propertiesOf(keys map[string]*apischema.Schema, text string) map[string]any {
	out := map[string]any{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, named := strings.Cut(part, "=")
		for name, s := range keys {
			if !named && s.DefaultKey {
				key, value = name, part
			}
		}
		out[key] = optionValue(keys[key], value)
	}
	return out
}

func putOptions(c *call) (any, error) {
	c.setSection(c.sectionOrNew(clusterFile, "", ""))
	return nil, nil
}

func (c *call) nodeFile() string { return "nodes/" + c.node.Name + "/config" }

// getNodeConfig tells of a node whose options somebody has set. It has a digest from then on.
func getNodeConfig(c *call) (any, error) {
	set := c.section(c.nodeFile(), "", "")
	if set == nil {
		return map[string]any{}, nil
	}
	out := c.options(c.api().Endpoint("PUT", "/nodes/{node}/config"), *set)
	out["digest"] = c.fileDigest(c.nodeFile())
	if text := set.Options["description"]; text != "" {
		out["description"] = asComment(text)
	}
	wanted := c.str("property")
	switch {
	case wanted == "" || wanted == "all":
		return out, nil
	case out[wanted] == nil:
		return map[string]any{}, nil
	}
	return map[string]any{wanted: out[wanted]}, nil
}

func putNodeConfig(c *call) (any, error) {
	digest := ""
	if c.section(c.nodeFile(), "", "") != nil {
		digest = c.fileDigest(c.nodeFile())
	}
	if digest != "" {
		if err := c.checkDigestOf(digest); err != nil {
			return nil, err
		}
	}
	c.setSection(c.sectionOrNew(c.nodeFile(), "", ""), "node")
	return nil, nil
}
