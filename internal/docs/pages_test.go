package docs_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/docs"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// Every tool has an example that calls it; the tests of the docs run it. No page says the
// same twice.
func TestExamples(t *testing.T) {
	for _, tool := range toolset.All() {
		page := docs.Tool(tool)
		if !strings.Contains(page, "\n    pve-mcp ") || !strings.Contains(page, " call "+tool.Name) {
			t.Errorf("%s has no example", tool.Name)
		}
		if strings.Contains(page, tool.Title+". ") {
			t.Errorf("%s: its page has its title before its description", tool.Name)
		}
	}
}
