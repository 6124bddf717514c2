package tool_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// A ready call of a tool that is off says which setting offers it.
func TestNextCallOfToolThatIsOff(t *testing.T) {
	h := tool.Host{Off: func(name string) string {
		return map[string]string{"pve_sink": "PVE_MCP_TOOLSETS does not name boats"}[name]
	}}
	for _, tt := range []struct {
		host          tool.Host
		call, setting string
	}{
		{h, "pve_sink", "PVE_MCP_TOOLSETS does not name boats"},
		{h, "pve_sail", ""},
		{h, "", ""},
		{tool.Host{}, "pve_sink", ""},
	} {
		if got := tt.host.Offered(tool.NextCall{Tool: tt.call}).Setting; got != tt.setting {
			t.Errorf("%s: %q, want %q", tt.call, got, tt.setting)
		}
	}
}
