package cli

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// A client that starts the program waits for no declaration of tools. They are declared by
// the first who asks for them, so that only after a start that did not is asking much work.
func TestStartDeclaresNoTools(t *testing.T) {
	const inItself = "TEST_START_IN_ITSELF"
	if os.Getenv(inItself) == "" { // a process in which nobody has asked yet
		for _, toolsets := range []string{"", "core", "standard", "all"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStartDeclaresNoTools$")
			cmd.Env = []string{inItself + "=yes", "PVE_MCP_TOOLSETS=" + toolsets}
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("toolsets %q: %v\n%s", toolsets, err, said)
			}
		}
		return
	}
	var answers, log bytes.Buffer
	a := &app{
		in:  strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}` + "\n"),
		out: &answers, err: &log, self: os.Executable, flags: map[string]string{},
		environ: append(os.Environ(), "PVE_HOST=https://127.0.0.1:1", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET=00000000-0000-4000-8000-000000000000"),
	}
	if status := a.run(t.Context(), nil); status != exitOK || !strings.Contains(answers.String(), `"instructions":"Tools for`) {
		t.Fatalf("status %d: %s%s", status, &answers, &log)
	}
	first, again := allocations(), allocations()
	t.Logf("%d allocations to ask for the tools first, %d to ask again", first, again)
	if first < 10*again+100 {
		t.Errorf("the tools were declared by the start: %d allocations to ask for them first, %d to ask again", first, again)
	}
}

// allocations counts those of asking for all tools.
func allocations() uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	toolset.All()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}
