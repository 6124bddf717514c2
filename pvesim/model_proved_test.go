package pvesim_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// proofs are the recordings by which endpoints are proved, by endpoint and major version: a
// request that succeeded there was answered the same.
type proofs map[string]map[string]bool

// note takes notice of a row that was answered as it was recorded.
func (p proofs) note(sim *pvesim.Sim, row recorded.Row) {
	if !row.IsRequest() || row.Status != 200 {
		return
	}
	all := sim.Requests()
	asked := all[len(all)-1]
	if asked.Endpoint == "" {
		return
	}
	node, ok := asked.Params["node"].(string)
	if !ok || node == "localhost" {
		node = asked.Node
	}
	key := fmt.Sprintf("%s %s\t%s", asked.Method, asked.Endpoint, map[string]string{"pve1": "8", "pve2": "9"}[node])
	if p[key] == nil {
		p[key] = map[string]bool{}
	}
	p[key][row.File] = true
}

// check compares the proofs with the file from which the page of endpoints is made.
func (p proofs) check(t *testing.T) {
	const file = "testdata/proved.txt"
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s\t%s\n", key, strings.Join(slices.Sorted(maps.Keys(p[key])), " "))
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s does not say what was proved; go test ./pvesim -run Replay -update writes it", file)
	}
}
