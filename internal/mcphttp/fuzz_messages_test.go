package mcphttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
)

// heard is what the SDK makes of messages.
type heard struct {
	mu    sync.Mutex
	calls []string // guarded by mu
}

// listen notes each request that the SDK would carry out.
func (h *heard) listen(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		text := method
		if call, ok := req.(*mcp.CallToolRequest); ok {
			text = called(method, call.Params.Name, call.Params.Arguments)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls = append(h.calls, text)
		return next(ctx, method, req)
	}
}

func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.calls
	h.calls = nil
	return all
}

// called is a call of a tool, whose arguments are compared by what they say.
func called(method, name string, arguments json.RawMessage) string {
	var value any
	dec := json.NewDecoder(bytes.NewReader(arguments))
	dec.UseNumber()
	_ = dec.Decode(&value) // none is null
	text, _ := json.Marshal(value)
	return method + " " + name + " " + string(text)
}

// Whatever is sent, what was looked at of it is what the SDK carries out, over HTTP and on
// stdin: no method, tool or argument that was not seen.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","name":null}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","Name":"y","arguments":{"a":1,"A":[1.0,1e400]}}}`,
		`{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"n\u0061me":"x\ud800","arguments":null,"_meta":{"progressToken":1}}}`,
		`{"jsonrpc":"2.0","id":-0,"method":"ping","params":null}`,
		`{"jsonrpc":"2.0","id":1.5,"METHOD":"tools/call","method":"ping"}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"method":"tools/list"}]`,
		`[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}},{"jsonrpc":"2.0","id":3,"error":{"code":1,"message":""}}]`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":"{}","inputResponses":{"a":{}},"requestState":""}}`,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"\xff\",\"n\u017fame\":\"x\"}}\n\ufeff{}",
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}} `,
		`[{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","method":"notifications/x"}]`,
	} {
		f.Add([]byte(seed))
	}
	var sdk heard
	listening := func() *mcp.Server {
		s := mcp.NewServer(&mcp.Implementation{Name: "fuzz", Version: "1"}, &mcp.ServerOptions{Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}})
		s.AddReceivingMiddleware(sdk.listen)
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.Cleanup(cancel)
	handler := mcphttp.Handler(ctx, mcphttp.Options{Server: listening(), SessionsOff: true, Logger: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, body []byte) {
		all, problem := rpc.Read(body)
		var looked []string
		for _, m := range all {
			if m.Method == "tools/call" {
				looked = append(looked, called(m.Method, m.Params.Name, m.Params.Arguments))
				continue
			}
			looked = append(looked, m.Method)
		}
		check := func(way string) {
			for _, done := range sdk.take() {
				at := slices.Index(looked, done)
				if problem != nil || at < 0 {
					t.Errorf("%s: %q was carried out, and %q (%v) was seen, in %q", way, done, looked, problem, body)
				}
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", bytes.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		check("HTTP")
		if bytes.ContainsAny(body, "\r\n") {
			return // several lines, each of which is a message or none
		}
		var out strings.Builder
		if err := mcpserver.Serve(t.Context(), listening(), bytes.NewReader(append(slices.Clone(body), '\n')), &out); err != nil {
			t.Errorf("stdin: %v, of %q", err, body)
		}
		check("stdin")
	})
}
