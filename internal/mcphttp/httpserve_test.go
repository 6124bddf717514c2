package mcphttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

func TestBothErasOnOnePath(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		for i, era := range eras {
			progress := 0
			client := s.connect(era, &mcp.ClientOptions{
				ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { progress++ },
				ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					if !strings.Contains(req.Params.Message, "snapshot") {
						s.Errorf("%s: asked %q", era, req.Params.Message)
					}
					return &mcp.ElicitResult{Action: "decline"}, nil
				},
			}, nil)
			list, err := client.ListTools(s.Context(), nil)
			if offered, _ := toolset.Offered(toolset.Selection{}); err != nil || len(list.Tools) != len(offered) {
				s.Fatalf("%s: %v %v", era, list, err)
			}
			params := &mcp.CallToolParams{Name: "pve_guest_power", Arguments: map[string]any{"vmid": 101 + i, "action": "reboot", "wait": 40}}
			params.SetProgressToken("p")
			res, err := client.CallTool(s.Context(), params)
			synctest.Wait()
			if err != nil || res.IsError || progress == 0 {
				s.Errorf("%s: %v %+v, %d notifications of progress", era, err, res, progress)
			}
			if res, err = client.CallTool(s.Context(), &mcp.CallToolParams{
				Name: "pve_delete_snapshot", Arguments: map[string]any{"vmid": 102, "snapname": "before-upgrade"},
			}); err != nil || fmt.Sprint(res.StructuredContent.(map[string]any)["outcome"]) != "declined" {
				s.Errorf("%s: a human who declines: %v %+v", era, err, res)
			}
			if err := client.Close(); err != nil {
				s.Error(err)
			}
		}
	})
}

// changing is a server whose list of tools changes, as ours does not.
func changing() *mcp.Server {
	return mcp.NewServer(&mcp.Implementation{Name: "changing", Version: "1"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{ListChanged: true}},
	})
}

// A stream says that no proxy may hold it back, and that it is alive, also before its
// first event.
func TestKeepAlive(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{Server: changing()}, func(s *site) {
		s.addTool("slow", func(context.Context) string { time.Sleep(40 * time.Second); return "done" })
		resp, body := s.do(s.toolCall("slow", nil))
		if resp.Header.Get("X-Accel-Buffering") != "no" || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Request-Id") == "" {
			s.Errorf("%v", resp.Header)
		}
		if strings.Count(body, ": still here\n\n") != 2 || !strings.Contains(body, "done") {
			s.Errorf("%s", body)
		}
		begun := time.Now()
		resp, err := s.http.Do(s.request("subscriptions/listen", map[string]any{"notifications": map[string]any{"toolsListChanged": true}}))
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		comments := 0
		for comments < 3 && lines.Scan() {
			if strings.HasPrefix(lines.Text(), ":") {
				comments++
			}
		}
		if took := time.Since(begun); comments < 3 || took != 45*time.Second {
			s.Errorf("%d comments in %v: %v", comments, took, lines.Err())
		}
		s.server.RemoveTools("slow")
		for lines.Scan() && !strings.Contains(lines.Text(), "notifications/tools/list_changed") {
		}
		if lines.Err() != nil {
			s.Error(lines.Err())
		}
	})
}

// addTool adds a tool that only tests have.
func (s *site) addTool(name string, run func(context.Context) string) {
	s.server.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}},
		func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: run(ctx)}}}, nil
		})
}

// A comment that went first does not spoil an answer that is no event.
func TestErrorAfterComment(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		s.addTool("slow", func(context.Context) string { time.Sleep(time.Minute); panic("slow bug") })
		resp, body := s.do(s.toolCall("slow", nil))
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(body, ": still here\n\n") || !strings.Contains(body, `data: {"jsonrpc":"2.0","id":7,"error":{"code":-32603`) {
			s.Errorf("%d %q", resp.StatusCode, body)
		}
	})
}

func TestPanicCostsItsCallAlone(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		s.addTool("broken", func(context.Context) string { panic("a bug") })
		for range 2 {
			if _, body := s.do(s.toolCall("broken", nil)); !strings.Contains(body, "bug in pve-mcp") || strings.Contains(body, "a bug\"") {
				s.Errorf("%s", body)
			}
		}
		if _, body := s.do(s.toolCall("pve_list_nodes", nil)); !strings.Contains(body, `"nodes":[`) {
			s.Errorf("%s", body)
		}
	})
}

// In 2026-07-28 the end of the connection is the end of the call.
func TestClientGoesAway(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		cancelled := false
		s.addTool("waits", func(ctx context.Context) string { <-ctx.Done(); cancelled = true; return "" })
		ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
		defer cancel()
		resp, err := s.http.Do(s.toolCall("waits", nil).WithContext(ctx))
		if err == nil {
			_, err = bufio.NewReader(resp.Body).ReadString('x')
			resp.Body.Close()
		}
		synctest.Wait()
		if !errors.Is(err, context.DeadlineExceeded) || !cancelled {
			s.Errorf("%v, cancelled %v", err, cancelled)
		}
	})
}

// Told to stop, the server lets calls end; those that take too long are cancelled and
// answer what is known. Nobody waits for streams without an end.
func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		work, drain, took time.Duration
		answer            string
	}{
		{20 * time.Second, 30 * time.Second, 20 * time.Second, "done"},
		{time.Hour, 30 * time.Second, 30 * time.Second, "cancelled"},
	} {
		visit(t, sim.Options{}, mcphttp.Options{Server: changing(), Drain: tt.drain}, func(s *site) {
			s.addTool("work", func(ctx context.Context) string {
				select {
				case <-time.After(tt.work):
					return "done"
				case <-ctx.Done():
					return "cancelled"
				}
			})
			listening, err := s.http.Do(s.request("subscriptions/listen", map[string]any{"notifications": map[string]any{"toolsListChanged": true}}))
			if err != nil {
				s.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, listening.Body); listening.Body.Close() }()
			answers := make(chan string)
			for _, era := range []string{"2025-11-25", "2026-07-28"} {
				client := s.connect(era, nil, nil)
				go func() {
					defer func() { _ = client.Close() }() // nobody may be there to hear of it
					res, err := client.CallTool(s.Context(), &mcp.CallToolParams{Name: "work"})
					if err != nil {
						answers <- err.Error()
						return
					}
					answers <- res.Content[0].(*mcp.TextContent).Text
				}()
			}
			synctest.Wait()
			begun := time.Now()
			ended := make(chan error)
			go func() { ended <- s.stop() }()
			for range 2 {
				if got := <-answers; got != tt.answer {
					s.Errorf("answer %q, want %q", got, tt.answer)
				}
			}
			if err := <-ended; err != nil {
				s.Error(err)
			}
			if took := time.Since(begun); took < tt.took || took > tt.took+time.Second {
				s.Errorf("took %v, want %v", took, tt.took)
			}
		})
	}
}

func TestStrangersAreKeptOut(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		err = mcphttp.Serve(t.Context(), l, mcphttp.Options{Server: mcpserver.New(mcpserver.Options{})})
		if err == nil || !strings.Contains(err.Error(), "PVE_MCP_HTTP_TOKENS") {
			t.Errorf("%s: %v", addr, err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s is still open: %v", addr, err)
		}
	}
}

func TestHealth(t *testing.T) {
	asked := 0
	var broken error
	o := mcphttp.Options{Ready: func(context.Context) error { asked++; return broken }}
	visit(t, sim.Options{}, o, func(s *site) {
		for _, tt := range []struct {
			path, body string
			status     int
		}{
			{"/healthz", "alive\n", 200}, {"/readyz", "ready\n", 200}, {"/", "404 page not found\n", 404},
		} {
			for range 3 {
				if resp, body := s.get(tt.path, "Host", "10.1.2.3"); resp.StatusCode != tt.status || body != tt.body {
					s.Errorf("%s: %d %q", tt.path, resp.StatusCode, body)
				}
			}
		}
		if asked != 1 {
			s.Errorf("PVE was asked %d times", asked)
		}
		broken = errors.New("the secret cause")
		time.Sleep(6 * time.Second)
		if resp, body := s.get("/readyz"); resp.StatusCode != 503 || body != "not ready\n" {
			s.Errorf("%d %q", resp.StatusCode, body)
		}
	})
}
