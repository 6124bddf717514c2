// Command docgen writes the pages that are made from the code: the tools, the
// settings, the privileges, .env.example and parts of others. With -packages it writes
// the man pages and the shells' completions for packages instead.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/docs"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

//go:generate go run . -dir ../../..

func main() {
	dir := flag.String("dir", ".", "the root of the module")
	packages := flag.String("packages", "", "a folder for man1/*.1 and completions/*, instead of the pages")
	flag.Parse()
	do := func() error { return run(*dir) }
	if *packages != "" {
		do = func() error { return forPackages(*packages) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	troubles, err := troubleshootingPage(dir)
	if err != nil {
		return err
	}
	endpoints, err := endpointsPage(dir)
	if err != nil {
		return err
	}
	schemas, err := mcpserver.Schemas()
	if err != nil {
		return err
	}
	files := map[string]string{
		"docs/tools.md":      toolsPage(),
		"docs/settings.md":   settingsPage(),
		"docs/privileges.md": privilegesPage(),
		"docs/findings.md":   findingsPage(),
		"docs/images.md":     imagesPage(),
		"docs/clients.md":    clientsPage(),
		".env.example":       envExample(),

		"docs/troubleshooting.md":     troubles,
		"docs/simulator-endpoints.md": endpoints,

		"internal/mcpserver/schemas.json": string(schemas),
	}
	for name, text := range toolset.WrittenInstructions() {
		files["internal/toolset/"+name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for page, parts := range map[string]map[string]string{
		"README.md":    {"tools": toolsTable()},
		"docs/http.md": {"clients": remoteClients()},

		"docs/simulator.md": {"scenarios": scenariosTable()},
	} {
		if err := fill(filepath.Join(dir, page), parts); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the parts of a page that are made from the code.
func fill(page string, parts map[string]string) error {
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := replace(string(data), parts)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

// replace fills the parts of a page between <!-- NAME --> and <!-- /NAME -->.
func replace(text string, parts map[string]string) (string, error) {
	for name, part := range parts {
		open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok := strings.Cut(text, open)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return "", fmt.Errorf("there is no part between %s and %s", strings.TrimSpace(open), end)
		}
		text = before + open + part + end + after
	}
	return text, nil
}

const generated = "<!-- Made from the code by go generate. -->\n\n"

// scenariosTable lists the ways in which the simulated cluster goes wrong by name.
func scenariosTable() string {
	var b strings.Builder
	b.WriteString("| `--scenario` | what it is | what a client sees |\n|---|---|---|\n")
	for _, s := range pvesim.Scenarios() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, s.Is, s.Acts)
	}
	return b.String()
}

func toolsTable() string {
	var b strings.Builder
	b.WriteString("| tool | risk | does |\n|---|---|---|\n")
	for _, t := range toolset.All() {
		fmt.Fprintf(&b, "| [`%s`](docs/tools.md#%s) | %v | %s |\n", t.Name, t.Name, t.Risk, t.Title)
	}
	return b.String()
}

func toolsPage() string {
	var b strings.Builder
	b.WriteString("# Tools\n\n" + generated)
	b.WriteString("Call them from an MCP client, or from a shell: `pve-mcp call TOOL --ARGUMENT VALUE`.\n" +
		"The examples also work with `pve-mcp --demo`.\n")
	for _, t := range toolset.All() {
		b.WriteString("\n" + docs.Tool(t))
	}
	return b.String()
}

func privilegesPage() string {
	var b strings.Builder
	b.WriteString("# Privileges\n\n" + generated)
	b.WriteString("The privileges that the token needs for each tool. A token with privilege separation has only those that both it and its user have.\n\n")
	b.WriteString("| tool | privilege |\n|---|---|\n")
	for _, t := range toolset.All() {
		for _, n := range t.Needs {
			fmt.Fprintf(&b, "| `%s` | %s |\n", t.Name, docs.Need(n))
		}
	}
	return b.String()
}

func settingsPage() string {
	var b strings.Builder
	b.WriteString("# Settings\n\n" + generated)
	b.WriteString("A flag wins over the environment. A file `.env` in the working directory is read as well. If the environment has any `PVE_*`\n" +
		"variable, or a flag is about the connection, it may only make the server safer, because a client may start the program in a\n" +
		"folder that somebody else made. Files that `.env` names must be below its folder, even through links; `PVE_MCP_LOG_FILE` is not\n" +
		"taken from it, and the keyring is not asked for its token.\n\n" +
		"A setting that names a file needs a regular file: pipes and devices are refused. A file that is written may be a link only to\n" +
		"a file in the same folder, and only its owner can read a new one.\n")
	b.WriteString("\n## Toolsets\n\n`PVE_MCP_TOOLSETS` chooses the tools that are offered: `core`, `standard`, `all`, or names of toolsets. `PVE_MCP_TOOLS` adds single\n" +
		"tools, or leaves them out. For the model, a tool that is not offered does not exist.\n\n" +
		"| toolset | does | in `core` | also in `standard` | also in `all`, or by its name |\n|---|---|---|---|---|\n")
	for _, set := range toolset.Sets() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", set.Name, set.Doc, names(set.Core), names(set.Standard), names(set.Tools))
	}
	for _, s := range config.Settings() {
		flag := "none"
		if s.Flag != "" {
			flag = "`--" + s.Flag + "`"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\nFlag: %s. Default: %s. Example: `%s=%s`\n", s.Key, sentence(s.Doc), flag, cmp.Or(s.Default, "none"), s.Key, s.Example)
	}
	return b.String()
}

// names are those of tools, in a cell of a table.
func names(tools []tool.Tool) string {
	var names []string
	for _, t := range tools {
		names = append(names, "`"+t.Name+"`")
	}
	return strings.Join(names, ", ")
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
