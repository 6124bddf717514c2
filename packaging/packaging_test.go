package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// files are those of the repository, by their names below its root.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "dist", "node_modules"}, d.Name()) {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && name != ".git" && filepath.Ext(name) != ".test" {
			out[name], err = fs.ReadFile(root, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPublisherStandsInOneFile(t *testing.T) {
	s, err := readServer("../server.json")
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := s.publisher(true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.publisher(false); regexp.MustCompile(account).MatchString(publisher) != (err == nil) {
		t.Errorf("may %s publish: %v", publisher, err)
	}
	all := files(t)
	module := regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(all["go.mod"])
	if module == nil {
		t.Fatal("go.mod has no line with the module's path")
	}
	// As a word, in whatever case. An account with the name of the repository is
	// everywhere; as a publisher it is only in names.
	before := `(^|[^a-z0-9-])`
	if strings.HasSuffix(string(module[1]), "/"+publisher) {
		before = `(io\.github\.|ghcr\.io/)`
	}
	word := regexp.MustCompile(`(?i)` + before + regexp.QuoteMeta(publisher) + `($|[^a-z0-9-])`)
	var found []string
	for name, data := range all {
		if word.Match(bytes.ReplaceAll(data, module[1], nil)) {
			found = append(found, name)
		}
	}
	if diff := cmp.Diff([]string{"server.json"}, found); diff != "" {
		t.Errorf("files with %s (-want +got):\n%s", publisher, diff)
	}
}

// What looks like a tool or a setting is one, and what skills say of arguments is true.
func TestWordsOfThePlugin(t *testing.T) {
	arguments := map[string]map[string]bool{}
	for _, tool := range toolset.All() {
		arguments[tool.Name] = map[string]bool{}
		for key := range tool.Input().Properties {
			arguments[tool.Name][key] = true
		}
	}
	settings := map[string]bool{}
	for _, s := range config.Settings() {
		settings[s.Key] = true
	}
	toolRE, settingRE, argumentRE := regexp.MustCompile(`\bpve_[a-z_]+\b`), regexp.MustCompile(`\bPVE_[A-Z_]+\b`), regexp.MustCompile("`([a-z_]+): [^`]+`")
	skills := 0
	for name, data := range files(t) {
		if !strings.HasPrefix(name, "packaging/") && name != "server.json" || strings.HasSuffix(name, ".go") {
			continue
		}
		for _, key := range settingRE.FindAllString(string(data), -1) {
			if !settings[key] {
				t.Errorf("%s: %s is no setting", name, key)
			}
		}
		tools := toolRE.FindAllString(string(data), -1)
		for _, tool := range tools {
			if arguments[tool] == nil {
				t.Errorf("%s: %s is no tool", name, tool)
			}
		}
		for _, m := range argumentRE.FindAllStringSubmatch(string(data), -1) {
			if !slices.ContainsFunc(tools, func(tool string) bool { return arguments[tool][m[1]] }) {
				t.Errorf("%s: no tool that it names has the argument %s", name, m[1])
			}
		}
		if filepath.Base(name) != "SKILL.md" {
			continue
		}
		skills++
		header, err := regexp.Match(`^---\nname: `+regexp.QuoteMeta(filepath.Base(filepath.Dir(name)))+`\ndescription: .{80,1000}\n---\n`, data)
		if err != nil || !header || len(tools) == 0 {
			t.Errorf("%s: its header is wrong, or it names no tool: %v", name, err)
		}
	}
	if skills != 2 {
		t.Errorf("%d skills", skills)
	}
}

// Each system has a manifest that starts its own program, and shows nobody the secret.
func TestManifests(t *testing.T) {
	t.Chdir("..")
	for system, want := range map[string][]string{
		"linux": {"linux", "server/pve-mcp"}, "darwin": {"darwin", "server/pve-mcp"}, "windows": {"win32", "server/pve-mcp.exe"},
	} {
		text, program, err := manifestFor(system, "1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Version string
			Server  struct {
				Entry  string                   `json:"entry_point"`
				Config struct{ Command string } `json:"mcp_config"`
			}
			Compatibility struct{ Platforms []string }
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		got := []string{m.Version, m.Compatibility.Platforms[0], program, m.Server.Entry, m.Server.Config.Command}
		if diff := cmp.Diff([]string{"1.2.3", want[0], want[1], want[1], "${__dirname}/" + want[1]}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", system, diff)
		}
	}
	if _, _, err := manifestFor("plan9", "1.2.3"); err == nil {
		t.Error("a bundle for plan9")
	}
}

func TestBundlesAreReproducible(t *testing.T) {
	t.Chdir("..")
	var made [][]byte
	for _, name := range []string{"a.mcpb", "b.mcpb"} {
		out := filepath.Join(t.TempDir(), name)
		if err := bundle("linux", "1.2.3", "Makefile", out); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, data)
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("the same bundle has other bytes")
	}
}
