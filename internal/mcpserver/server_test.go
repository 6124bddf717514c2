package mcpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// conversation is a client that is connected to the server over a pipe.
type conversation struct {
	*sim.World
	client   *mcp.ClientSession
	progress []*mcp.ProgressNotificationParams
}

// eras are what clients speak: the handshake's last version, and the stateless one.
var eras = []string{"2025-06-18", "2025-11-25", "2026-07-28"}

func converse(t *testing.T, era string, o sim.Options, tell func(*conversation)) {
	t.Helper()
	converseBy(t, era, o, nil, tell)
}

// converseBy is converse with a client that asks its human, where ask is not nil.
func converseBy(t *testing.T, era string, o sim.Options, ask func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error), tell func(*conversation)) {
	t.Helper()
	converseIn(t, era, o, func(*sim.World) {}, ask, tell)
}

// converseIn is converseBy in a world that was prepared.
func converseIn(t *testing.T, era string, o sim.Options, prepare func(*sim.World), ask func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error), tell func(*conversation)) {
	t.Helper()
	converseAbout(t, toolset.Selection{}, era, o, prepare, ask, tell)
}

// converseAbout is converseIn about the tools of a selection.
func converseAbout(t *testing.T, tools toolset.Selection, era string, o sim.Options, prepare func(*sim.World), ask func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error), tell func(*conversation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &conversation{World: sim.New(t, o)}
		prepare(c.World)
		ours, theirs := mcp.NewInMemoryTransports()
		s := mcpserver.New(mcpserver.Options{Version: "test", Host: c.Host, Selection: tools})
		session, err := s.Connect(t.Context(), theirs, nil)
		if err != nil {
			t.Fatal(err)
		}
		client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
				c.progress = append(c.progress, req.Params)
			},
			ElicitationHandler: ask,
		})
		if c.client, err = client.Connect(t.Context(), ours, &mcp.ClientSessionOptions{ProtocolVersion: era}); err != nil {
			t.Fatal(err)
		}
		tell(c)
		if err := errors.Join(c.client.Close(), session.Wait()); err != nil {
			t.Error(err)
		}
	})
}

func (c *conversation) call(name string, args map[string]any) (*mcp.CallToolResult, error) {
	params := &mcp.CallToolParams{Name: name, Arguments: args}
	params.SetProgressToken("p")
	return c.client.CallTool(c.Context(), params)
}

func TestConversation(t *testing.T) {
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			converse(t, era, sim.Options{}, func(c *conversation) {
				list, err := c.client.ListTools(c.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, tool := range list.Tools {
					names = append(names, tool.Name)
				}
				var want []string
				offered, _ := toolset.Offered(toolset.Selection{})
				for _, t := range offered {
					want = append(want, t.Name)
				}
				if diff := cmp.Diff(want, names); diff != "" {
					t.Errorf("tools (-offered +listed):\n%s", diff)
				}

				res, err := c.call("pve_guest_power", map[string]any{"vmid": "102", "action": "shutdown", "wait": 40})
				if err != nil || res.IsError {
					t.Fatalf("%v %+v", err, res)
				}
				if got := res.StructuredContent.(map[string]any)["outcome"]; got != "ok" {
					t.Errorf("outcome %v", got)
				}
				synctest.Wait()
				if len(c.progress) < 5 {
					t.Errorf("%d notifications of progress", len(c.progress))
				}

				res, err = c.call("pve_guest_power", map[string]any{"vmid": 105, "action": "start"})
				if err != nil || !res.IsError {
					t.Fatalf("a task that fails: %v %+v", err, res)
				}
				if got := res.StructuredContent.(map[string]any)["outcome"]; got != "failed" {
					t.Errorf("outcome %v", got)
				}

				var refused *jsonrpc.Error
				if _, err = c.call("pve_nothing", nil); !errors.As(err, &refused) || refused.Code != jsonrpc.CodeInvalidParams {
					t.Errorf("an unknown tool: %v", err)
				}
			})
		})
	}
}

func TestReadOnly(t *testing.T) {
	for _, era := range eras {
		converse(t, era, sim.Options{Policy: policy.Policy{ReadOnly: true}}, func(c *conversation) {
			list, err := c.client.ListTools(c.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, tool := range list.Tools {
				if !tool.Annotations.ReadOnlyHint {
					t.Errorf("%s is offered", tool.Name)
				}
			}
			var refused *jsonrpc.Error
			_, err = c.call("pve_guest_power", map[string]any{"vmid": 104, "action": "stop"})
			if !errors.As(err, &refused) || refused.Code != jsonrpc.CodeInvalidParams || !strings.Contains(refused.Message, "PVE_MCP_READ_ONLY") {
				t.Errorf("a write: %v", err)
			}
			if sent := sim.Writes(c.Sent()); len(sent) > 0 {
				t.Errorf("writes reached the cluster: %v", sent)
			}
		})
	}
}

func TestCancelledCall(t *testing.T) {
	converse(t, "2025-11-25", sim.Options{}, func(c *conversation) {
		ctx, cancel := context.WithTimeout(c.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := c.client.CallTool(ctx, &mcp.CallToolParams{Name: "pve_guest_power", Arguments: map[string]any{"vmid": 106, "action": "shutdown"}})
		if err == nil || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		synctest.Wait() // for the server's last word
	})
}

// What models and clients make of arguments arrives at the tools, in both eras.
func TestArgumentsOfClients(t *testing.T) {
	for _, era := range eras {
		converse(t, era, sim.Options{}, func(c *conversation) {
			for args, says := range map[string]string{
				`null`: `"guests":[{"vmid":100,`,
				`{"fields":"[\"vmid\",\"name\"]","node":"","limit":"","toolCallId":"x","sessionId":"y","action":"sendMessage","chatInput":"z"}`: `"guests":[{"vmid":100,"name":"web-1"},`,
			} {
				res, err := c.client.CallTool(c.Context(), &mcp.CallToolParams{Name: "pve_list_guests", Arguments: json.RawMessage(args)})
				if err != nil || res.IsError || !strings.Contains(res.Content[0].(*mcp.TextContent).Text, says) {
					t.Errorf("%s: %s: %v %+v", era, args, err, res)
				}
			}
		})
	}
}
