package install_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pve-mcp/pve-mcp/internal/install"
)

var update = flag.Bool("update", false, "write the golden files")

func server() install.Server {
	return install.Server{
		Command: "/usr/local/bin/pve-mcp",
		Env:     map[string]string{"PVE_HOST": "pve.lan", "PVE_TOKEN_ID": "ops@pve!mcp"},
	}
}

func find(t *testing.T, id string) install.Client {
	t.Helper()
	c, ok := install.Find(id)
	if !ok {
		t.Fatalf("there is no client %s", id)
	}
	return c
}

// folder returns what is in a folder, by path.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func apply(t *testing.T, ch *install.Change, err error) (backup string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	backup, err = ch.Apply()
	if err != nil {
		t.Fatal(err)
	}
	return backup
}

// Each golden file is a client's file before and after: what is there stays, a second
// time nothing is done, and taking it out gives what was before, byte for byte.
func TestGolden(t *testing.T) {
	goldens, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(goldens) < len(install.All()) {
		t.Fatalf("%v %v", goldens, err)
	}
	for _, golden := range goldens {
		t.Run(filepath.Base(golden), func(t *testing.T) {
			ar, err := txtar.ParseFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			id, _, _ := strings.Cut(string(ar.Comment), "\n")
			c := find(t, id)
			before := ar.Files[0].Data
			dir := t.TempDir()
			file := filepath.Join(dir, "config")
			if err := os.WriteFile(file, before, 0o640); err != nil {
				t.Fatal(err)
			}
			ch, err := c.Add(file, "pve", server())
			backup := apply(t, ch, err)
			after, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				ar.Files[1].Data = after
				if err := os.WriteFile(golden, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(ar.Files[1].Data), string(after)); diff != "" {
				t.Errorf("after (-want +got):\n%s", diff)
			}
			if kept, err := os.ReadFile(backup); err != nil || !bytes.Equal(kept, before) {
				t.Errorf("backup: %v %q", err, kept)
			}
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
				t.Errorf("%v %v", err, info.Mode())
			}
			ch, err = c.Add(file, "pve", server())
			if err != nil || !ch.Nothing || apply(t, ch, err) != "" || len(folder(t, dir)) != 2 {
				t.Errorf("again: %v %v", err, slices.Collect(maps.Keys(folder(t, dir))))
			}
			ch, err = c.Remove(file, "pve", "")
			apply(t, ch, err)
			if diff := cmp.Diff(map[string]string{"config": string(before)}, folder(t, dir)); diff != "" {
				t.Errorf("undone (-want +got):\n%s", diff)
			}
		})
	}
}

// Without its backup, an entry is taken out of the same files as text, and everything
// else stays as it is.
func TestRemoveWithoutBackup(t *testing.T) {
	goldens, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range goldens {
		t.Run(filepath.Base(golden), func(t *testing.T) {
			ar, err := txtar.ParseFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			id, _, _ := strings.Cut(string(ar.Comment), "\n")
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, ar.Files[1].Data, 0o600); err != nil {
				t.Fatal(err)
			}
			ch, err := find(t, id).Remove(file, "pve", "")
			apply(t, ch, err)
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := ar.Files[0].Data
			if len(ar.Files) == 3 { // who made the empty object is not known any more
				want = ar.Files[2].Data
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A client without a file gets one, and taking the server out removes it again.
func TestNewFile(t *testing.T) {
	for _, c := range install.All() {
		dir := t.TempDir()
		file := filepath.Join(dir, "deep", "config")
		ch, err := c.Add(file, "pve", server())
		if backup := apply(t, ch, err); backup != "" || !ch.NoFolder {
			t.Errorf("%s: backup %q, %v", c.ID, backup, ch.NoFolder)
		}
		shown, err := c.Show("pve", server())
		if err != nil || folder(t, dir)["deep/config"] != string(shown) {
			t.Errorf("%s: %v %s", c.ID, err, shown)
		}
		s, found, err := c.Read(file, "pve", "")
		if diff := cmp.Diff(server(), s); err != nil || !found || diff != "" {
			t.Errorf("%s: %v %v %s", c.ID, err, found, diff)
		}
		ch, err = c.Remove(file, "pve", "")
		apply(t, ch, err)
		if left := folder(t, dir); len(left) > 0 {
			t.Errorf("%s: %v", c.ID, left)
		}
	}
}

// An entry that is there is changed where it stands; what its user has added stays.
func TestChangeEntry(t *testing.T) {
	for id, tt := range map[string]struct{ before, after string }{
		"zed": {
			`{"context_servers": { "pve": { "enabled": false, "command": "/old/pve-mcp", /* mine */ "args": [], "env": {"PVE_HOST": "old"} } }, }`,
			`{"context_servers": { "pve": { "enabled": false, "command": "/usr/local/bin/pve-mcp", /* mine */ "args": [], "env": {"PVE_HOST":"pve.lan","PVE_TOKEN_ID":"ops@pve!mcp"}, "source":"custom" } }, }`,
		},
		"codex": {
			"[mcp_servers.pve] # mine\nstartup_timeout_sec = 20\ncommand = 'C:\\bin\\pve-mcp.exe'\nenv = { PVE_HOST = \"old\" }\n\n[profiles.x]\na = 1\n",
			"[mcp_servers.pve] # mine\ncommand = \"/usr/local/bin/pve-mcp\"\nargs = []\nenv = { PVE_HOST = \"pve.lan\", PVE_TOKEN_ID = \"ops@pve!mcp\" }\nstartup_timeout_sec = 20\n\n[profiles.x]\na = 1\n",
		},
	} {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		ch, err := find(t, id).Add(file, "pve", server())
		apply(t, ch, err)
		got, err := os.ReadFile(file)
		if diff := cmp.Diff(tt.after, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", id, err, diff)
		}
	}
}

// What cannot be read, or is somebody else's, is left alone, with one sentence.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ id, text, want string }{
		{"cursor", `{"mcpServers": {`, "it is not JSON: line 1, column"},
		{"cursor", `[]`, "it is not a JSON object"},
		{"cursor", `{"mcpServers": []}`, "its mcpServers is not what Cursor expects"},
		{"cursor", `{"mcpServers": {"pve": null}}`, "its pve is not an object"},
		{"cursor", `{"mcpServers": {}, "mcpServers": {"a": {}}}`, "in a form that this program does not change"},
		{"claude-desktop", "{\"mcpServers\": {}, // mine\n}", "which Claude Desktop does not read"},
		{"codex", "a = 1\na = 2\n", "it is not TOML: line 2, column 1"},
		{"codex", "mcp_servers = { other = { command = \"x\" } }\n", "in a form that this program does not change"},
		{"codex", "mcp_servers = 1\n", "its mcp_servers is not what Codex expects"},
		{"zed", `{"context_servers": {"pve": {"command": "node", "args": ["/x/pve-mcp"]}}}`, "a server pve that is not pve-mcp"},
		{"cursor", `{"mcpServers": {"pve": {"url": "https://x/mcp?key=hunter2"}}}`, "a server pve that is not pve-mcp; nothing was changed"},
		{"codex", "[mcp_servers.pve]\nurl = \"https://x\"\n", "a server pve at https://x; if that is pve-mcp, take it out with pve-mcp uninstall codex --url https://x; nothing was changed"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "config")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := find(t, tt.id)
		_, err := c.Add(file, "pve", server())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: %v\nwant %s", tt.id, tt.text, err, tt.want)
		}
		if diff := cmp.Diff(map[string]string{"config": tt.text}, folder(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

// A file that changed since it was read, and one that nobody may write, are left alone.
func TestApplyRefuses(t *testing.T) {
	c := find(t, "cursor")
	file := filepath.Join(t.TempDir(), "mcp.json")
	ch, err := c.Add(file, "pve", server())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Apply(); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("%v", err)
	}
	ch, err = c.Add(file, "pve", server())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Apply(); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(map[string]string{"mcp.json": "{}"}, folder(t, filepath.Dir(file))); diff != "" {
		t.Error(diff)
	}
}

// Where each client keeps its servers on each system.
func TestPlaces(t *testing.T) {
	env := map[string]map[string]string{
		"linux":   {"HOME": "/home/me"},
		"darwin":  {"HOME": "/Users/me", "XDG_CONFIG_HOME": "/elsewhere"},
		"windows": {"USERPROFILE": "C:/Users/me", "APPDATA": "C:/Users/me/AppData/Roaming", "HOME": "/c/git/bash"},
	}
	want := map[string][3]string{
		"claude-code":    {"/home/me/.claude.json", "/Users/me/.claude.json", "C:/Users/me/.claude.json"},
		"claude-desktop": {"/home/me/.config/Claude/claude_desktop_config.json", "/Users/me/Library/Application Support/Claude/claude_desktop_config.json", "C:/Users/me/AppData/Roaming/Claude/claude_desktop_config.json"},
		"cursor":         {"/home/me/.cursor/mcp.json", "/Users/me/.cursor/mcp.json", "C:/Users/me/.cursor/mcp.json"},
		"vscode":         {"/home/me/.config/Code/User/mcp.json", "/Users/me/Library/Application Support/Code/User/mcp.json", "C:/Users/me/AppData/Roaming/Code/User/mcp.json"},
		"codex":          {"/home/me/.codex/config.toml", "/Users/me/.codex/config.toml", "C:/Users/me/.codex/config.toml"},
		"gemini":         {"/home/me/.gemini/settings.json", "/Users/me/.gemini/settings.json", "C:/Users/me/.gemini/settings.json"},
		"zed":            {"/home/me/.config/zed/settings.json", "/Users/me/.config/zed/settings.json", "C:/Users/me/AppData/Roaming/Zed/settings.json"},
	}
	got := map[string][3]string{}
	for _, c := range install.All() {
		var files [3]string
		for i, system := range []string{"linux", "darwin", "windows"} {
			files[i] = filepath.ToSlash(c.UserFile(install.System{OS: system, Env: func(key string) string { return env[system][key] }}))
		}
		got[c.ID] = files
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What users set to keep their configuration elsewhere counts.
func TestPlacesElsewhere(t *testing.T) {
	local := t.TempDir()
	packaged := filepath.Join(local, "Packages", "Claude_pzs8sxrjxfjjc", "LocalCache", "Roaming", "Claude")
	if err := os.MkdirAll(packaged, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ id, system, key, value, want string }{
		{"claude-code", "linux", "CLAUDE_CONFIG_DIR", "/x", "/x/.claude.json"},
		{"codex", "windows", "CODEX_HOME", "/x", "/x/config.toml"},
		{"vscode", "linux", "XDG_CONFIG_HOME", "/x", "/x/Code/User/mcp.json"},
		{"zed", "linux", "FLATPAK_XDG_CONFIG_HOME", "/x", "/x/zed/settings.json"},
		{"claude-desktop", "windows", "LOCALAPPDATA", local, packaged + "/claude_desktop_config.json"},
	} {
		s := install.System{OS: tt.system, Home: "/home/me", Env: func(key string) string { return map[string]string{tt.key: tt.value}[key] }}
		if got := find(t, tt.id).UserFile(s); got != filepath.FromSlash(tt.want) {
			t.Errorf("%s: %s, want %s", tt.id, got, tt.want)
		}
	}
}

// A file that is a symbolic link, as dotfiles are, stays one.
func TestSymlink(t *testing.T) {
	for _, c := range install.All() {
		dir := t.TempDir()
		real, link := filepath.Join(dir, "dotfiles"), filepath.Join(dir, "config")
		before := map[bool]string{true: "a = 1\n", false: "{\"a\": 1}\n"}[c.ID == "codex"]
		if err := os.WriteFile(real, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("dotfiles", link); err != nil {
			t.Fatal(err)
		}
		ch, err := c.Add(link, "pve", server())
		apply(t, ch, err)
		if text, err := os.ReadFile(real); err != nil || !strings.Contains(string(text), "ops@pve!mcp") {
			t.Errorf("%s: %v %s", c.ID, err, text)
		}
		ch, err = c.Remove(link, "pve", "")
		apply(t, ch, err)
		if to, err := os.Readlink(link); err != nil || to != "dotfiles" {
			t.Errorf("%s: %q %v", c.ID, to, err)
		}
		if diff := cmp.Diff(map[string]string{"dotfiles": before, "config": before}, folder(t, dir)); diff != "" {
			t.Errorf("%s: %s", c.ID, diff)
		}
	}
}

// A name that TOML does not accept bare is quoted.
func TestQuotedKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	s := server()
	s.Env = map[string]string{"PVE_HOST": "pve.lan", "odd key.1": "x"}
	ch, err := find(t, "codex").Add(file, "pve.lab 1", s)
	apply(t, ch, err)
	got, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(got), `[mcp_servers."pve.lab 1"]`) || !strings.Contains(string(got), `"odd key.1" = "x"`) || !strings.Contains(string(got), "PVE_HOST = ") {
		t.Errorf("%v\n%s", err, got)
	}
}
