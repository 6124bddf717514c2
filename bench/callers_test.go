package bench

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

var vmidRE = regexp.MustCompile(`vmid\\*":(\d+)`)

// Callers who bring PVE tokens of their own, each for one guest, all at the same time, each see
// their own guest and nobody else's. They are more than the server keeps connected.
func TestCallersSeeTheirOwn(t *testing.T) {
	n := effort.Of(40, 300, 1_000)
	m, tokens := oneGuestEach(n)
	c := start(t, m, pvesim.Options{})
	url := serveOwn(t, c)
	before, sent := inUse(), len(c.sim.Requests())
	var all sync.WaitGroup
	for i, token := range tokens {
		all.Go(func() {
			wire := &http.Transport{}
			defer wire.CloseIdleConnections()
			ask := func(name, args string) (string, error) {
				text, err := post(t.Context(), wire, url, fmt.Sprint(i), toolCall{name, args}, mcpserver.OwnTokenHeader, token.ID+"="+token.Secret)
				return string(text), err
			}
			mine, theirs := m.Guests[i].VMID, m.Guests[(i+1)%n].VMID
			text, err := ask("pve_list_guests", `{}`)
			if err != nil {
				t.Error(err)
			}
			seen := vmidRE.FindAllStringSubmatch(text, -1)
			for _, found := range seen {
				if found[1] != strconv.Itoa(mine) {
					t.Errorf("%s sees guest %s", token.ID, found[1])
				}
			}
			if len(seen) == 0 {
				t.Errorf("%s does not see guest %d: %s", token.ID, mine, text)
			}
			if text, err = ask("pve_guest_status", fmt.Sprintf(`{"vmid":%d}`, theirs)); err == nil || strings.Contains(text, m.Guests[(i+1)%n].Config["tags"]) {
				t.Errorf("%s is answered about guest %d: %s", token.ID, theirs, text)
			}
		})
	}
	all.Wait()
	asked := len(c.sim.Requests()) - sent
	t.Logf("%d callers: %d requests to PVE, %.0f MiB more in use", n, asked, inUse()-before)
	if most := 6 * n; asked > most {
		t.Errorf("%d requests to PVE, more than %d", asked, most)
	}
}

// oneGuestEach is a cluster with as many users as guests, each of whom sees one.
func oneGuestEach(n int) (pvesim.Model, []pvesim.Token) {
	m := sized(n)
	var tokens []pvesim.Token
	for i, g := range m.Guests {
		user := fmt.Sprintf("user%d@pve", i)
		m.Users = append(m.Users, pvesim.User{ID: user})
		m.ACL = append(m.ACL, pvesim.ACL{Path: fmt.Sprintf("/vms/%d", g.VMID), Who: user, Role: "PVEAuditor"})
		tokens = append(tokens, pvesim.Token{ID: user + "!mcp", Secret: fmt.Sprintf("00000000-0000-4000-8000-%012d", i)})
	}
	m.Tokens = append(m.Tokens, tokens...)
	return m, tokens
}

// serveOwn serves a cluster's tools to callers who bring PVE tokens, and returns where.
func serveOwn(tb testing.TB, c *cluster) string {
	tb.Helper()
	host := toolset.Tokenless("simulated", policy.Policy{})
	own := &mcphttp.OwnTokens{Required: true, Connect: func(token proxmox.Token) (tool.Host, error) {
		o := demo.Options(c.listener.URL(), c.transport, pvesim.Token{})
		o.Token = token
		return host.WithToken(o)
	}}
	s := mcpserver.New(mcpserver.Options{Version: "bench", Host: host, HostOf: func(h http.Header) (tool.Host, error) { return own.Host(h, host) }})
	return listen(tb, mcphttp.Options{Server: s, Authenticate: byName, OwnTokens: own, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
}
