package remote_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/install/remote"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// serve serves MCP at a free port of this machine.
func serve(t *testing.T, build func(url string) mcphttp.Options) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + l.Addr().String() + mcphttp.Path
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mcphttp.Serve(ctx, l, build(url)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return url
}

func TestCheck(t *testing.T) {
	world := sim.New(t, sim.Options{})
	ours := mcpserver.New(mcpserver.Options{Version: "test", Host: world.Host})
	path := files.At(filepath.Join(t.TempDir(), "tokens.json"))
	secret, err := callers.Add(path, callers.Token{Name: "alice", Created: time.Now(), Scopes: callers.All()})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := callers.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	open := serve(t, func(string) mcphttp.Options { return mcphttp.Options{Server: ours} })
	byToken := serve(t, func(string) mcphttp.Options {
		return mcphttp.Options{Server: ours, Authenticate: mcphttp.ByTokens(tokens)}
	})
	const issuer = "https://idp.example.org"
	byOAuth := serve(t, func(url string) mcphttp.Options {
		o := mcphttp.OAuth{Issuer: issuer, Resource: url}
		return mcphttp.Options{Server: ours, OAuth: &o, Authenticate: mcphttp.ByOAuth(o)}
	})
	elsewhere := serve(t, func(string) mcphttp.Options {
		o := mcphttp.OAuth{Issuer: issuer, Resource: "https://mcp.example.org/mcp"}
		return mcphttp.Options{Server: ours, OAuth: &o, Authenticate: mcphttp.ByOAuth(o)}
	})
	other := serve(t, func(string) mcphttp.Options {
		return mcphttp.Options{Server: mcp.NewServer(&mcp.Implementation{Name: "other", Version: "1"}, nil)}
	})
	answering := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL + "/mcp"
	}
	leaked := make(chan string, 9)
	target := answering(func(_ http.ResponseWriter, r *http.Request) { leaked <- r.Header.Get("Authorization") })
	moved := answering(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusPermanentRedirect)
	})
	page := answering(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	basic := answering(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="proxy"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	for _, tt := range []struct{ name, url, token, issuer, problem string }{
		{"open", open, "", "", ""},
		{"token", byToken, secret, "", ""},
		{"no token", byToken, "", "", "wants a bearer token"},
		{"wrong token", byToken, "pve_mcp_wrong", "", "does not accept the token"},
		{"OAuth", byOAuth, "", issuer, ""},
		{"OAuth for another URL", elsewhere, "", "", "does not fit this URL"},
		{"another server", other, "", "", "another MCP server answers there"},
		{"another path", strings.TrimSuffix(open, "/mcp") + "/nowhere", "", "", "ends in /mcp"},
		{"moved", moved, secret, "", "sends callers on to " + target},
		{"a page", page, "", "", "is not an MCP server"},
		{"a proxy", basic, "", "", "something that is not pve-mcp"},
		{"nobody", "http://127.0.0.1:9/mcp", "", "", "could not be reached"},
	} {
		got, err := remote.Check(t.Context(), tt.url, tt.token, "test")
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.issuer || (text == "") != (tt.problem == "") || !strings.Contains(text, tt.problem) || strings.Contains(text, secret) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	if len(leaked) > 0 {
		t.Errorf("the token went on to %q", <-leaked)
	}
}
