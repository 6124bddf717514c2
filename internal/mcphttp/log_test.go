package mcphttp_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// logbook is a log that is read while it is written.
type logbook struct{ kept }

// take returns the lines since it was called last.
func (l *logbook) take(s *site) (lines []map[string]any) {
	s.Helper()
	for line := range strings.Lines(l.kept.take()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			s.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// visitLogged lets tell talk to a server for the callers in a file of tokens, whose log and
// traces are kept.
func visitLogged(t *testing.T, path string, tell func(*site, *logbook)) {
	t.Helper()
	book := &logbook{}
	logger := telemetry.NewLogger(telemetry.LogOptions{JSON: true, Level: slog.LevelDebug}, book)
	observer := telemetry.New(logger, "test", func(string) string { return "" })
	build := func(w *sim.World) mcphttp.Options {
		o := byTokens(t, path)
		o.Logger, o.Server = logger, mcpserver.New(mcpserver.Options{Host: w.Host})
		o.Server.AddReceivingMiddleware(observer.Requests)
		return o
	}
	visitOn(t, sim.Options{Wire: observer.Transport}, build, func(s *site) { tell(s, book) })
}

const (
	byMeta   = "00-11111111111111111111111111111111-1111111111111111-01"
	byHeader = "00-22222222222222222222222222222222-2222222222222222-01"
)

// Every line of a request has its id and its place in a trace: that of its _meta, or that
// of the header. PVE hears of neither.
func TestLinesOfARequest(t *testing.T) {
	path, secrets := tokens(t, "pve:destroy")
	book := &logbook{}
	logger := telemetry.NewLogger(telemetry.LogOptions{JSON: true, Level: slog.LevelDebug}, book)
	observer := telemetry.New(logger, "test", func(string) string { return "" })
	told := func(_ *sim.World, r *http.Request) {
		if h := r.Header; h.Get("Traceparent")+h.Get("Tracestate")+h.Get("X-Request-Id") != "" {
			t.Errorf("PVE was sent %v", h)
		}
	}
	build := func(w *sim.World) mcphttp.Options {
		w.Host.Audit, w.Host.Logger, w.Host.Trace = w.Record(audit.Options{Logger: logger}), logger, observer.Tool
		o := byTokens(t, path)
		o.Logger, o.Server = logger, mcpserver.New(mcpserver.Options{Host: w.Host, Logger: telemetry.Quiet(logger)})
		o.Server.AddReceivingMiddleware(observer.Requests)
		return o
	}
	visitOn(t, sim.Options{Wire: observer.Transport, Before: told}, build, func(s *site) {
		synctest.Wait()
		book.take(s) // that it serves
		for _, tt := range []struct {
			meta, header string
			trace        any
		}{
			{byMeta, byHeader, strings.Repeat("1", 32)},
			{"", byHeader, strings.Repeat("2", 32)},
			{"00-nonsense", byHeader, strings.Repeat("2", 32)},
			{"", "", nil},
		} {
			args := map[string]any{"vmid": 101, "action": "reboot", "wait": 45}
			params := map[string]any{"name": "pve_guest_power", "arguments": args, "_meta": map[string]any{
				"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{},
				"traceparent": tt.meta,
			}}
			r := s.request("tools/call", params, "Authorization", "Bearer "+secrets[0], "X-Request-Id", "made up")
			if tt.header != "" {
				r.Header.Set("Traceparent", tt.header)
			}
			resp, body := s.do(r)
			if !strings.Contains(body, `"outcome":"ok"`) {
				s.Fatal(body)
			}
			kinds := map[any]int{}
			for _, line := range book.take(s) {
				kinds[line["msg"]]++
				if line["request_id"] != resp.Header.Get("X-Request-Id") || line["trace_id"] != tt.trace {
					s.Errorf("%+v: request %s has the line %v", tt, resp.Header.Get("X-Request-Id"), line)
				}
				if text, _ := json.Marshal(line); strings.Contains(string(text), secrets[0]) {
					s.Errorf("a secret: %s", text)
				}
			}
			for _, kind := range []string{"request", "mcp", "pve", "change begins", "change ended"} {
				if kinds[kind] == 0 {
					s.Errorf("no line %q: %v", kind, kinds)
				}
			}
		}
	})
}

// Requests of the handshake versions have their ids too, and one that is refused.
func TestLinesOfOtherRequests(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	visitLogged(t, path, func(s *site, book *logbook) {
		client := s.connect("2025-11-25", nil, http.Header{"Authorization": {"Bearer " + secrets[0]}})
		if _, err := client.ListTools(s.Context(), nil); err != nil {
			s.Fatal(err)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
		s.do(s.request("tools/list", nil, "Authorization", "Bearer wrong"))
		ids, mcp := map[any]bool{}, 0
		for _, line := range book.take(s) {
			switch line["msg"] {
			case "request":
				ids[line["request_id"]] = true
			case "mcp":
				mcp++
			}
		}
		if len(ids) < 4 || ids[nil] || mcp < 3 {
			s.Errorf("%d requests over HTTP, %d of MCP", len(ids), mcp)
		}
	})
}

// A line names the client that a trusted proxy tells, and no header makes it long.
func TestLinesOfClients(t *testing.T) {
	path, _ := tokens(t, "pve:read")
	book := &logbook{}
	logger := telemetry.NewLogger(telemetry.LogOptions{JSON: true}, book)
	build := func(w *sim.World) mcphttp.Options {
		o := byTokens(t, path)
		o.Logger, o.Proxies = logger, []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}
		o.Server = mcpserver.New(mcpserver.Options{Host: w.Host})
		return o
	}
	visitOn(t, sim.Options{}, build, func(s *site) {
		long := strings.Repeat("x", 7<<10)
		state := "a=" + strings.Repeat("x", 250)
		for i := range 25 {
			state += fmt.Sprintf(",a%d=%s", i, strings.Repeat("x", 250))
		}
		for remote, want := range map[string]string{"10.0.0.7": "2001:db8::1", "10.0.0.8": "10.0.0.8"} {
			s.from(remote)
			synctest.Wait()
			book.take(s)
			s.do(s.request("tools/list", nil, "Authorization", "Bearer wrong", "X-Forwarded-For", "2001:db8::1",
				"Mcp-Method", long, "Traceparent", byHeader, "Tracestate", state, "X-Request-Id", long))
			for _, line := range book.take(s) {
				text, err := json.Marshal(line)
				if line["from"] != want || err != nil || len(text) > 2<<10 {
					s.Errorf("%d bytes from %v, want %s: %.300s", len(text), line["from"], want, text)
				}
			}
		}
	})
}

// The log of requests says what was asked, also of clients that do not say so in a header,
// and no more of what they make up than its length allows.
func TestRequestsAreNamedByTheirBody(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	visitLogged(t, path, func(s *site, book *logbook) {
		bearer := "Bearer " + secrets[0]
		legacy := []string{"Mcp-Protocol-Version", "2025-06-18", "Mcp-Method", "lies", "Authorization", bearer}
		legacy = append(legacy, "Mcp-Session-Id", s.hello(bearer))
		call := func(name string) *http.Request {
			return s.request("tools/call", map[string]any{"name": name, "arguments": map[string]any{"vmid": 101, "action": "stop"}, "_meta": nil}, legacy...)
		}
		for _, tt := range []struct {
			r                    *http.Request
			method, tool, status string
		}{
			{call("pve_guest_status"), "tools/call", "pve_guest_status", "200"},
			{call("made up"), "tools/call", "unknown", "200"},
			{call("pve_guest_power"), "tools/call", "pve_guest_power", "403"},
			{s.request(strings.Repeat("y", 500), nil, legacy...), render.Text(strings.Repeat("y", 500), 100), "", "400"},
			{s.request("tools/list", nil, "Authorization", "Bearer x"), "tools/list", "", "401"},
		} {
			book.take(s)
			s.do(tt.r)
			synctest.Wait()
			var got []string
			for _, line := range book.take(s) {
				if line["msg"] == "request" {
					got = append(got, fmt.Sprint(line["mcp_method"], line["tool"], line["status"]))
				}
			}
			if want := fmt.Sprint([]string{fmt.Sprint(tt.method, tt.tool, tt.status)}); fmt.Sprint(got) != want {
				s.Errorf("%v, want %s", got, want)
			}
		}
	})
}
