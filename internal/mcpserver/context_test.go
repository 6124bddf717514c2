package mcpserver_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// What a model reads before it has done anything, in bytes: names, descriptions and input
// schemas of tools.
const (
	mostStandard = 26_000
	mostTool     = 2_200
	// mostGrowth is by how many percent a toolset, or core, may be longer than
	// testdata/context.json says.
	mostGrowth = 10
)

const contextFile = "testdata/context.json"

// No toolset grows unnoticed. One that is new is taken down by make generate; one that
// must be longer is after its line was deleted.
func TestGoldenContext(t *testing.T) {
	now := map[string]int{}
	for _, mt := range everything() {
		n := size(t, mt)
		if n > mostTool {
			t.Errorf("%s takes %d bytes, want at most %d", mt.Name, n, mostTool)
		}
		declared, _ := toolset.Named(mt.Name)
		now[declared.Toolset] += n
	}
	of := func(choice string) (n int) {
		for _, mt := range mcpserver.List(toolset.Selection{Policy: policy.Policy{Exec: true}, Toolsets: []string{choice}}) {
			n += size(t, mt)
		}
		return n
	}
	now[toolset.Core] = of(toolset.Core)
	if n := of(toolset.Standard); n > mostStandard {
		t.Errorf("the tools of standard take %d bytes, want at most %d", n, mostStandard)
	}
	before := recordedContext(t, now)
	for name, n := range now {
		if was := before[name]; was == 0 || n*100 > was*(100+mostGrowth) {
			t.Errorf("the tools of %s take %d bytes and took %d, want at most %d %% more: make them shorter; or say why not, delete the line in %s and make generate", name, n, was, mostGrowth, contextFile)
		}
	}
	for name := range before {
		if now[name] == 0 {
			t.Errorf("%s: there is no such toolset any more: make generate", name)
		}
	}
}

// recordedContext are the sizes of toolsets that were taken down. With -update those that
// are new are, too, and those that are gone are not any more.
func recordedContext(t *testing.T, now map[string]int) map[string]int {
	t.Helper()
	data, err := os.ReadFile(contextFile)
	if err != nil {
		t.Fatal(err)
	}
	was := map[string]int{}
	if err := json.Unmarshal(data, &was); err != nil {
		t.Fatal(err)
	}
	if !*update {
		return was
	}
	kept := map[string]int{}
	for name, n := range now {
		kept[name] = n
		if was[name] != 0 {
			kept[name] = was[name]
		}
	}
	if data, err = json.MarshalIndent(kept, "", "  "); err == nil {
		err = os.WriteFile(contextFile, append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// size is what a model sees of a tool.
func size(t *testing.T, mt *mcp.Tool) int {
	t.Helper()
	schema, err := json.Marshal(mt.InputSchema)
	if err != nil {
		t.Fatal(err)
	}
	return len(mt.Name) + len(mt.Description) + len(schema)
}
