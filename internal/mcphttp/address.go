package mcphttp

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// address is where a request comes from, for limits: its address, or the network of 64
// bits that somebody with IPv6 has.
func (h *handler) address(r *http.Request) string {
	addr := h.client(r)
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}

// client is the address from which a request comes, the zero one if it has none. Of what
// proxies say in X-Forwarded-For that much is believed as those say that are trusted.
func (h *handler) client(r *http.Request) netip.Addr {
	addr := remote(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil || !h.trusts(addr) {
			break
		}
		addr = before.Unmap().WithZone("")
	}
	return addr
}

// trusts reports whether an address is that of a proxy that was named.
func (h *handler) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(h.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// remote is the address of the other end of the connection, the zero one if it has
// none.
func remote(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
