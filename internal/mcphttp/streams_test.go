package mcphttp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// events are the messages of a stream of events.
func events(s *site, body string) []map[string]any {
	s.Helper()
	var all []map[string]any
	for line := range strings.Lines(body) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			s.Fatalf("%v: %s", err, data)
		}
		all = append(all, m)
	}
	return all
}

// listenInSession begins a session and returns the request for its stream.
func (s *site) listenInSession() *http.Request {
	s.Helper()
	resp, _ := s.do(s.request("initialize", map[string]any{
		"_meta": nil, "protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "x", "version": "1"},
	}, "Mcp-Protocol-Version", "2025-06-18"))
	r := s.request("", nil, "Mcp-Protocol-Version", "2025-06-18", "Mcp-Session-Id", resp.Header.Get("Mcp-Session-Id"))
	r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0
	return r
}

// A client that listens for changes gets an empty acknowledgement first, and then the
// regular end of the stream: it is not held open for nothing, and nobody takes it for
// lost.
func TestListenToNothing(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		begun := time.Now()
		resp, body := s.do(s.request("subscriptions/listen", map[string]any{
			"notifications": map[string]any{"toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": []string{"x://y"}},
		}))
		got := events(s, body)
		if resp.StatusCode != 200 || resp.Header.Get("X-Accel-Buffering") != "no" || len(got) != 2 || time.Since(begun) != 0 {
			s.Fatalf("%d %v after %v: %s", resp.StatusCode, resp.Header, time.Since(begun), body)
		}
		const id = "io.modelcontextprotocol/subscriptionId"
		params, _ := got[0]["params"].(map[string]any)
		agreed, ok := params["notifications"].(map[string]any)
		if got[0]["method"] != "notifications/subscriptions/acknowledged" || !ok || len(agreed) != 0 || params["_meta"].(map[string]any)[id] != 7. {
			s.Errorf("first: %v", got[0])
		}
		result, _ := got[1]["result"].(map[string]any)
		if got[1]["id"] != 7. || result["resultType"] != "complete" || result["_meta"].(map[string]any)[id] != 7. {
			s.Errorf("last: %v", got[1])
		}
	})
}

// The earlier versions have streams that no proxy holds back or takes for dead, too: that
// of a call, and that of a session.
func TestKeepAliveOfSessions(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		s.addTool("slow", func(context.Context) string { time.Sleep(40 * time.Second); return "done" })
		client := s.connect("2025-11-25", nil, nil)
		resp, body := s.do(s.legacyCall(client, "slow", map[string]any{}))
		if resp.Header.Get("X-Accel-Buffering") != "no" || strings.Count(body, ": still here\n\n") != 2 || !strings.Contains(body, "done") {
			s.Errorf("a call: %v %s", resp.Header, body)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}

		resp, err := s.http.Do(s.listenInSession())
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		begun, lines := time.Now(), bufio.NewScanner(resp.Body)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), ":") {
		}
		if resp.Header.Get("X-Accel-Buffering") != "no" || time.Since(begun) > 15*time.Second || lines.Err() != nil {
			s.Errorf("a session: %d %v after %v: %v", resp.StatusCode, resp.Header, time.Since(begun), lines.Err())
		}
	})
}

// How long a list may be kept, and for whom, is said to clients of all versions;
// a list depends on the caller's scopes.
func TestHowLongAListCounts(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		for _, method := range []string{"tools/list", "server/discover"} {
			_, body := s.do(s.request(method, nil))
			result, _ := events(s, body)[0]["result"].(map[string]any)
			if result["ttlMs"] != 300000. || result["cacheScope"] != "private" || result["resultType"] != "complete" {
				s.Errorf("%s: %v %v %v", method, result["ttlMs"], result["cacheScope"], result["resultType"])
			}
		}
		client := s.connect("2025-06-18", nil, nil)
		list, err := client.ListTools(s.Context(), &mcp.ListToolsParams{})
		if err != nil || len(list.Tools) == 0 || list.TTLMs != 300000 || list.CacheScope != "private" {
			s.Errorf("in a session: %v %+v", err, list)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
	})
}
