package module

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

// One command makes the repository that of another account, and what is built from it is
// whole.
func TestOwner(t *testing.T) {
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("it builds a copy of the checkout: make clients does it")
	}
	root := copyOfCheckout(t)
	old := ownersOf(t, root)
	account := "New" + "-" + "Owner" // which stands nowhere in the checkout
	changed := goCommand(t, root, nil, "run", "./build/owner", account)
	for _, name := range []string{"go.mod", "tools/go.mod", "server.json", "Makefile", ".goreleaser.yaml", "README.md", "docs/simulator.md", "pvesim/sim.go"} {
		if !strings.Contains("\n"+changed, "\n"+name+"\n") {
			t.Errorf("%s is not among the files that changed", name)
		}
	}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(root, name)
		if found := old.Find(text); found != nil {
			t.Errorf("%s still has %s", rel, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server, err := os.ReadFile(filepath.Join(root, "server.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"io.github.%s/pve-mcp"`, `"https://github.com/%s/pve-mcp"`, `"ghcr.io/%s/pve-mcp:0.0.0"`} {
		if want = fmt.Sprintf(want, account); !strings.Contains(string(server), want) {
			t.Errorf("server.json lacks %s", want)
		}
	}
	if again := goCommand(t, root, nil, "run", "./build/owner", account); again != "" {
		t.Errorf("a second time it changes %s", again)
	}
	// That every import is there is known without compiling; what many import is built.
	goCommand(t, root, nil, "list", "-deps", "-test", "./...")
	goCommand(t, root, nil, "build", "./pvesim/...")
	if out := goCommand(t, root, nil, "run", "cmd/gofmt", "-l", "."); out != "" {
		t.Errorf("gofmt would change %s", out)
	}
	if compilesAll := effort.Of(false, false, true); !compilesAll {
		t.Log("the rest of the copy is not compiled: make soak does it")
		return
	}
	goCommand(t, root, nil, "vet", "./...")
	goCommand(t, root, nil, "test", "-run", "Publisher", "./packaging")
}

// ownersOf matches what names the owner that a checkout has.
func ownersOf(t *testing.T, root string) *regexp.Regexp {
	t.Helper()
	var patterns []string
	for name, line := range map[string]string{
		"go.mod":      `(?m)^module (github\.com/[^/]+/[^/\s]+)$`,
		"server.json": `"name": "(io\.github\.[^/]+)/`,
	} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(line).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s does not name an owner", name)
		}
		patterns = append(patterns, regexp.QuoteMeta(string(found[1])))
		if account, ok := strings.CutPrefix(string(found[1]), "io.github."); ok {
			patterns = append(patterns, `(github\.com|ghcr\.io)/`+regexp.QuoteMeta(account)+"/")
		}
	}
	return regexp.MustCompile(strings.Join(patterns, "|"))
}
