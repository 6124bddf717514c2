package mcphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// Without sessions, each request of a handshake client may go to another replica. Its
// human cannot be asked: where only that one's consent counts, nothing is lost, else
// confirm: true is wanted.
func TestHandshakeWithoutSessions(t *testing.T) {
	for confirm, want := range map[policy.Confirm][]any{
		policy.Auto:  {"needs_confirmation", "ok"},
		policy.Human: {"failed", "failed"},
	} {
		build := func(w *sim.World) mcphttp.Options {
			return mcphttp.Options{Server: mcpserver.New(mcpserver.Options{Host: w.Host}), SessionsOff: true}
		}
		for _, era := range eras[:2] {
			visitOn(t, sim.Options{Policy: policy.Policy{Confirm: confirm}}, build, func(s *site) {
				other := open(s.World, build(s.World.As("ops@pve!mcp")))
				one := s.http
				s.http = &http.Client{Transport: &inTurn{to: []http.RoundTripper{one.Transport, other.http.Transport}}}
				client := s.connect(era, &mcp.ClientOptions{
					ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
						return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"confirm": true}}, nil
					},
				}, nil)
				if id := client.ID(); id != "" {
					s.Errorf("%s: there is a session %s", era, id)
				}
				var got []any
				for _, confirmed := range []bool{false, true} {
					res, err := client.CallTool(s.Context(), &mcp.CallToolParams{Name: "pve_delete_snapshot", Arguments: map[string]any{
						"vmid": 102, "snapname": "before-upgrade", "wait": 45, "confirm": confirmed,
					}})
					if err != nil {
						s.Fatal(err)
					}
					got = append(got, res.StructuredContent.(map[string]any)["outcome"])
				}
				list, err := client.CallTool(s.Context(), &mcp.CallToolParams{Name: "pve_list_snapshots", Arguments: map[string]any{"vmid": 102}})
				if err != nil {
					s.Fatal(err)
				}
				if kept := strings.Contains(fmt.Sprint(list.StructuredContent), "before-upgrade"); kept != (confirm == policy.Human) {
					s.Errorf("%s, %q: is the snapshot there? %v", era, confirm, kept)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					s.Errorf("%s, %q (-want +got):\n%s", era, confirm, diff)
				}
				if err := client.Close(); err != nil {
					s.Error(err)
				}
				one.CloseIdleConnections()
				other.http.CloseIdleConnections()
				if err := other.stop(); err != nil {
					s.Error(err)
				}
			})
		}
	}
}

// The id of a session tells a proxy which replica has it.
func TestSessionsNameTheirReplica(t *testing.T) {
	build := func(w *sim.World) mcphttp.Options {
		return mcphttp.Options{Server: mcpserver.New(mcpserver.Options{Host: w.Host, Replica: "a-1"})}
	}
	visitOn(t, sim.Options{}, build, func(s *site) {
		client := s.connect("2025-11-25", nil, nil)
		name, rest, _ := strings.Cut(client.ID(), ".")
		if name != "a-1" || len(rest) < 26 {
			s.Errorf("the id is %q", client.ID())
		}
		if _, err := client.ListTools(s.Context(), nil); err != nil {
			s.Error(err)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
	})
}

// A request before a session has begun gets a JSON-RPC error that says to begin one.
func TestBeforeInitialize(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		for method, want := range map[string]string{
			"tools/list": `{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"there is no session yet: send initialize first`,
			"tools/call": `"id":7,"error":{"code":-32600,`,
			"ping":       `"id":7,"result":{}`,
		} {
			resp, body := s.do(s.request(method, map[string]any{"_meta": nil, "name": "pve_list_nodes"}, "Mcp-Protocol-Version", "2025-11-25"))
			if !strings.Contains(body, want) || (resp.StatusCode == http.StatusBadRequest) != (method != "ping") {
				s.Errorf("%s: %d %s", method, resp.StatusCode, body)
			}
		}
	})
}
