// Command docgen writes the pages that are made from the code: the tools, the
// settings, the privileges, .env.example and parts of the README.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/config"
	"pve-mcp/internal/tool"
)

//go:generate go run . -dir ../..

func main() {
	dir := flag.String("dir", ".", "the root of the module")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	troubles, err := troubleshootingPage(dir)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"docs/tools.md":      toolsPage(),
		"docs/settings.md":   settingsPage(),
		"docs/privileges.md": privilegesPage(),
		"docs/clients.md":    clientsPage(),
		".env.example":       envExample(),

		"docs/troubleshooting.md": troubles,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	readme := filepath.Join(dir, "README.md")
	data, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	text, err := replace(string(data), map[string]string{"tools": toolsTable(), "settings": settingsTable()})
	if err != nil {
		return err
	}
	return os.WriteFile(readme, []byte(text), 0o644)
}

// replace fills the parts of a page between <!-- NAME --> and <!-- /NAME -->.
func replace(text string, parts map[string]string) (string, error) {
	for name, part := range parts {
		open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok := strings.Cut(text, open)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return "", fmt.Errorf("README.md has no part between %s and %s", strings.TrimSpace(open), end)
		}
		text = before + open + part + end + after
	}
	return text, nil
}

const generated = "<!-- Made from the code by go generate. -->\n\n"

func toolsTable() string {
	var b strings.Builder
	b.WriteString("| tool | risk | does |\n|---|---|---|\n")
	for _, t := range catalog.All() {
		fmt.Fprintf(&b, "| [`%s`](docs/tools.md#%s) | %v | %s |\n", t.Name, t.Name, t.Risk, t.Title)
	}
	return b.String()
}

func toolsPage() string {
	var b strings.Builder
	b.WriteString("# Tools\n\n" + generated)
	b.WriteString("Call them from an MCP client, or from a shell: `pve-mcp call TOOL --ARGUMENT VALUE`.\n")
	for _, t := range catalog.All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s. %s\n\nRisk: %v.\n", t.Name, t.Title, t.Doc, t.Risk)
		fields(&b, "Arguments", t.Input())
		fields(&b, "Answer", t.Output())
		b.WriteString("\nPrivileges:\n\n")
		for _, n := range t.Needs {
			b.WriteString("- " + need(n) + "\n")
		}
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
	text := p.Type
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

func need(n tool.Need) string {
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

func privilegesPage() string {
	var b strings.Builder
	b.WriteString("# Privileges\n\n" + generated)
	b.WriteString("What the token needs for each tool. A token with privilege separation has what both it and its user have.\n\n")
	b.WriteString("| tool | privilege |\n|---|---|\n")
	for _, t := range catalog.All() {
		for _, n := range t.Needs {
			fmt.Fprintf(&b, "| `%s` | %s |\n", t.Name, need(n))
		}
	}
	return b.String()
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range config.Settings() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Key, s.Default, s.Doc)
	}
	return b.String()
}

func settingsPage() string {
	var b strings.Builder
	b.WriteString("# Settings\n\n" + generated)
	b.WriteString("A flag wins over the environment. A file `.env` in the working directory is read unless the environment has any `PVE_*`\n" +
		"variable or a flag concerns the connection; then it may only make the server safer, since a client may start the program\n" +
		"in a folder from anywhere.\n" +
		"Files that `.env` names must lie below its folder, and the keyring is not asked for it.\n")
	for _, s := range config.Settings() {
		flag := "none"
		if s.Flag != "" {
			flag = "`--" + s.Flag + "`"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\nFlag: %s. Default: %s. Example: `%s=%s`\n", s.Key, sentence(s.Doc), flag, cmp.Or(s.Default, "none"), s.Key, s.Example)
	}
	return b.String()
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func envExample() string {
	var b strings.Builder
	b.WriteString("# Settings of pve-mcp, each with its default or an example. Made from the code by go generate.\n")
	for _, s := range config.Settings() {
		fmt.Fprintf(&b, "\n# %s.\n#%s=%s\n", sentence(s.Doc), s.Key, cmp.Or(s.Default, s.Example))
	}
	return b.String()
}
