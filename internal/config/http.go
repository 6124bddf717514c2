package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// HTTP are the settings of pve-mcp http.
type HTTP struct {
	Listen      string // host:port
	Tokens      files.Name
	Hosts       []string
	Origins     []string
	Rate        float64 // requests a second, 0 for any number
	Drain       time.Duration
	SessionsOff bool
	Replica     string // "" for none
	Metrics     string // host:port, "" for none
	Issuer      string // URL, "" for none
	Audience    string // "" for URL
	AnyJWT      bool
	NameClaim   string // "" for none
	ScopeClaim  string // "" for none
	ClaimScopes map[string][]string
	URL         string
	OwnTokens   string // off, optional or required
	Proxies     []netip.Prefix
	Cert, Key   files.Name
}

func parseListen(v string) (string, error) {
	_, port, err := net.SplitHostPort(v)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n > 65535 || maybeSecret(v) {
		return "", fmt.Errorf("%s is not HOST:PORT", quoted(v))
	}
	return v, nil
}

// parseAudience reads an identifier, which is up to the issuer.
func parseAudience(v string) (string, error) {
	if maybeSecret(v) {
		return "", errors.New("the value looks like a secret, not like an audience")
	}
	return v, nil
}

var dnsNameRE = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func parseDNSNames(v string) ([]string, error) {
	names := splitList(v)
	for _, name := range names {
		if !dnsNameRE.MatchString(name) || maybeSecret(name) {
			return nil, fmt.Errorf("%s is not the name of a host, without a port", quoted(name))
		}
	}
	return names, nil
}

func parseOrigins(v string) ([]string, error) {
	origins := splitList(v)
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != origin || maybeSecret(origin) {
			return nil, fmt.Errorf("%s is not an origin", quoted(origin))
		}
	}
	return origins, nil
}

// parseURL reads a URL that is not sent in the clear, but on this machine.
func parseURL(v string) (string, error) {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || maybeSecret(v):
		return "", fmt.Errorf("%s is not a URL of scheme, host and path", quoted(v))
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "", fmt.Errorf("%s is not a URL with https://", quoted(v))
	}
	return v, nil
}

func parseRate(v string) (float64, error) {
	rate, err := strconv.ParseFloat(v, 64)
	if err != nil || !(rate >= 0 && rate <= 1e6) {
		return 0, fmt.Errorf("%s is not a number from 0 on", quoted(v))
	}
	return rate, nil
}

func parseOwnTokens(v string) (string, error) {
	switch v {
	case "off", "optional", "required":
		return v, nil
	}
	return "", fmt.Errorf("%s is neither off nor optional nor required", quoted(v))
}

// parsePrefixes reads addresses and ranges of addresses.
func parsePrefixes(v string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range splitList(v) {
		prefix, err := netip.ParsePrefix(text)
		if addr, notOne := netip.ParseAddr(text); notOne == nil {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s is neither an address nor a range such as 10.0.0.0/24", quoted(text))
		}
		out = append(out, prefix)
	}
	return out, nil
}

// replicaRE has no full stop, which ends the name at the beginning of a session's id.
var replicaRE = lazyregexp.New(`^[A-Za-z0-9-]{1,63}$`)

func parseReplica(v string) (string, error) {
	if !replicaRE.MatchString(v) || maybeSecret(v) {
		return "", fmt.Errorf("%s is not a name of letters, digits and hyphens", quoted(v))
	}
	return v, nil
}

func parseLegacy(v string) (sessionsOff bool, err error) {
	switch strings.ToLower(v) {
	case "sessions":
		return false, nil
	case "stateless":
		return true, nil
	}
	return false, fmt.Errorf("%s is neither sessions nor stateless", quoted(v))
}

func parseTyp(v string) (anyJWT bool, err error) {
	switch strings.ToLower(v) {
	case "at+jwt":
		return false, nil
	case "jwt":
		return true, nil
	}
	return false, fmt.Errorf("%s is neither at+jwt nor jwt", quoted(v))
}

func parseClaim(v string) (string, error) {
	if strings.ContainsFunc(v, unicode.IsSpace) || maybeSecret(v) {
		return "", fmt.Errorf("%s is not the name of a claim", quoted(v))
	}
	return v, nil
}

// parseClaimScopes reads VALUE=SCOPE pairs. A value may have the sign = in it, as the names of a
// directory have, and no comma.
func parseClaimScopes(v string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, pair := range splitList(v) {
		at := strings.LastIndexByte(pair, '=')
		if at < 1 || !strings.HasPrefix(pair[at+1:], "pve:") {
			return nil, fmt.Errorf("%s is not VALUE=SCOPE, such as pve-admins=pve:destroy", quoted(pair))
		}
		out[pair[:at]] = append(out[pair[:at]], pair[at+1:])
	}
	return out, nil
}
