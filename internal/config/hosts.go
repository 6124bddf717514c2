package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
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

func parseHost(text string) (string, error) {
	raw := text
	if !strings.Contains(raw, "://") {
		if addr, err := netip.ParseAddr(raw); err == nil && addr.Is6() {
			raw = "[" + raw + "]"
		}
		raw = "https://" + raw
	}
	if maybeSecret(raw) {
		return "", errors.New("the value looks like a secret, not like a host")
	}
	if strings.Contains(raw, "@") {
		return "", errors.New("a URL must not carry a user or a password; use PVE_TOKEN_ID and PVE_TOKEN_SECRET")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " \t"):
		return "", fmt.Errorf("%s is neither a host nor a URL", quoted(text))
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%s has more than host, port and path", quoted(text))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%s would send the token unencrypted; use https://", quoted(text))
	case u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("%s is not a URL with https://", quoted(text))
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	return u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/"), nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
