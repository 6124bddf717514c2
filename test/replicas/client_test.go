package replicas

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// reply is what came of a request.
type reply struct {
	status int
	id     string // of the request, in the log
	body   string
	result map[string]any
}

const version = "2026-07-28"

// meta is what a client says of itself: it can ask its human, and has extensions.
func meta(extensions map[string]any) map[string]any {
	return map[string]any{
		"io.modelcontextprotocol/protocolVersion":    version,
		"io.modelcontextprotocol/clientCapabilities": map[string]any{"elicitation": map[string]any{"form": map[string]any{}}, "extensions": extensions},
	}
}

// withTasks are parameters of a client that knows tasks.
func withTasks(params map[string]any) map[string]any {
	out := maps.Clone(params)
	out["_meta"] = meta(map[string]any{"io.modelcontextprotocol/tasks": map[string]any{}})
	return out
}

// ask makes a request of the version 2026-07-28, of a client that can ask its human.
func (w *world) ask(method string, params map[string]any) reply {
	w.Helper()
	return w.askAt(w.url, method, params)
}

// askAt asks the server at a URL.
func (w *world) askAt(url, method string, params map[string]any) (a reply) {
	w.Helper()
	all := map[string]any{"_meta": meta(nil)}
	maps.Copy(all, params)
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "method": method, "params": all})
	if err != nil {
		w.Error(err)
		return a
	}
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, url+"/mcp", bytes.NewReader(body))
	if err != nil {
		w.Error(err)
		return a
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + w.token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": version, "Mcp-Method": method,
	} {
		req.Header.Set(k, v)
	}
	for _, key := range []string{"name", "taskId"} {
		if name, ok := params[key].(string); ok {
			req.Header.Set("Mcp-Name", name)
		}
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.Error(err)
		return a
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Error(err)
	}
	a = reply{status: resp.StatusCode, id: resp.Header.Get("X-Request-Id"), body: string(data)}
	for line := range strings.Lines(a.body) {
		var message struct {
			ID     int            `json:"id"`
			Result map[string]any `json:"result"`
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &message) == nil && message.ID == 7 {
			a.result = message.Result
		}
	}
	return a
}

// call are the parameters of a call of a tool.
func call(name string, args map[string]any) map[string]any {
	if args == nil {
		args = map[string]any{}
	}
	return map[string]any{"name": name, "arguments": args}
}

// answer is a call again, with the consent that the human was asked for.
func answer(params, asked map[string]any) map[string]any {
	out := maps.Clone(params)
	out["requestState"] = asked["requestState"]
	responses := map[string]any{}
	questions, _ := asked["inputRequests"].(map[string]any)
	for name := range questions {
		responses[name] = map[string]any{"action": "accept", "content": map[string]any{"confirm": true}}
	}
	out["inputResponses"] = responses
	return out
}

// content is what a tool answered.
func content(result map[string]any) map[string]any {
	structured, _ := result["structuredContent"].(map[string]any)
	return structured
}

// client is a client of a handshake version, with a session.
type client struct {
	*world
	session *mcp.ClientSession

	mu        sync.Mutex
	questions int      // that its human was asked; guarded by mu
	seen      []string // ids of its requests, in the logs; guarded by mu
	status    int      // of its last request; guarded by mu
}

// connect begins a session.
func (w *world) connect() *client {
	w.Helper()
	c := &client{world: w}
	sdk := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.questions++
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"confirm": true}}, nil
		},
	})
	session, err := sdk.Connect(w.Context(), &mcp.StreamableClientTransport{
		Endpoint: w.url + "/mcp", HTTPClient: &http.Client{Transport: c}, DisableStandaloneSSE: true, MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		w.Fatal(err)
	}
	c.session = session
	return c
}

// RoundTrip says who calls, and remembers which request it was.
func (c *client) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Transport.RoundTrip(req)
	if err == nil && req.Method == http.MethodPost {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen, c.status = append(c.seen, resp.Header.Get("X-Request-Id")), resp.StatusCode
	}
	return resp, err
}

// home is the replica that has the session.
func (c *client) home() string {
	name, _, _ := strings.Cut(c.session.ID(), ".")
	return name
}

func (c *client) call(name string, args map[string]any) (map[string]any, error) {
	if args == nil {
		args = map[string]any{}
	}
	res, err := c.session.CallTool(c.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		return nil, err
	}
	out, _ := res.StructuredContent.(map[string]any)
	return out, nil
}
