package telemetry

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Endpoint is the path of a request to PVE with * in place of every name, of which there
// may be any number: /nodes/*/qemu/*/config. It is /* for what is no endpoint of PVE.
func Endpoint(req *http.Request) string {
	_, path, _ := strings.Cut(req.URL.EscapedPath(), "/api2/json/")
	elems := strings.Split(path, "/")
	for i, elem := range elems { // a name may have a slash, escaped
		if text, err := url.PathUnescape(elem); err == nil {
			elems[i] = text
		}
	}
	if known := policy.PathOf(req.Method, elems); known != "" {
		return known
	}
	return "/*"
}
