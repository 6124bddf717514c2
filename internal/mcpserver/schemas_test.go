package mcpserver_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
)

// The schemas that clients get are those of the tools' types.
func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	want, err := mcpserver.Schemas()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("schemas.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run make generate (-types +file):\n%s", diff)
	}
}
