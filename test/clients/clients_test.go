// Package clients lets real MCP clients from npm talk to the binary over stdio: the
// MCP Inspector's command line and both generations of the TypeScript SDK, in the
// handshake era and in 2026-07-28.
package clients

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// install builds the binary and fetches the clients, or skips the test, saying why.
func install(t *testing.T) (binary string) {
	t.Helper()
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("real clients are fetched from npm only for make clients")
	}
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("3 clients not tried: there is no %s", name)
		}
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("3 clients not tried: npm ci: %v: %s", err, out)
	}
	binary = filepath.Join(t.TempDir(), "pve-mcp")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/pve-mcp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// run runs a program and returns its stdout and exit status.
func run(t *testing.T, name string, args ...string) (stdout []byte, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		t.Fatalf("%s %v: no output: %s", name, args, errs.String())
	}
	return out.Bytes(), cmd.ProcessState.ExitCode()
}

func TestClients(t *testing.T) {
	binary := install(t)
	var offered []any
	for _, name := range names() {
		offered = append(offered, name)
	}
	for _, client := range [][]string{{"v1", "legacy"}, {"v2", "legacy"}, {"v2", "2026-07-28"}} {
		t.Run("TypeScript SDK "+strings.Join(client, " "), func(t *testing.T) {
			out, status := run(t, "node", append([]string{"story.mjs"}, append(client, binary, "--demo", "--demo-speed", "50")...)...)
			var got map[string]any
			if err := json.Unmarshal(out, &got); err != nil || status != 0 {
				t.Fatalf("status %d, %v: %s", status, err, out)
			}
			delete(got, "server")
			want := map[string]any{
				"tools":      offered,
				"guests":     []any{102.0, 103.0},
				"shutdown":   "ok",
				"progress":   true,
				"failed":     []any{true, "failed", "start failed: QEMU exited with code 1"},
				"unknown":    []any{true, "There is no guest 111, or "},
				"consent":    []any{"ok", "declined", 2.0},
				"noSuchTool": -32602.0,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, era := range []string{"legacy", "modern", "auto"} {
		t.Run("MCP Inspector "+era, func(t *testing.T) { inspect(t, binary, era) })
	}
}

// names are those of the tools that the demo offers.
func names() []string {
	var out []string
	tools, _ := toolset.Offered(toolset.Selection{Toolsets: []string{toolset.Standard}})
	for _, t := range tools {
		out = append(out, t.Name)
	}
	return out
}

func inspect(t *testing.T, binary, era string) {
	inspector := filepath.Join("node_modules", ".bin", "mcp-inspector")
	call := func(args ...string) (map[string]any, int) {
		base := []string{"--cli", binary, "--demo", "--demo-speed", "50", "--protocol-era", era, "--method"}
		out, status := run(t, inspector, append(base, args...)...)
		var got map[string]any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return got, status
	}
	list, status := call("tools/list", "--strict")
	if tools, _ := list["tools"].([]any); len(tools) != len(names()) || status != 0 {
		t.Errorf("tools/list: %d tools, status %d", len(tools), status)
	}
	got, status := call("tools/call", "--tool-name", "pve_guest_power", "--tool-arg", "vmid=105", "--tool-arg", "action=start")
	answer, _ := got["structuredContent"].(map[string]any)
	if got["isError"] != true || answer["outcome"] != "failed" || status == 0 {
		t.Errorf("a start that fails: status %d, %v", status, got)
	}
}
