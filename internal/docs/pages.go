// Package docs writes the documentation of tools, in Markdown.
package docs

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// Tool writes the page of a tool: what it does, its risk, an example, arguments, answer
// and privileges.
func Tool(t tool.Tool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\nRisk: %v.\n", t.Name, t.Doc, t.Risk)
	fmt.Fprintf(&b, "\nExample:\n\n    %s\n", Command(t, t.Examples[0]))
	for _, g := range t.Examples[0].Given {
		fmt.Fprintf(&b, "\n`%s` is `%s` in the answer of `%s`.\n", g.Word, g.Field, g.Tool)
	}
	fields(&b, "Arguments", t.Input())
	fields(&b, "Answer", t.Output())
	b.WriteString("\nPrivileges:\n\n")
	for _, n := range t.Needs {
		b.WriteString("- " + Need(n) + "\n")
	}
	return b.String()
}

func fields(b *strings.Builder, title string, s *jsonschema.Schema) {
	fmt.Fprintf(b, "\n%s:\n\n| name | type | meaning |\n|---|---|---|\n", title)
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	for _, name := range s.PropertyOrder {
		p := s.Properties[name]
		mark := ""
		if required[name] && title == "Arguments" {
			mark = " (required)"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s |\n", name, mark, typeOf(p), p.Description)
	}
}

func typeOf(p *jsonschema.Schema) string {
	text := cmp.Or(p.Type, strings.Join(p.Types, " or "))
	if p.Type == "array" {
		text = "list of " + typeOf(p.Items)
		if p.Items.Type == "object" {
			text = "list of objects"
		}
	}
	if p.Enum != nil {
		var words []string
		for _, e := range p.Enum {
			words = append(words, fmt.Sprintf("`%v`", e))
		}
		text = strings.Join(words, ", ")
	}
	switch {
	case p.Minimum != nil && p.Maximum != nil:
		text += fmt.Sprintf(", %.0f to %.0f", *p.Minimum, *p.Maximum)
	case p.Minimum != nil:
		text += fmt.Sprintf(", from %.0f", *p.Minimum)
	}
	if p.Default != nil {
		text += ", default " + string(p.Default)
	}
	return text
}

// Need writes a privilege that a tool needs.
func Need(n tool.Need) string {
	text := "`" + strings.Join(n.Privs, "` or `") + "` on `" + string(n.On) + "`"
	if n.When != "" {
		text += " for " + n.When
	}
	switch {
	case n.Before != 0:
		text += fmt.Sprintf(" (before PVE %d)", n.Before)
	case n.From != 0:
		text += fmt.Sprintf(" (from PVE %d on)", n.From)
	}
	if n.Without != "" {
		text += "; without it " + n.Without
	}
	return text
}
