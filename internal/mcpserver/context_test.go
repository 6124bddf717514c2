package mcpserver_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// What a model reads before it has done anything, in bytes: names, descriptions and input
// schemas of the tools of core, of those of them that read, and the server's instructions.
const (
	mostCore         = 13_500
	mostReading      = 6_000
	mostInstructions = 1_000
)

const contextFile = "testdata/context.json"

// The context that the tools take stays within bounds, and no tool's grows by more than a
// twentieth unnoticed: go test ./internal/mcpserver -run Context -update takes the present
// sizes for the next ones to be compared with.
func TestContext(t *testing.T) {
	now := map[string]int{}
	all, reading := 0, 0
	for _, mt := range mcpserver.List(toolset.Selection{Policy: policy.Policy{Exec: true}}) {
		now[mt.Name] = size(t, mt)
		all += now[mt.Name]
		if mt.Annotations.ReadOnlyHint {
			reading += now[mt.Name]
		}
	}
	t.Logf("%d tools: %d bytes, %d of them of those that read", len(now), all, reading)
	if all > mostCore || reading > mostReading {
		t.Errorf("the tools take %d bytes, %d those that read, want at most %d and %d", all, reading, mostCore, mostReading)
	}
	if *update {
		data, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(contextFile, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(contextFile)
	if err != nil {
		t.Fatal(err)
	}
	var before map[string]int
	if err := json.Unmarshal(data, &before); err != nil {
		t.Fatal(err)
	}
	for name, n := range now {
		if before[name] == 0 || n*20 > before[name]*21 {
			t.Errorf("%s takes %d bytes and took %d: make it shorter, or say why it must be longer and use -update", name, n, before[name])
		}
	}
	for name := range before {
		if now[name] == 0 {
			t.Errorf("%s: there is no such tool any more: use -update", name)
		}
	}
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

func TestContextOfTheInstructions(t *testing.T) {
	converse(t, eras[0], sim.Options{}, func(c *conversation) {
		if n := len(c.client.InitializeResult().Instructions); n == 0 || n > mostInstructions {
			t.Errorf("%d bytes of instructions, want at most %d", n, mostInstructions)
		}
	})
}
