package mcphttp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// inTurn sends each request to the next of several servers.
type inTurn struct {
	to   []http.RoundTripper
	next int
}

func (r *inTurn) RoundTrip(req *http.Request) (*http.Response, error) {
	r.next++
	return r.to[r.next%len(r.to)].RoundTrip(req)
}

// A client of 2026-07-28 needs no replica twice: not for the tasks that it starts, and not
// for the answer of its human, if they share a store.
func TestReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sim.New(t, sim.Options{})
		turn := &inTurn{}
		used, err := once.OpenFolder(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		var sites []*site
		for range 3 {
			replica := world.As("ops@pve!mcp")
			replica.Host.Recent = &cluster.RecentChanges{} // a process of its own has nothing of another
			replica.Host.Used = once.NewLedger(used)
			s := open(replica, mcphttp.Options{Server: mcpserver.New(mcpserver.Options{Version: "test", Host: replica.Host})})
			sites, turn.to = append(sites, s), append(turn.to, s.http.Transport)
		}
		front := &site{World: world, http: &http.Client{Transport: turn}}
		client := front.connect("2026-07-28", &mcp.ClientOptions{
			ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"confirm": true}}, nil
			},
		}, nil)
		call := func(name string, args map[string]any) map[string]any {
			t.Helper()
			res, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
			if err != nil {
				t.Fatal(err)
			}
			return res.StructuredContent.(map[string]any)
		}
		offered, _ := toolset.Offered(toolset.Selection{})
		if list, err := client.ListTools(t.Context(), nil); err != nil || len(list.Tools) != len(offered) {
			t.Errorf("%v %v", list, err)
		}
		clone := call("pve_clone_guest", map[string]any{"vmid": 900, "newid": 777, "wait": 0})
		if clone["outcome"] != "running" {
			t.Errorf("%v", clone)
		}
		if task := call("pve_task_status", map[string]any{"upid": clone["upid"], "wait": 45}); !strings.Contains(fmt.Sprint(task), "OK") {
			t.Errorf("%v", task)
		}
		before := turn.next
		if gone := call("pve_delete_snapshot", map[string]any{"vmid": 102, "snapname": "before-upgrade", "wait": 45}); gone["outcome"] != "ok" {
			t.Errorf("%v", gone)
		}
		if turn.next-before != 2 {
			t.Errorf("the question and its answer took %d requests", turn.next-before)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range sites {
			s.http.CloseIdleConnections()
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// With a token of its own a caller sees what PVE lets it see, and is named in the record;
// it must not come in the clear.
func TestOwnTokens(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	certify(t, cert, key, 1)
	config, err := mcphttp.TLS(files.At(cert), files.At(key))
	if err != nil {
		t.Fatal(err)
	}
	path, secrets := tokens(t, "pve:destroy")
	for _, encrypted := range []bool{true, false} {
		build := func(w *sim.World) mcphttp.Options {
			o := byTokens(t, path)
			if encrypted {
				o.TLS = config
			}
			o.OwnTokens = &mcphttp.OwnTokens{Required: true, Connect: func(token proxmox.Token) (tool.Host, error) {
				return w.Host.WithToken(proxmox.Options{Endpoints: []string{w.Sim.URL()}, Token: token, Transport: w.Sim.Transport()})
			}}
			o.Server = mcpserver.New(mcpserver.Options{Host: w.Host, HostOf: func(h http.Header) (tool.Host, error) { return o.OwnTokens.Host(h, w.Host) }})
			return o
		}
		visitOn(t, sim.Options{}, build, func(s *site) {
			s.http.Transport = &http.Transport{DialContext: s.wire.dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			ask := func(own string) (int, string) {
				r := s.toolCall("pve_guest_power", map[string]any{"vmid": 101, "action": "reboot", "wait": 45}, "Authorization", "Bearer "+secrets[0])
				if own != "" {
					r.Header.Set("X-PVE-Token", own)
				}
				if encrypted {
					r.URL.Scheme = "https"
				}
				resp, body := s.do(r)
				return resp.StatusCode, body
			}
			of := func(id string) string { return id + "=" + s.Model.Token(id).Secret }
			const rights, none = "ops@pve!mcp", "audit@pve!mcp"
			if !encrypted {
				if status, body := ask(of(rights)); status != 400 || !strings.Contains(body, "unencrypted") {
					s.Errorf("in the clear: %d %s", status, body)
				}
				return
			}
			for _, tt := range []struct {
				own    string
				status int
				says   string
			}{
				{of(rights), 200, `"outcome":"ok"`},
				{of(none), 200, none},
				{"", 400, "is missing"},
				{"ops@pve!mcp", 400, "USER@REALM!NAME=SECRET"},
				{rights + "=12345678-1234-1234-1234-123456789abc", 200, `"isError":true`},
			} {
				status, body := ask(tt.own)
				if status != tt.status || !strings.Contains(body, tt.says) || tt.own != "" && strings.Contains(body, s.Model.Token(rights).Secret) {
					s.Errorf("%d %s\nwant %d %s", status, body, tt.status, tt.says)
				}
			}
		})
	}
}
