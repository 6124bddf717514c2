package mcphttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// fuzzed is a server over a simulated cluster that only reads, and the secrets that a
// caller shows it.
type fuzzed struct {
	http.Handler
	options     mcphttp.Options
	bearer, own string
	log         kept
}

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(1000)})
	if err != nil {
		f.Fatal(err)
	}
	host, err := demo.Host(sim.URL(), sim.Transport(), model.Token(demo.TokenID), policy.Policy{ReadOnly: true})
	if err != nil {
		f.Fatal(err)
	}
	path := f.TempDir() + "/tokens.json"
	z := &fuzzed{own: demo.TokenID + "=" + model.Token(demo.TokenID).Secret}
	if z.bearer, err = callers.Add(files.At(path), callers.Token{Name: "fuzz", Scopes: callers.Scopes{callers.Read}}); err != nil {
		f.Fatal(err)
	}
	file, err := callers.Open(files.At(path))
	if err != nil {
		f.Fatal(err)
	}
	z.options = mcphttp.Options{
		Authenticate: mcphttp.ByTokens(file), Logger: slog.New(slog.NewTextHandler(&z.log, nil)), Metrics: &mcphttp.Metrics{},
		Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, // where httptest's requests come from
		OwnTokens: &mcphttp.OwnTokens{Connect: func(token proxmox.Token) (tool.Host, error) {
			return host.WithToken(proxmox.Options{Endpoints: []string{sim.URL()}, Token: token, Transport: sim.Transport()})
		}},
		Hosts: []string{"example.com"}, Origins: []string{"https://chat.example.org"},
	}
	z.options.Server = mcpserver.New(mcpserver.Options{Host: host, HostOf: func(h http.Header) (tool.Host, error) { return z.options.OwnTokens.Host(h, host) }})
	ctx, cancel := context.WithCancel(context.Background())
	f.Cleanup(cancel)
	z.Handler = mcphttp.Handler(ctx, z.options)
	return z
}

// serve answers a request. Its header is made of lines; if one is Authorization or
// X-PVE-Token, what is in it of $bearer and $own are the secrets.
func (z *fuzzed) serve(t *testing.T, method, target, header string, body []byte) *httptest.ResponseRecorder {
	r, err := http.NewRequest(method, "http://example.com/", bytes.NewReader(body))
	if err != nil {
		t.Skip("no method that a server hears")
	}
	if r.URL, err = r.URL.Parse(target); err != nil {
		t.Skip("no target that a server hears")
	}
	r.RemoteAddr, r.RequestURI = "192.0.2.1:1234", target
	for line := range strings.Lines(header) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimSpace(value)
		switch http.CanonicalHeaderKey(name) {
		case "Host":
			r.Host = value
		case "Authorization", "X-Pve-Token":
			value = strings.NewReplacer("$bearer", z.bearer, "$own", z.own).Replace(value)
		}
		r.Header.Add(name, value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // streams without an end
	defer cancel()
	w := httptest.NewRecorder()
	z.ServeHTTP(w, r.WithContext(ctx))
	for session := range z.options.Server.Sessions() {
		_ = session.Close()
	}
	return w
}

const modern = "Content-Type: application/json\nAccept: application/json, text/event-stream\nMcp-Protocol-Version: 2026-07-28\nAuthorization: Bearer $bearer\n"
const legacy = "Content-Type: application/json\nAccept: application/json, text/event-stream\nMcp-Protocol-Version: 2025-11-25\nAuthorization: Bearer $bearer\n"
const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}`

// Whatever is asked is answered with JSON-RPC, events of that, or a line of text; never
// with what the server keeps to itself, nor with a secret that was shown to it.
func FuzzHandler(f *testing.F) {
	for _, seed := range [][4]string{
		{"POST", "/mcp", modern + "Mcp-Method: tools/list", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`},
		{"POST", "/mcp", modern + "Mcp-Method: tools/call\nMcp-Name: pve_list_nodes", `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"pve_list_nodes","arguments":{},` + meta + `}}`},
		{"POST", "/mcp", modern + "Mcp-Method: tools/call\nMcp-Name: pve_guest_status\nX-PVE-Token: $own", `{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"pve_guest_status","arguments":{"vmid":"101"},"requestState":"x","inputResponses":{"consent":{"action":"accept","content":{"confirm":true}}},` + meta + `}}`},
		{"POST", "/mcp", modern + "Mcp-Method: server/discover", `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}`},
		{"POST", "/mcp", modern + "Mcp-Method: subscriptions/listen", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + meta + `}}`},
		{"POST", "/mcp", legacy, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`},
		{"POST", "/mcp", legacy, `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":1,"result":{}}]`},
		{"POST", "/mcp", legacy + "Mcp-Session-Id: x.y", `{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"pve_guest_power"}}`},
		{"GET", "/mcp", legacy + "Last-Event-ID: a_1", ""},
		{"DELETE", "/mcp", legacy + "Mcp-Session-Id: x", ""},
		{"OPTIONS", "/mcp", "Origin: https://chat.example.org", ""},
		{"POST", "/mcp", "Authorization: Bearer $own\nX-Forwarded-For: 1.2.3.4, ::1", "{"},
		{"POST", "/mcp?access_token=x", "X-PVE-Token: $bearer\nOrigin: null\nHost: evil.example", strings.Repeat("[", 20000)},
		{"GET", "/metrics", "Authorization: Bearer $bearer", ""},
		{"GET", "/healthz", "", ""},
		{"GET", "/readyz", "", ""},
		{"GET", "//mcp/../.well-known/oauth-protected-resource", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(seed[3]))
	}
	z := newFuzzed(f)
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		w := z.serve(t, method, target, header, body)
		said := w.Body.String()
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable || w.Code < 200 {
			t.Errorf("%d %q", w.Code, said)
		}
		if strings.HasPrefix(target, "/mcp") && !speaks(w) {
			t.Errorf("%d %v %q", w.Code, w.Header(), said)
		}
		for _, secret := range []string{z.bearer, z.own, strings.Split(z.own, "=")[1]} {
			mine := strings.ReplaceAll(said, string(body), "") // what was sent as a body may come back
			if strings.Contains(mine, secret) || strings.Contains(headerText(w), secret) || strings.Contains(z.log.String(), secret) {
				t.Errorf("a secret is shown: %v %q %s", w.Header(), said, z.log.String())
			}
		}
		z.log.take()
	})
}

func headerText(w *httptest.ResponseRecorder) string {
	var all bytes.Buffer
	_ = w.Header().Write(&all) // to memory
	return all.String()
}

// speaks reports whether an answer is one of MCP's.
func speaks(w *httptest.ResponseRecorder) bool {
	said := w.Body.String()
	switch kind := w.Header().Get("Content-Type"); {
	case said == "" || said == ": still here\n\n":
		return true
	case strings.HasPrefix(kind, "text/event-stream"):
		return !slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool {
			data, isData := strings.CutPrefix(line, "data: ")
			return isData && !isRPC(data) || !isData && line != "" && line != "event: message" && !strings.HasPrefix(line, ":")
		})
	case kind == "application/json":
		return isRPC(said)
	}
	return w.Code != http.StatusOK && strings.Count(said, "\n") <= 1 && len(said) < 500
}

func isRPC(data string) bool {
	var one struct {
		Version string `json:"jsonrpc"`
	}
	var all []json.RawMessage
	if json.Unmarshal([]byte(data), &all) == nil {
		return !slices.ContainsFunc(all, func(m json.RawMessage) bool { return !isRPC(string(m)) })
	}
	return json.Unmarshal([]byte(data), &one) == nil && one.Version == "2.0"
}
