package mcpserver_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

var update = flag.Bool("update", false, "write the golden files anew")

// everything are all tools, as MCP lists them.
func everything() []*mcp.Tool {
	return mcpserver.List(toolset.Selection{Policy: policy.Policy{Exec: true}, Toolsets: []string{toolset.Everything}})
}

// Each tool, as clients see it.
func TestGoldenTools(t *testing.T) {
	files := map[string]string{}
	for _, mt := range everything() {
		files[mt.Name+".json"] = indented(t, mt)
	}
	golden(t, "tools", files)
}

func indented(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}

// Which tools each choice of toolsets offers, if nothing is changed and if all is
// allowed.
func TestGoldenNames(t *testing.T) {
	files := map[string]string{}
	for _, choice := range []string{toolset.Core, toolset.Standard, toolset.Everything} {
		for mode, p := range map[string]policy.Policy{"read-only": {ReadOnly: true, Exec: true}, "exec": {Exec: true}} {
			names := []string{}
			for _, mt := range mcpserver.List(toolset.Selection{Policy: p, Toolsets: []string{choice}}) {
				names = append(names, mt.Name)
			}
			files[choice+"-"+mode+".json"] = indented(t, names)
		}
	}
	golden(t, "names", files)
}

// golden compares files with those of a folder in testdata, which has no others.
func golden(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	dir := filepath.Join("testdata", folder)
	if *update {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	was := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		was[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, files); diff != "" {
		t.Errorf("%s (-golden +now; make generate writes it anew):\n%s", dir, diff)
	}
}
