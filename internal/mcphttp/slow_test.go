package mcphttp_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// Nobody holds a connection by sending slowly, wherever and whatever it is, and whether it
// would be let in or not. What has arrived is answered.
func TestSlowRequests(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	const host, rest = " HTTP/1.1\r\nHost: localhost\r\n", "Content-Length: 100\r\n\r\n{"
	right := "Authorization: Bearer " + secrets[0] + "\r\n"
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		for name, text := range map[string]string{
			"half a line":      "POST /mc",
			"half a header":    "POST /mcp" + host + "X: ",
			"nothing":          "",
			"no token":         "POST /mcp" + host + rest,
			"a wrong token":    "POST /mcp" + host + "Authorization: Bearer x\r\n" + rest,
			"a right token":    "POST /mcp" + host + right + rest,
			"a wrong name":     "POST /mcp HTTP/1.1\r\nHost: evil.example\r\n" + rest,
			"chunks":           "POST /mcp" + host + right + "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
			"a GET":            "GET /mcp" + host + right + "Accept: text/event-stream\r\n" + rest,
			"a DELETE":         "DELETE /mcp" + host + right + rest,
			"a look at health": "GET /healthz" + host + rest,
			"a path of nobody": "POST /nothing" + host + rest,
			"a wrong method":   "PUT /healthz" + host + rest,
		} {
			conn, err := s.wire.dial(s.Context(), "", "")
			if err != nil {
				s.Fatal(err)
			}
			begun := time.Now()
			if err := conn.SetReadDeadline(begun.Add(time.Hour)); err != nil {
				s.Fatal(err)
			}
			go func() { _, _ = io.WriteString(conn, text) }()
			answer, err := io.ReadAll(conn)
			if took := time.Since(begun); err != nil || took > 40*time.Second {
				s.Errorf("%s was borne for %v: %v", name, took, err)
			}
			if status := strings.SplitN(string(answer)+"   ", " ", 3)[1]; strings.HasPrefix(status, "5") {
				s.Errorf("%s: %s", name, answer)
			}
			conn.Close()
		}
		if resp, _ := s.do(s.request("tools/list", nil, "Authorization", "Bearer "+secrets[0])); resp.StatusCode != 200 {
			s.Errorf("after all that: %d", resp.StatusCode)
		}
	})
}

// Nobody holds a connection by not taking its answer, wherever that is from.
func TestAnswersNobodyTakes(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	const host = " HTTP/1.1\r\nHost: localhost\r\n"
	right := "Authorization: Bearer " + secrets[0] + "\r\n"
	o := byTokens(t, path)
	o.Metrics = &mcphttp.Metrics{}
	visit(t, sim.Options{}, o, func(s *site) {
		for name, text := range map[string]string{
			"a look at health":        "GET /healthz" + host + "\r\n",
			"one whether it is ready": "GET /readyz" + host + "\r\n",
			"a path of nobody":        "GET /nothing" + host + "\r\n",
			"a long redirect":         "GET //" + strings.Repeat("x", 12<<10) + host + "\r\n",
			"a wrong method":          "PUT /healthz" + host + "\r\n",
			"no token":                "POST /mcp" + host + "\r\n",
			"the metrics":             "GET /metrics" + host + right + "\r\n",
			"a right token":           "POST /mcp" + host + right + "Content-Length: 1\r\n\r\n{",
			"a GET":                   "GET /mcp" + host + right + "Accept: text/event-stream\r\n\r\n",
			"a notification":          "POST /mcp" + host + right + note,
		} {
			conn, err := s.wire.dial(s.Context(), "", "")
			if err != nil {
				s.Fatal(err)
			}
			if _, err := io.WriteString(conn, text); err != nil {
				s.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err = conn.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
				_, err = io.WriteString(conn, "GET")
			}
			if !errors.Is(err, io.ErrClosedPipe) {
				s.Errorf("%s: the connection is kept: %v", name, err)
			}
			conn.Close()
		}
	})
}

// note is the rest of a request with a message that is answered without a body.
const note = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2026-07-28\r\n" +
	"Mcp-Method: notifications/initialized\r\nContent-Length: 54\r\n\r\n" + `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// The time for a request does not count for a stream that follows it.
func TestStreamsOutliveTheTimeForTheirRequest(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{Server: changing()}, func(s *site) {
		listen := s.request("subscriptions/listen", map[string]any{"notifications": map[string]any{"toolsListChanged": true}})
		for name, r := range map[string]*http.Request{"subscriptions/listen": listen, "GET": s.listenInSession()} {
			resp, err := s.http.Do(r)
			if err != nil {
				s.Fatal(err)
			}
			ended := time.AfterFunc(5*time.Minute, func() { resp.Body.Close() })
			begun := time.Now()
			_, _ = io.Copy(io.Discard, resp.Body)
			if took := time.Since(begun); took < 5*time.Minute {
				s.Errorf("%s ended after %v", name, took)
			}
			ended.Stop()
		}
	})
}
