package module

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

// A new toolset is a folder and a line in the registry: make generate and the tests do the
// rest, and its tool that deletes has consent, grants, records, handles and protection.
func TestNewToolset(t *testing.T) {
	if !effort.Of(false, false, true) {
		t.Skip("it compiles and tests a copy of the checkout: make soak does it")
	}
	root := copyOfCheckout(t)
	run(t, root, "git", "init", "-q")
	run(t, root, "git", "add", "-A")
	set := filepath.Join("internal", "toolsets", "media")
	if err := os.CopyFS(filepath.Join(root, set), os.DirFS("media")); err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile(filepath.Join("testdata", "media_test.go"))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, set, "media_test.go"), test, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	registry := filepath.Join(root, "internal", "toolset", "registry.go")
	text, err := os.ReadFile(registry)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(string(text), "guests.Set(),", "guests.Set(),\n\t\tmedia.Set(),", 1)
	line = strings.Replace(line, "\t\"github.com/pve-mcp/pve-mcp/internal/toolsets/nodes\"", "\t\"github.com/pve-mcp/pve-mcp/internal/toolsets/media\"\n$0", 1)
	line = strings.Replace(line, "$0", "\t\"github.com/pve-mcp/pve-mcp/internal/toolsets/nodes\"", 1)
	if err := os.WriteFile(registry, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, root, "make", "-s", "generate")
	goCommand(t, root, []string{"PVE_MCP_SOAK="}, "test", "./internal/toolsets/media", "./internal/toolset", "./internal/mcpserver", "./internal/archtest", "./internal/docs/...")
	changed := strings.Fields(run(t, root, "git", "diff", "--name-only"))
	changed = slices.DeleteFunc(changed, func(name string) bool {
		return strings.HasPrefix(name, "docs/") || strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".txt") || name == ".env.example" || name == "README.md" // which make generate writes
	})
	if !slices.Equal(changed, []string{"internal/toolset/registry.go"}) {
		t.Errorf("edited beside the folder: %v", changed)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
