package mcpserver_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
)

// What clients are told of arguments and answers is what the tools' types say.
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
