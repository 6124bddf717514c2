package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Hosts are patterns of hosts, such as *.debian.org or 10.0.0.5.
type Hosts []string

// hostRE matches a pattern of a host: a short name, or one with dots or colons.
var hostRE = lazyregexp.New(`^(?:[a-z0-9*?-]{1,30}|[a-z0-9*?-]*(?:[.:][a-z0-9*?-]*)+)$`)

// ParseHosts reads patterns of hosts, between commas. Its error does not repeat what it was
// given, which may be a secret.
func ParseHosts(s string) (Hosts, error) {
	var out Hosts
	for part := range strings.SplitSeq(s, ",") {
		part = strings.ToLower(strings.TrimSpace(part))
		if part == "" {
			continue
		}
		if !hostRE.MatchString(part) {
			return nil, errors.New("one of its parts is no pattern of a host; write such as *.debian.org, nas.lan")
		}
		out = append(out, part)
	}
	return out, nil
}

// has reports whether a pattern matches a host. A pattern whose last part has a wildcard matches
// addresses and short names only: anybody may own a domain that begins as it does.
func (h Hosts) has(host string) bool {
	isDomain := !isAddress(host) && strings.Contains(host, ".")
	return slices.ContainsFunc(h, func(pattern string) bool {
		last := pattern[strings.LastIndexAny(pattern, ".:")+1:]
		if isDomain && pattern != "*" && strings.ContainsAny(last, "*?") {
			return false
		}
		ok, _ := path.Match(pattern, host) // ParseHosts has checked it
		return ok
	})
}

// RefuseFetch returns why nothing may be fetched from an address, or "". Without patterns every
// public host is good. A host of a private network is good only if a pattern matches it: what
// a node reaches there may be more than its caller does.
func (p Policy) RefuseFetch(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "the address has no host"
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	switch {
	case u.User != nil:
		return "the address has a password in it"
	case !nameRE.MatchString(host) && !isAddress(host):
		return "the address has no host that every program reads alike: give a name in ASCII, xn-- for others"
	case p.DownloadFrom.has(host):
		return ""
	case len(p.DownloadFrom) > 0:
		return fmt.Sprintf("the host %s is none of those that PVE_MCP_DOWNLOAD_FROM names", host)
	case isPrivate(host):
		return fmt.Sprintf("the host %s is private, and PVE_MCP_DOWNLOAD_FROM does not name it", host)
	}
	return ""
}

// nameRE matches the name of a host. What has other characters than these, such as digits of
// full width, some programs turn into another name.
var nameRE = lazyregexp.New(`^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$`)

func isAddress(host string) bool { _, err := netip.ParseAddr(host); return err == nil }

// isPrivate reports whether a host is one of a private network, as far as its name shows.
func isPrivate(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return !IsPublic(a)
	}
	_, ending, dotted := strings.Cut(host, ".")
	if !dotted || addressRE.MatchString(host) {
		return true
	}
	return slices.ContainsFunc([]string{"local", "localhost", "localdomain", "lan", "home", "internal", "intranet", "private", "corp", "home.arpa"}, func(private string) bool {
		return ending == private || strings.HasSuffix(ending, "."+private)
	})
}

// IsPublic reports whether an address is one of the Internet. An address of IPv6 that embeds one
// of IPv4 does not count.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	special := []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"}
	if a.Is6() {
		if !netip.MustParsePrefix("2000::/3").Contains(a) {
			return false
		}
		special = []string{"2001::/23", "2002::/16"} // tunnels
	}
	return !slices.ContainsFunc(special, func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(a) })
}

// addressRE matches other spellings of an address, whose last part is a number.
var addressRE = lazyregexp.New(`(?:^|\.)(?:0x[0-9a-f]*|\d+)$`)

// urlOf is the address that a request names.
func urlOf(r request) string { return r.params.Get("url") }

// registryOf is the address of the registry that a request names, Docker's if its reference
// names none. The first part of a reference with a capital letter is a host, too.
func registryOf(r request) string {
	host, _, hasPath := strings.Cut(r.params.Get("reference"), "/")
	if !hasPath || !strings.ContainsAny(host, ".:") && host != "localhost" && host == strings.ToLower(host) {
		host = "registry-1.docker.io"
	}
	return "https://" + host
}
