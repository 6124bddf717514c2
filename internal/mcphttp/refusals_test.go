package mcphttp_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

func TestHostsAndOrigins(t *testing.T) {
	o := mcphttp.Options{Hosts: []string{"mcp.example.org"}, Origins: []string{"https://chat.example.org"}}
	visit(t, sim.Options{}, o, func(s *site) {
		for _, tt := range []struct {
			host, origin string
			status       int
			allowed      string // Access-Control-Allow-Origin
		}{
			{"localhost:8080", "", 200, ""},
			{"127.0.0.1", "", 200, ""},
			{"[::1]:8080", "", 200, ""},
			{"MCP.example.org:443", "", 200, ""},
			{"evil.example", "", 403, ""},
			{"localhost.evil.example", "", 403, ""},
			{"10.0.0.1:8080", "", 403, ""}, // this listener is on loopback
			{"localhost:8080", "http://localhost:8080", 200, ""},
			{"localhost:8080", "http://localhost:9090", 403, ""},
			{"evil.example", "http://evil.example", 403, ""},
			{"localhost:8080", "null", 403, ""},
			{"mcp.example.org", "https://chat.example.org", 200, "https://chat.example.org"},
			{"mcp.example.org", "https://chat.example.org.evil.example", 403, ""},
		} {
			r := s.request("tools/list", nil, "Host", tt.host)
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			resp, body := s.do(r)
			if resp.StatusCode != tt.status || resp.Header.Get("Access-Control-Allow-Origin") != tt.allowed {
				s.Errorf("%+v: %d %v %.100s", tt, resp.StatusCode, resp.Header, body)
			}
		}
		r := s.request("tools/list", nil, "Origin", "https://chat.example.org")
		r.Method, r.Body, r.ContentLength = http.MethodOptions, nil, 0
		if resp, _ := s.do(r); resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			s.Errorf("before a request of a page: %d %v", resp.StatusCode, resp.Header)
		}
	})
}

// tokens makes a file with a token for each of some scopes.
func tokens(t *testing.T, scopes ...string) (path string, secrets []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tokens.json")
	for i, text := range scopes {
		parsed, err := callers.ParseScopes(text)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := callers.Add(files.At(path), callers.Token{Name: fmt.Sprintf("caller-%d", i), Scopes: parsed})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	return path, secrets
}

func byTokens(t *testing.T, path string) mcphttp.Options {
	t.Helper()
	file, err := callers.Open(files.At(path))
	if err != nil {
		t.Fatal(err)
	}
	return mcphttp.Options{Authenticate: mcphttp.ByTokens(file)}
}

func TestWhoMayCall(t *testing.T) {
	path, secrets := tokens(t, "pve:read", "pve:write", "pve:destroy", "pve:exec")
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		remove := map[string]any{"vmid": 102, "snapname": "before-upgrade", "confirm": true}
		prune := map[string]any{"vmid": 101, "storage": "backup", "prune": "keep-last=1"}
		for _, tt := range []struct {
			caller    int
			tool      string
			args      map[string]any
			status    int
			challenge string
		}{
			{0, "pve_list_nodes", nil, 200, ""},
			{0, "pve_guest_power", map[string]any{"vmid": 101, "action": "start"}, 403, `scope="pve:read pve:write"`},
			{1, "pve_guest_power", map[string]any{"vmid": 101, "action": "start"}, 200, ""},
			{1, "pve_create_backup", prune, 403, `scope="pve:write pve:destroy"`},
			{1, "pve_delete_snapshot", remove, 403, `error="insufficient_scope"`},
			{2, "pve_delete_snapshot", remove, 200, ""},
			{2, "pve_vm_exec", map[string]any{"vmid": 101, "command": []string{"id"}}, 403, `scope="pve:destroy pve:exec"`},
			{2, "pve_bulk_action", map[string]any{"action": "exec", "guests": "101", "shell": "id"}, 403, `scope="pve:destroy pve:exec"`},
			{3, "pve_list_nodes", nil, 403, `scope="pve:exec pve:read"`},
		} {
			resp, body := s.do(s.toolCall(tt.tool, tt.args, "Authorization", "Bearer "+secrets[tt.caller]))
			if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != tt.status || !strings.Contains(got, tt.challenge) {
				s.Errorf("%d %s: %d %s %s", tt.caller, tt.tool, resp.StatusCode, got, body)
			}
			if tt.status == 403 && !strings.Contains(body, `"id":7`) {
				s.Errorf("%s", body)
			}
		}
		for _, header := range []string{"", "Bearer", "Bearer x", "Basic " + secrets[0], "Bearer " + secrets[0] + "x", "Bearer " + secrets[0] + " y"} {
			resp, body := s.do(s.request("tools/list", nil, "Authorization", header))
			if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `Bearer realm="pve-mcp"`) || strings.Contains(body, secrets[0]) {
				s.Errorf("%q: %d %v %s", header, resp.StatusCode, resp.Header, body)
			}
		}
		if err := callers.Revoke(files.At(path), "caller-0"); err != nil {
			s.Fatal(err)
		}
		if resp, _ := s.do(s.request("tools/list", nil, "Authorization", "Bearer "+secrets[0])); resp.StatusCode != 401 {
			s.Errorf("a revoked token: %d", resp.StatusCode)
		}
	})
}

// A call that is found to be worse than its input told is refused before anything is sent.
func TestScopeOfWhatIsFound(t *testing.T) {
	path, secrets := tokens(t, "pve:write")
	visit(t, sim.Options{Model: sim.Cluster(sim.Set(105, "protection=1"))}, byTokens(t, path), func(s *site) {
		_, body := s.do(s.toolCall("pve_update_guest_config", map[string]any{"vmid": 105, "delete": []string{"protection"}, "confirm": true},
			"Authorization", "Bearer "+secrets[0]))
		if !strings.Contains(body, `"outcome":"failed"`) || !strings.Contains(body, "it needs the scope pve:destroy") || len(sim.Writes(s.Sent())) > 0 {
			s.Errorf("%s", body)
		}
	})
}

// Changes of who may do what need a scope of their own, which is asked for and announced only
// where they are on.
func TestScopeOfAccess(t *testing.T) {
	path, secrets := tokens(t, "pve:destroy pve:exec", "pve:write pve:access")
	change := map[string]any{"method": "DELETE", "path": "/access/users/none@pve", "confirm": true}
	for _, on := range []bool{false, true} {
		w := sim.Options{Token: "root@pam!full", Policy: policy.Policy{Access: on}}
		visitOn(t, w, func(world *sim.World) mcphttp.Options {
			o := byTokens(t, path)
			o.Policy = world.Host.Policy
			o.OAuth = &mcphttp.OAuth{Issuer: "https://idp.example.org", Resource: "https://mcp.example.org/mcp"}
			o.Server = mcpserver.New(mcpserver.Options{Version: "test", Host: world.Host, Selection: toolset.Selection{Toolsets: []string{"standard"}}})
			return o
		}, func(s *site) {
			if _, metadata := s.get("/.well-known/oauth-protected-resource/mcp"); strings.Contains(metadata, "pve:access") != on || !strings.Contains(metadata, "pve:exec") {
				s.Errorf("on %v: %s", on, metadata)
			}
			resp, body := s.do(s.toolCall("pve_api_change", change, "Authorization", "Bearer "+secrets[0]))
			if challenge := resp.Header.Get("WWW-Authenticate"); on && (resp.StatusCode != 403 || !strings.Contains(challenge, `scope="pve:destroy pve:exec pve:access"`)) {
				s.Errorf("on, without the scope: %d %s %s", resp.StatusCode, challenge, body)
			}
			if !on && (resp.StatusCode != 200 || !strings.Contains(body, "PVE_MCP_ENABLE_ACCESS is not true")) {
				s.Errorf("off, without the scope: %d %s", resp.StatusCode, body)
			}
			want := map[bool]string{false: "PVE_MCP_ENABLE_ACCESS is not true", true: "so does every change of who may do what), and this client cannot ask its human"}[on]
			if resp, body := s.do(s.toolCall("pve_api_change", change, "Authorization", "Bearer "+secrets[1])); resp.StatusCode != 200 || !strings.Contains(body, want) {
				s.Errorf("on %v, with the scope: %d %s", on, resp.StatusCode, body)
			}
			if sent := sim.Writes(s.Sent()); len(sent) > 0 {
				s.Errorf("%v was sent", sent)
			}
		})
	}
}

// Metrics are behind authentication, and what callers make up is no series.
func TestMetrics(t *testing.T) {
	path, secrets := tokens(t, "pve:destroy")
	o := byTokens(t, path)
	o.Metrics = &mcphttp.Metrics{}
	w := sim.Options{Wire: o.Metrics.Transport}
	visit(t, w, o, func(s *site) {
		bearer := "Bearer " + secrets[0]
		s.do(s.toolCall("pve_guest_status", map[string]any{"vmid": 101}, "Authorization", bearer))
		s.do(s.toolCall("pve_guest_power", map[string]any{"vmid": 105, "action": "start"}, "Authorization", bearer))
		s.do(s.toolCall("made up", nil, "Authorization", bearer))
		s.do(s.toolCall("pve_vm_exec", nil, "Authorization", bearer))
		s.do(s.toolCall("pve_vm_exec", nil, "Authorization", bearer, "Host", "evil.example"))
		s.get("/nothing/of/this/name")
		if resp, body := s.get("/metrics"); resp.StatusCode != 401 || strings.Contains(body, "pve_mcp_calls") {
			s.Errorf("%d %s", resp.StatusCode, body)
		}
		_, body := s.get("/metrics", "Authorization", bearer)
		for _, want := range []string{
			`pve_mcp_calls_total{tool="pve_guest_power",outcome="failed"} 1`,
			`pve_mcp_calls_total{tool="pve_guest_status",outcome="ok"} 1`,
			`pve_mcp_calls_total{tool="unknown",outcome="refused"} 1`,
			`pve_mcp_call_seconds_count{tool="pve_guest_status"} 1`,
			`pve_mcp_http_answers_total{path="/mcp",method="POST",status="200"} 2`,
			`pve_mcp_http_answers_total{path="/mcp",method="POST",status="400"} 1`,
			`pve_mcp_http_answers_total{path="/mcp",method="POST",status="403"} 2`,
			`pve_mcp_http_answers_total{path="/metrics",method="GET",status="401"} 1`,
			`pve_mcp_http_answers_total{path="/",method="GET",status="404"} 1`,
			`pve_mcp_pve_requests_total{method="GET",endpoint="/nodes/*/qemu/*/status/current",status="200"}`,
			"pve_mcp_calls_in_flight 0\n",
		} {
			if !strings.Contains(body, want) {
				s.Errorf("no %s in\n%s", want, body)
			}
		}
	})
}

// The list of tools has those of which the caller can make some call.
func TestScopesNarrowTheList(t *testing.T) {
	path, secrets := tokens(t, "pve:read", "pve:write", "pve:destroy")
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		for i, want := range []map[string]bool{
			{"pve_list_nodes": true, "pve_guest_power": false, "pve_restore_backup": false, "pve_delete_guest": false},
			{"pve_list_nodes": true, "pve_guest_power": true, "pve_restore_backup": true, "pve_delete_guest": false},
			{"pve_list_nodes": true, "pve_guest_power": true, "pve_restore_backup": true, "pve_delete_guest": true},
		} {
			for _, era := range eras {
				client := s.connect(era, nil, http.Header{"Authorization": {"Bearer " + secrets[i]}})
				list, err := client.ListTools(s.Context(), nil)
				if err != nil {
					s.Fatal(err)
				}
				listed := map[string]bool{}
				for _, tool := range list.Tools {
					listed[tool.Name] = true
				}
				for name, want := range want {
					if listed[name] != want {
						s.Errorf("%s, caller %d: %s is listed: %v", era, i, name, listed[name])
					}
				}
				if err := client.Close(); err != nil {
					s.Error(err)
				}
			}
		}
	})
}

// A session belongs to the caller who has begun it.
func TestSessionOfAnother(t *testing.T) {
	path, secrets := tokens(t, "pve:read", "pve:read")
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		client := s.connect("2025-11-25", nil, http.Header{"Authorization": {"Bearer " + secrets[0]}})
		r := s.request("tools/list", map[string]any{"_meta": nil}, "Authorization", "Bearer "+secrets[1],
			"Mcp-Session-Id", client.ID(), "Mcp-Protocol-Version", "2025-11-25")
		if resp, body := s.do(r); resp.StatusCode != 403 {
			s.Errorf("%d %s", resp.StatusCode, body)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
	})
}

func TestRate(t *testing.T) {
	path, secrets := tokens(t, "pve:read", "pve:read")
	o := byTokens(t, path)
	o.Rate = 0.5
	visit(t, sim.Options{}, o, func(s *site) {
		ask := func(caller int) (*http.Response, string) {
			return s.do(s.request("tools/list", nil, "Authorization", "Bearer "+secrets[caller]))
		}
		ask(0)
		resp, body := ask(0)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "2" || !strings.Contains(body, "try again in 2 s") {
			s.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
		}
		if resp, _ := ask(1); resp.StatusCode != 200 {
			s.Errorf("another caller: %d", resp.StatusCode)
		}
		time.Sleep(2 * time.Second)
		if resp, body := ask(0); resp.StatusCode != 200 {
			s.Errorf("later: %d %s", resp.StatusCode, body)
		}
	})
}

// What is too much, too slow or garbage is refused, and costs nobody else anything.
func TestLimits(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		r := s.request("tools/list", nil)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", 2<<20))), -1
		resp, err := s.http.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			s.Errorf("a large body: %v %v", resp, err)
		}
		if resp, _ := s.do(s.request("tools/list", nil, "X", strings.Repeat("x", 100<<10))); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			s.Errorf("a large header: %d", resp.StatusCode)
		}
		for _, garbage := range []string{"", "x", "[]", "[1]", "{}", `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":[],"method":"tools/list"}`, strings.Repeat("[", 10000)} {
			r := s.request("tools/list", nil)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(garbage)), int64(len(garbage))
			if resp, body := s.do(r); resp.StatusCode/100 != 4 && resp.StatusCode != http.StatusAccepted {
				s.Errorf("%.20q: %d %s", garbage, resp.StatusCode, body)
			}
		}
		for name, text := range map[string]string{
			"header": "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: ",
			"body":   "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		} {
			conn, err := s.wire.dial(s.Context(), "", "")
			if err != nil {
				s.Fatal(err)
			}
			begun := time.Now()
			if _, err := io.WriteString(conn, text); err != nil {
				s.Fatal(err)
			}
			_, _ = io.ReadAll(conn) // until the server hangs up
			if took := time.Since(begun); took > 40*time.Second {
				s.Errorf("a slow %s was borne for %v", name, took)
			}
			conn.Close()
		}
		if resp, _ := s.do(s.request("tools/list", nil)); resp.StatusCode != 200 {
			s.Errorf("after all that: %d", resp.StatusCode)
		}
	})
}
