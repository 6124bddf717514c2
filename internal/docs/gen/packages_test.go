package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pve-mcp/pve-mcp/internal/cli"
)

// What packages install says something of every command, tool and flag.
func TestPackages(t *testing.T) {
	dir := t.TempDir()
	if err := forPackages(dir); err != nil {
		t.Fatal(err)
	}
	pages := 0
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		page := read(t, dir, "man1", strings.ReplaceAll(c.CommandPath(), " ", "-")+".1")
		pages++
		if !strings.Contains(page, plain(c.Short)) {
			t.Errorf("%s: the man page lacks %q", c.CommandPath(), c.Short)
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, `\fB--`+f.Name+`\fP`) {
				t.Errorf("%s: the man page lacks --%s", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				check(sub)
			}
		}
	}
	check(cli.Commands())
	if pages < 40 {
		t.Errorf("only %d pages", pages)
	}
	for name, want := range map[string]string{
		"pve-mcp": "complete -o default -F __start_pve-mcp pve-mcp", "_pve-mcp": "#compdef pve-mcp",
		"pve-mcp.fish": "complete -c pve-mcp", "pve-mcp.ps1": "Register-ArgumentCompleter -CommandName 'pve-mcp'",
	} {
		if !strings.Contains(read(t, dir, "completions", name), want) {
			t.Errorf("completions/%s lacks %q", name, want)
		}
	}
}

// plain is a text as far as a man page has it unchanged.
func plain(s string) string {
	before, _, _ := strings.Cut(s, "-")
	return strings.TrimSpace(before)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
