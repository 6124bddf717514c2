package telemetry_test

import (
	"net/http"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

// No name is part of an endpoint, not even one that is spelled as a word of PVE's paths, and nor
// is what is no endpoint.
func TestEndpoint(t *testing.T) {
	for path, want := range map[string]string{
		"/api2/json/version":                                          "/version",
		"/api2/json/nodes/pve1/qemu/100/status/current":               "/nodes/*/qemu/*/status/current",
		"/api2/json/nodes/pve1/lxc/100/snapshot/daily/config":         "/nodes/*/lxc/*/snapshot/*/config",
		"/api2/json/nodes/a/storage/b/content/b:backup%2Fc.vma.zst":   "/nodes/*/storage/*/content/*",
		"/proxied/api2/json/nodes/pve1/tasks/UPID:pve1:0:0:0::@:/log": "/nodes/*/tasks/*/log",
		"/api2/json/access/users/eve@example.org/token/script":        "/access/users/*/token/*",
		"/api2/json/pools/storage":                                    "/pools/*",
		"/api2/json/cluster/firewall/ipset/status/10.0.0.0%2F8":       "/cluster/firewall/ipset/*/*",
		"/api2/json/access/eve@example.org":                           "/*",
		"/pve-docs/api-viewer/apidoc.js":                              "/*",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://pve1:8006"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := telemetry.Endpoint(req); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// A trace has the names of what is on a node, and of no person, nor a parameter.
func TestFullURL(t *testing.T) {
	for url, want := range map[string]string{
		"https://pve1:8006/api2/json/nodes/pve1/qemu/100/config?current=1": "https://pve1:8006/api2/json/nodes/pve1/qemu/100/config",
		"https://pve1:8006/api2/json/access/users/eve@example.org?full=1":  "https://pve1:8006/api2/json/access/users/*",
		"https://proxy/pve/api2/json/access/eve@example.org":               "https://proxy/pve/api2/json/*",
		"https://pve1:8006/api2/json/access/users/eve%2Fx@pve":             "https://pve1:8006/api2/json/access/users/*",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := telemetry.FullURL(req); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
}
