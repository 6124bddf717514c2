package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// defaultPort is where PVE's proxy listens.
const defaultPort = "8006"

// parseHosts reads hosts and URLs as base URLs.
func parseHosts(v string) ([]string, error) {
	var out []string
	for _, text := range splitList(v) {
		base, err := parseHost(text)
		if err != nil {
			return nil, err
		}
		out = append(out, base)
	}
	if len(out) == 0 {
		return nil, errors.New("it names no host")
	}
	return out, nil
}

// parseHost reads [http[s]://]HOST[:PORT][/PATH], where HOST is a name of DNS or an
// address, that of IPv6 with a zone if it has one, and in brackets if more follows.
func parseHost(text string) (string, error) {
	if maybeSecret(text) {
		return "", errors.New("the value looks like a secret, not like a host")
	}
	if strings.Contains(text, "@") {
		return "", errors.New("a URL must not carry a user or a password; use PVE_TOKEN_ID and PVE_TOKEN_SECRET")
	}
	if strings.ContainsAny(text, "?#") {
		return "", fmt.Errorf("%s has more than host, port and path", quoted(text))
	}
	scheme, rest, isURL := strings.Cut(text, "://")
	if scheme = strings.ToLower(scheme); !isURL {
		scheme, rest = "https", text
	}
	authority, path, _ := strings.Cut(rest, "/")
	host, port, ok := splitAuthority(authority)
	if path, ok = basePath(path, ok); !ok {
		return "", fmt.Errorf("%s is neither a host nor a URL", quoted(text))
	}
	switch {
	case scheme == "http" && !isLoopback(host):
		return "", fmt.Errorf("%s would send the token unencrypted; use https://", quoted(text))
	case scheme != "https" && scheme != "http":
		return "", fmt.Errorf("%s is not a URL with https://", quoted(text))
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port), Path: path}).String(), nil
}

// splitAuthority reads HOST[:PORT]; ok says whether it is that.
func splitAuthority(text string) (host, port string, ok bool) {
	host, port = text, defaultPort
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		after := ""
		if host, after, ok = strings.Cut(inner, "]"); !ok {
			return "", "", false
		}
		host = strings.Replace(host, "%25", "%", 1) // as a URL has a zone
		if after != "" {
			if port, ok = strings.CutPrefix(after, ":"); !ok {
				return "", "", false
			}
		}
		return host, port, isIPv6(host) && isPort(port)
	}
	if isIPv6(host) {
		return host, port, true
	}
	if name, given, hasPort := strings.Cut(text, ":"); hasPort {
		host, port = name, given
	}
	return host, port, isHostName(host) && isPort(port)
}

// zoneRE is the name or the number of an interface.
var zoneRE = lazyregexp.New(`^[A-Za-z0-9._-]{1,64}$`)

func isIPv6(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is6() && (addr.Zone() == "" || zoneRE.MatchString(addr.Zone()))
}

// hostNameRE is a name of DNS. Underscores, which names of hosts do not have, are in some.
var (
	hostNameRE = lazyregexp.New(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`)
	numberRE   = lazyregexp.New(`(^|\.)[0-9]+\.?$`)
)

// isHostName reports whether a text is a name of DNS or an address of IPv4. What ends in a
// number can be no name, but a mistyped address.
func isHostName(host string) bool {
	if numberRE.MatchString(host) {
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Is4()
	}
	return len(host) <= 253 && hostNameRE.MatchString(host)
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && text == strconv.FormatUint(n, 10)
}

var segmentRE = lazyregexp.New(`^[A-Za-z0-9._~-]+$`)

// basePath reads the path before PVE's own, which a URL may have that somebody copied.
func basePath(text string, ok bool) (string, bool) {
	if text = strings.Trim(text, "/"); text == "" {
		return "", ok
	}
	segments := strings.Split(text, "/")
	for _, s := range segments {
		ok = ok && segmentRE.MatchString(s) && s != "." && s != ".."
	}
	path := "/" + strings.Join(segments, "/")
	for _, own := range []string{"/api2", "/api2/json", "/api2/extjs"} {
		path = strings.TrimSuffix(path, own)
	}
	return path, ok
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
