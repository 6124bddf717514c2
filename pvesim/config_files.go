package pvesim

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// configPart are the files of PVE's configuration that have no part of their own.
type configPart struct {
	files map[string][]Section // by path below /etc/pve
}

func (p *configPart) addFiles(files map[string][]Section) {
	p.files = map[string][]Section{}
	for path, sections := range files {
		p.files[path] = cloneSections(sections)
	}
}

func cloneSections(sections []Section) []Section {
	out := slices.Clone(sections)
	for i := range out {
		out[i].Options = maps.Clone(out[i].Options)
	}
	return out
}

// section returns a section of a file, nil if it has none.
func (p *configPart) section(path, typ, id string) *Section {
	all := p.files[path]
	i := slices.IndexFunc(all, func(s Section) bool { return s.ID == id && (typ == "" || s.Type == typ) })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// sectionOrNew returns a section of a file, which it makes if there is none.
func (p *configPart) sectionOrNew(path, typ, id string) *Section {
	if p.section(path, typ, id) == nil {
		p.files[path] = append(p.files[path], Section{ID: id, Type: typ, Options: map[string]string{}})
	}
	return p.section(path, typ, id)
}

// sectionsOfType are those of a file that have a type, in their order.
func (p *configPart) sectionsOfType(path, typ string) []Section {
	return slices.DeleteFunc(slices.Clone(p.files[path]), func(s Section) bool { return s.Type != typ })
}

// setSections replaces those of a file that have a type.
func (p *configPart) setSections(path, typ string, sections []Section) {
	others := slices.DeleteFunc(slices.Clone(p.files[path]), func(s Section) bool { return s.Type == typ })
	if p.files[path] = append(others, sections...); len(p.files[path]) == 0 {
		delete(p.files, path)
	}
}

func (p *configPart) removeSection(path, typ, id string) {
	p.setSections(path, typ, slices.DeleteFunc(p.sectionsOfType(path, typ), func(s Section) bool { return s.ID == id }))
}

// fileDigest changes with the content of a file.
func (p *configPart) fileDigest(path string) string { return sha1Hex(fmt.Sprint(p.files[path])) }

func sha1Hex(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// checkDigestOf refuses a change of what somebody else has changed since.
func (c *call) checkDigestOf(digest string) error {
	if given := c.str("digest"); given != "" && given != digest {
		return die(otherDigest)
	}
	return nil
}

// listSeparator stands between the items of a list in an option.
const listSeparator = "\n"

// optionText is a parameter as an option keeps it.
func optionText(value any) string {
	list, isList := value.([]any)
	if !isList {
		return perl.Text(value)
	}
	var items []string
	for _, item := range list {
		items = append(items, perl.Text(item))
	}
	return strings.Join(items, listSeparator)
}

// optionValue is an option as PVE shows it, by its description.
func optionValue(s *apischema.Schema, text string) any {
	if s == nil {
		return text
	}
	switch s.Type {
	case "array":
		items := []any{}
		for item := range strings.SplitSeq(text, listSeparator) {
			items = append(items, item)
		}
		return items
	case "boolean", "integer", "number":
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	}
	return text
}

// setSection gives a section what the call says of it, and takes away what it removes.
func (c *call) setSection(s *Section, except ...string) {
	if s.Options == nil {
		s.Options = map[string]string{}
	}
	for name, value := range c.params {
		if value != nil && !slices.Contains(except, name) && name != "delete" && name != "digest" {
			s.Options[name] = optionText(value)
		}
	}
	for _, name := range c.deleted() {
		delete(s.Options, name)
	}
}

// deleted are the options that the call removes: PVE takes a list, or an array.
func (c *call) deleted() []string {
	if list, ok := c.params["delete"].([]any); ok {
		return strings.Split(optionText(list), listSeparator)
	}
	return apischema.SplitList(c.str("delete"))
}

// options are those of a section as PVE shows them. ep describes them.
func (c *call) options(ep *apischema.Endpoint, s Section) map[string]any {
	out := map[string]any{}
	for name, text := range s.Options {
		out[name] = optionValue(c.api().Param(ep, name), text)
	}
	return out
}
