package mcphttp

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// checkHost lets requests pass that were made for this server. A page whose own name
// leads here (DNS rebinding) names that one. An address is no name that somebody could
// point elsewhere, but only addresses of loopback are called on loopback.
func (h *handler) checkHost(w *stream, r *http.Request) bool {
	name := hostname(r.Host)
	addr, err := netip.ParseAddr(name)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	onLoopback := local == nil || local.IP.IsLoopback()
	switch {
	case name == "localhost", err == nil && (addr.IsLoopback() || !onLoopback):
		return true
	case slices.ContainsFunc(h.Hosts, func(own string) bool { return strings.EqualFold(own, name) }):
		return true
	}
	w.refuse(http.StatusForbidden, nil, fmt.Sprintf("this server is not called %q (PVE_MCP_HTTP_HOSTS)", name))
	return false
}

// hostname is a host without its port.
func hostname(host string) string {
	u, err := url.Parse("//" + host)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// checkOrigin lets requests pass that no web page makes, or one that may. It answers the
// questions that browsers ask before.
func (h *handler) checkOrigin(w *stream, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if slices.Contains(h.Origins, origin) {
		w.header.Set("Access-Control-Allow-Origin", origin)
		w.header.Add("Vary", "Origin")
		w.header.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After")
		if r.Method != http.MethodOptions {
			return true
		}
		w.header.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
		w.header.Set("Access-Control-Allow-Headers",
			"Authorization, Content-Type, Mcp-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID")
		w.header.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return false
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	w.refuse(http.StatusForbidden, nil, "pages of this origin may not call this server (PVE_MCP_HTTP_ORIGINS)")
	return false
}
