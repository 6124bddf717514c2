package mcpserver_test

import (
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
)

// No caller can have the name of another one, whatever an issuer calls it.
func TestCallersAreToldApart(t *testing.T) {
	seen := map[string]bool{}
	for _, who := range []string{"", "alice", "oauth:alice", "oauth:alice as ops@pve!mcp", `oauth:"alice"`, "oauth:alice\u00a0as ops@pve!mcp", "oauth:alice\n"} {
		for _, own := range []string{"", "ops@pve!mcp=12345678-1234-1234-1234-123456789abc", "root@pam!full=12345678-1234-1234-1234-123456789abc"} {
			info := &auth.TokenInfo{UserID: who}
			if who == "" {
				info = nil
			}
			name := mcpserver.Caller(info, http.Header{"X-Pve-Token": {own}})
			if seen[name] {
				t.Errorf("%q with %q is %s, as another is", who, own, name)
			}
			seen[name] = true
		}
	}
}
