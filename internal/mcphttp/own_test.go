package mcphttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Two callers' tokens with the same rights, and one with none.
const mine, theirs, nobodys = "ops@pve!mcp", "root@pam!full", "none@pve!mcp"

// visitOwn is visit if each caller brings its own PVE token, with a server that has
// one, and with a server that has none.
func visitOwn(t *testing.T, w sim.Options, tell func(s *site, bearers []string)) {
	t.Helper()
	path, bearers := tokens(t, "pve:destroy", "pve:destroy")
	for _, ofServer := range []bool{true, false} {
		build := func(world *sim.World) mcphttp.Options {
			host := world.Host
			if !ofServer {
				host = toolset.Tokenless("simulated", w.Policy)
			}
			o := byTokens(t, path)
			o.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}
			o.OwnTokens = &mcphttp.OwnTokens{Required: true, Connect: func(token proxmox.Token) (tool.Host, error) {
				return host.WithToken(proxmox.Options{Endpoints: []string{world.Sim.URL()}, Token: token, Transport: world.Sim.Transport()})
			}}
			o.Server = mcpserver.New(mcpserver.Options{Host: host, Replica: "a-1", Selection: toolset.Selection{Toolsets: []string{"core", "tasks"}}, HostOf: func(h http.Header) (tool.Host, error) { return o.OwnTokens.Host(h, host) }})
			return o
		}
		t.Run(fmt.Sprintf("server has a token: %v", ofServer), func(t *testing.T) {
			visitOn(t, w, build, func(s *site) { s.from("10.0.0.7"); tell(s, bearers) })
		})
	}
}

// as says who calls.
func (s *site) as(bearer, own string) http.Header {
	return http.Header{"Authorization": {"Bearer " + bearer}, "X-Pve-Token": {own + "=" + s.Model.Token(own).Secret}}
}

// ask calls a tool, in 2026-07-28 and as somebody who can ask a human, and returns the
// result.
func (s *site) ask(who http.Header, name string, args map[string]any, more map[string]any) (result map[string]any, all string) {
	s.Helper()
	params := map[string]any{"name": name, "arguments": args, "_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities": map[string]any{"elicitation": map[string]any{}},
	}}
	for k, v := range more {
		params[k] = v
	}
	r := s.request("tools/call", params)
	for k, v := range who {
		r.Header[k] = v
	}
	_, body := s.do(r)
	_, data, _ := strings.Cut(body, "data: ")
	var got struct {
		Result map[string]any `json:"result"`
	}
	if err := json.Unmarshal([]byte(data), &got); err != nil || got.Result == nil {
		s.Fatalf("%v: %s", err, body)
	}
	return got.Result, body
}

// What was read for one caller is not shown to another, nor are its tasks.
func TestNothingIsSharedBetweenCallers(t *testing.T) {
	visitOwn(t, sim.Options{}, func(s *site, bearers []string) {
		rich, poor := s.as(bearers[0], mine), s.as(bearers[0], nobodys)
		for range 2 {
			if _, body := s.ask(rich, "pve_list_guests", map[string]any{}, nil); !strings.Contains(body, `\"vmid\":101`) {
				s.Errorf("%s", body)
			}
			if _, body := s.ask(poor, "pve_list_guests", map[string]any{}, nil); !strings.Contains(body, `"guests":[]`) {
				s.Errorf("guests of another: %s", body)
			}
			if res, body := s.ask(rich, "pve_guest_status", map[string]any{"vmid": 101}, nil); res["isError"] == true {
				s.Errorf("%s", body)
			}
			if res, body := s.ask(poor, "pve_guest_status", map[string]any{"vmid": 101}, nil); res["isError"] != true {
				s.Errorf("a guest of another: %s", body)
			}
		}
		started, body := s.ask(rich, "pve_clone_guest", map[string]any{"vmid": 900, "newid": 777, "wait": 0}, nil)
		upid, _ := started["structuredContent"].(map[string]any)["upid"].(string)
		if upid == "" {
			s.Fatal(body)
		}
		if _, body := s.ask(rich, "pve_list_tasks", map[string]any{}, nil); !strings.Contains(body, upid) {
			s.Errorf("%s", body)
		}
		if _, body := s.ask(poor, "pve_list_tasks", map[string]any{}, nil); strings.Contains(body, upid) {
			s.Errorf("tasks of another: %s", body)
		}
		if res, body := s.ask(poor, "pve_task_status", map[string]any{"upid": upid}, nil); res["isError"] != true || strings.Contains(body, "777") {
			s.Errorf("a task of another: %s", body)
		}
		if res, body := s.ask(poor, "pve_stop_task", map[string]any{"upid": upid}, nil); res["isError"] != true {
			s.Errorf("a task of another was stopped: %s", body)
		}
		if _, body := s.ask(rich, "pve_task_status", map[string]any{"upid": upid, "wait": 45}, nil); !strings.Contains(body, "OK") {
			s.Errorf("%s", body)
		}
	})
}

// An MCP task is followed and cancelled by the caller alone that has begun it: by its
// bearer token, with its PVE token.
func TestMCPTaskOfAnother(t *testing.T) {
	visitOwn(t, sim.Options{}, func(s *site, bearers []string) {
		about := func(who http.Header, method string, params map[string]any) (int, map[string]any) {
			params["_meta"] = declared
			r := s.request(method, params)
			for k, v := range who {
				r.Header[k] = v
			}
			if id, ok := params["taskId"].(string); ok {
				r.Header.Set("Mcp-Name", id)
			}
			return s.asked(r)
		}
		me := s.as(bearers[0], mine)
		_, task := about(me, "tools/call", map[string]any{"name": "pve_guest_power", "arguments": map[string]any{"vmid": 102, "action": "shutdown"}})
		if task["taskId"] == nil {
			s.Fatal(task)
		}
		for name, who := range map[string]http.Header{"another bearer token": s.as(bearers[1], mine), "another PVE token": s.as(bearers[0], theirs)} {
			for _, method := range []string{mcptask.MethodGet, mcptask.MethodCancel} {
				if status, got := about(who, method, map[string]any{"taskId": task["taskId"]}); status != 400 || got["code"] != -32602. {
					s.Errorf("%s, %s: %d %v", name, method, status, got)
				}
			}
		}
		time.Sleep(time.Minute)
		if status, got := about(me, mcptask.MethodGet, map[string]any{"taskId": task["taskId"]}); status != 200 || got["status"] != "completed" {
			s.Errorf("its own: %d %v", status, got)
		}
	})
}

// A human's answer counts for the caller alone for whom it was asked: for its bearer
// token, and for its PVE token.
func TestConsentOfAnother(t *testing.T) {
	visitOwn(t, sim.Options{}, func(s *site, bearers []string) {
		deletion := map[string]any{"vmid": 204}
		asked, body := s.ask(s.as(bearers[0], mine), "pve_delete_guest", deletion, nil)
		if asked["requestState"] == nil {
			s.Fatal(body)
		}
		answer := map[string]any{
			"requestState":   asked["requestState"],
			"inputResponses": map[string]any{"consent": map[string]any{"action": "accept", "content": map[string]any{"name": "204"}}},
		}
		before := len(s.Sim.Requests())
		for name, who := range map[string]http.Header{
			"another bearer token": s.as(bearers[1], mine), "another PVE token": s.as(bearers[0], theirs), "both": s.as(bearers[1], theirs),
		} {
			res, body := s.ask(who, "pve_delete_guest", deletion, answer)
			if fields, _ := res["structuredContent"].(map[string]any); fields["outcome"] != "needs_confirmation" || !strings.Contains(body, "does not count") {
				s.Errorf("%s: %s", name, body)
			}
		}
		for _, r := range s.Sim.Requests()[before:] {
			if r.Method != http.MethodGet {
				s.Errorf("%s %s was sent", r.Method, r.Endpoint)
			}
		}
		if _, body := s.ask(s.as(bearers[0], mine), "pve_delete_guest", deletion, answer); !strings.Contains(body, `\"outcome\":\"ok\"`) {
			s.Errorf("its own: %s", body)
		}
	})
}

// A session belongs to the PVE token that has begun it, so that nobody else can answer a
// question that is asked in it.
func TestSessionOfAnotherPVEToken(t *testing.T) {
	visitOwn(t, sim.Options{}, func(s *site, bearers []string) {
		client := s.connect("2025-11-25", nil, s.as(bearers[0], mine))
		if _, err := client.ListTools(s.Context(), nil); err != nil {
			s.Fatal(err)
		}
		if !strings.HasPrefix(client.ID(), "a-1.") {
			s.Errorf("the id is %q", client.ID())
		}
		const ofAnotherProcess = "a-1.ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123456789abcdef0123456789abcdef"
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			for _, tt := range []struct{ id, own string }{
				{client.ID(), theirs}, {client.ID(), nobodys}, {ofAnotherProcess, mine}, {"none", mine}, {".", mine},
			} {
				r := s.request("tools/list", map[string]any{"_meta": nil}, "Mcp-Session-Id", tt.id, "Mcp-Protocol-Version", "2025-11-25")
				r.Method = method
				for k, v := range s.as(bearers[0], tt.own) {
					r.Header[k] = v
				}
				if resp, body := s.do(r); resp.StatusCode != 404 {
					s.Errorf("%s of %s as %s: %d %s", method, tt.id, tt.own, resp.StatusCode, body)
				}
			}
		}
		if _, err := client.CallTool(s.Context(), &mcp.CallToolParams{Name: "pve_list_nodes"}); err != nil {
			s.Errorf("its own: %v", err)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
	})
}

// Rules about guests hold with the caller's token if the server has none, and what that
// may not see is refused.
func TestRulesWithCallersTokens(t *testing.T) {
	w := sim.Options{
		Model:  sim.Cluster(sim.Grant("/vms/101", "PVEVMUser")),
		Policy: policy.Policy{Protect: policy.Rules{{Tag: "db"}, {Pool: "web"}}},
	}
	visitOwn(t, w, func(s *site, bearers []string) {
		for _, tt := range []struct {
			own, says string
			vmid      int
		}{
			{mine, "guest 103 is protected (PVE_MCP_PROTECT: tag:db)", 103},
			{mine, "guest 100 is protected (PVE_MCP_PROTECT: pool:web)", 100},
			{nobodys, "protected", 101}, // it may not see the pool: by whose token it is found
		} {
			res, body := s.ask(s.as(bearers[0], tt.own), "pve_guest_power", map[string]any{"vmid": tt.vmid, "action": "reboot"}, nil)
			if res["isError"] != true || !strings.Contains(body, tt.says) {
				s.Errorf("%s, %d: %s", tt.own, tt.vmid, body)
			}
		}
	})
}
