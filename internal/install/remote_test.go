package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/install"
)

const url = "https://mcp.example.org/mcp"

// What each client's entry says about a remote server: with a token, from a variable
// where its file can say so, and with OAuth.
func TestRemote(t *testing.T) {
	json := func(container, members string) string {
		return "{\n  \"" + container + "\": {\n    \"pve\": {\n" + members + "\n    }\n  }\n}\n"
	}
	header := func(value string) string {
		return ",\n      \"headers\": {\n        \"Authorization\": \"Bearer " + value + "\"\n      }"
	}
	const typed, plain = `      "type": "http",` + "\n", `      "url": "` + url + `"`
	want := map[string][2]string{
		"claude-code": {json("mcpServers", typed+plain+header("${T}")), json("mcpServers", typed+plain)},
		"cursor":      {json("mcpServers", plain+header("${env:T}")), json("mcpServers", plain)},
		"vscode":      {json("servers", typed+plain+header("${env:T}")), json("servers", typed+plain)},
		"codex": {
			"[mcp_servers.pve]\nurl = \"" + url + "\"\nbearer_token_env_var = \"T\"\n",
			"[mcp_servers.pve]\nurl = \"" + url + "\"\n",
		},
		"gemini": {json("mcpServers", typed+plain+header("${T}")), json("mcpServers", typed+plain)},
		"zed":    {json("context_servers", plain+header("secret")), json("context_servers", plain)},
	}
	for _, c := range install.All() {
		if c.NoRemote() != "" {
			continue
		}
		withToken := c.Remote(url, "T", "")
		if !c.TokenByVariable() {
			withToken = c.Remote(url, "", "secret")
		}
		var got [2]string
		for i, s := range []install.Server{withToken, c.Remote(url, "", "")} {
			text, err := c.Show("pve", s)
			if err != nil {
				t.Fatal(err)
			}
			got[i] = strings.ReplaceAll(string(text), "\t", "  ")
		}
		if diff := cmp.Diff(want[c.ID], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.ID, diff)
		}
		delete(want, c.ID)
	}
	if len(want) > 0 {
		t.Errorf("not seen: %v", want)
	}
}

// A remote server is added, loses its token, and is taken out again; what is beside it, and
// what its user has added, stays.
func TestRemoteComesAndGoes(t *testing.T) {
	for _, c := range install.All() {
		if c.NoRemote() != "" {
			continue
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "config")
		before := map[bool]string{true: "a = 1\n", false: "{\"a\": 1}\n"}[c.ID == "codex"]
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, s := range []install.Server{c.Remote(url, "T", ""), c.Remote(url, "", "")} {
			ch, err := c.Add(file, "pve", s)
			apply(t, ch, err)
			got, found, err := c.Read(file, "pve", url)
			if diff := cmp.Diff(s, got); err != nil || !found || diff != "" {
				t.Errorf("%s: %v %v %s", c.ID, err, found, diff)
			}
			ch, err = c.Add(file, "pve", s)
			if err != nil || !ch.Nothing {
				t.Errorf("%s: again: %v %v", c.ID, err, ch)
			}
		}
		if _, err := c.Remove(file, "pve", ""); err == nil || !strings.Contains(err.Error(), "pve-mcp uninstall "+c.ID+" --url "+url) {
			t.Errorf("%s: %v", c.ID, err)
		}
		if _, err := c.Add(file, "pve", server()); err == nil || !strings.Contains(err.Error(), "at "+url) {
			t.Errorf("%s: a server that the client starts, in its place: %v", c.ID, err)
		}
		ch, err := c.Remove(file, "pve", url)
		apply(t, ch, err)
		left, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(left), "mcp.example.org") || !strings.HasPrefix(string(left), before[:len(before)-2]) {
			t.Errorf("%s: %v %s", c.ID, err, left)
		}
	}
}
