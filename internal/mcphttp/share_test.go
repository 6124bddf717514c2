package mcphttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// crowd lets tell talk to a server that two callers share.
func crowd(t *testing.T, tell func(s *site, busy, other string)) {
	t.Helper()
	path, secrets := tokens(t, "pve:read", "pve:read")
	build := func(w *sim.World) mcphttp.Options {
		o := byTokens(t, path)
		o.Server = mcpserver.New(mcpserver.Options{Host: w.Host})
		return o
	}
	visitOn(t, sim.Options{}, build, func(s *site) { tell(s, "Bearer "+secrets[0], "Bearer "+secrets[1]) })
}

// prompt checks that a call of a caller is answered at once.
func (s *site) prompt(bearer string) {
	s.Helper()
	begun := time.Now()
	resp, body := s.do(s.toolCall("pve_list_nodes", nil, "Authorization", bearer))
	if took := time.Since(begun); resp.StatusCode != 200 || took > 2*time.Second {
		s.Errorf("another caller's call: %d after %v %.200s", resp.StatusCode, took, body)
	}
}

// Whatever one caller has under way, another's call is carried out at once: the calls of
// the first that are too many wait for its own, and are refused at last.
func TestCallsOfOneLeaveRoom(t *testing.T) {
	crowd(t, func(s *site, busy, other string) {
		s.addTool("work", func(context.Context) string { time.Sleep(time.Minute); return "done" })
		const all = 300
		status := make(chan int, all)
		for i := range all {
			go func() {
				resp, err := s.http.Do(withID(s.toolCall("work", nil, "Authorization", busy), i))
				if err != nil {
					s.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				status <- resp.StatusCode
			}()
		}
		synctest.Wait()
		s.prompt(other)
		got := map[int]int{}
		for range all {
			got[<-status]++
		}
		if got[200] != 64 || got[429] != all-64 {
			s.Errorf("%v", got)
		}
		s.prompt(busy)
	})
}

// A body that one caller sends slowly takes nothing from others, nor do many of them.
func TestSlowBodiesOfOneLeaveRoom(t *testing.T) {
	crowd(t, func(s *site, busy, other string) {
		for range 300 {
			conn, err := s.wire.dial(s.Context(), "", "")
			if err != nil {
				s.Fatal(err)
			}
			defer conn.Close()
			go func() {
				_, _ = fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: 1000000\r\n\r\n{", busy)
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
		synctest.Wait()
		s.prompt(other)
		large := s.toolCall("pve_list_nodes", map[string]any{"filler": strings.Repeat("x", 900<<10)}, "Authorization", other)
		if resp, body := s.do(large); resp.StatusCode != 200 || !strings.Contains(body, "filler") {
			s.Errorf("a large call: %d %.200s", resp.StatusCode, body)
		}
		time.Sleep(time.Minute)
		s.prompt(busy)
	})
}

// One caller's streams leave room for those of others.
func TestStreamsOfOneLeaveRoom(t *testing.T) {
	path, secrets := tokens(t, "pve:read", "pve:read")
	o := byTokens(t, path)
	o.Server = changing()
	visit(t, sim.Options{}, o, func(s *site) {
		listen := func(caller, id int) int {
			resp, err := s.http.Do(withID(s.request("subscriptions/listen", map[string]any{
				"notifications": map[string]any{"toolsListChanged": true},
			}, "Authorization", "Bearer "+secrets[caller]), id))
			if err != nil {
				s.Error(err)
				return 0
			}
			go func() {
				_, _ = io.Copy(io.Discard, resp.Body) // until the server stops
				resp.Body.Close()
			}()
			return resp.StatusCode
		}
		got := map[int]int{}
		for i := range 600 {
			got[listen(0, i)]++
		}
		if got[200] != 128 || got[429] != 600-128 {
			s.Errorf("%v", got)
		}
		if status := listen(1, 1); status != 200 {
			s.Errorf("a stream of another: %d", status)
		}
	})
}

// hello begins a session, and returns its id, "" for none.
func (s *site) hello(bearer string) string {
	s.Helper()
	resp, body := s.do(s.request("initialize", map[string]any{
		"_meta": nil, "protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "x", "version": "1"},
	}, "Mcp-Protocol-Version", "2025-06-18", "Authorization", bearer))
	if resp.StatusCode != 200 {
		s.Errorf("%d %.200s", resp.StatusCode, body)
	}
	return resp.Header.Get("Mcp-Session-Id")
}

// ping asks in a session.
func (s *site) ping(bearer, session string) int {
	s.Helper()
	resp, _ := s.do(s.request("ping", map[string]any{"_meta": nil}, "Mcp-Protocol-Version", "2025-06-18", "Authorization", bearer, "Mcp-Session-Id", session))
	return resp.StatusCode
}

// A caller that begins sessions without end loses only its own, beginning with the one
// that was unused the longest.
func TestSessionsOfOneLeaveRoom(t *testing.T) {
	crowd(t, func(s *site, busy, other string) {
		others := s.hello(other)
		first, second := s.hello(busy), s.hello(busy)
		for range 600 {
			time.Sleep(time.Millisecond)
			s.hello(busy)
			if status := s.ping(busy, first); status != 200 {
				s.Fatalf("a session that is used: %d", status)
			}
		}
		last := s.hello(busy)
		synctest.Wait()
		for name, got := range map[string]int{
			"of another": s.ping(other, others), "a new one of another": s.ping(other, s.hello(other)), "the last": s.ping(busy, last),
		} {
			if got != 200 {
				s.Errorf("%s: %d", name, got)
			}
		}
		if got := s.ping(busy, second); got != 404 {
			s.Errorf("the one that was not used for the longest time: %d", got)
		}
		n := 0
		for range s.server.Sessions() {
			n++
		}
		if n != 256+2 {
			s.Errorf("%d sessions", n)
		}
	})
}

// A session keeps what its client said of itself, which has a limit.
func TestWhatASessionKeepsIsBounded(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		resp, body := s.do(s.request("initialize", map[string]any{
			"_meta": nil, "protocolVersion": "2025-06-18", "capabilities": map[string]any{},
			"clientInfo": map[string]any{"name": strings.Repeat("x", 20000), "version": "1"},
		}, "Mcp-Protocol-Version", "2025-06-18"))
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"id":7,"error":{"code":-32600,"message":"a request that begins a session has at most 8192 bytes"`) {
			s.Errorf("%d %.200s", resp.StatusCode, body)
		}
	})
}

// Connections on which nothing is asked keep nobody out, however many there are.
func TestIdleConnectionsLeaveRoom(t *testing.T) {
	crowd(t, func(s *site, _, other string) {
		var cut atomic.Int32
		for range 3000 {
			conn, err := s.wire.dial(s.Context(), "", "")
			if err != nil {
				s.Fatal(err)
			}
			go func() {
				_, _ = io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: lo")
				_, _ = io.Copy(io.Discard, conn)
				cut.Add(1)
			}()
		}
		synctest.Wait()
		if got := cut.Load(); got != 3000-2048 {
			s.Errorf("%d of 3000 connections were cut", got)
		}
		s.prompt(other)
	})
}

// Nor do requests that are not let in, however many connections they are on: a caller
// that is let in takes the place of one of them.
func TestRefusedConnectionsLeaveRoom(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		for range 3000 {
			conn, err := s.wire.dial(s.Context(), "", "")
			if err != nil {
				s.Fatal(err)
			}
			defer conn.Close()
			go func() {
				_, _ = io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nContent-Length: 1000\r\n\r\n{")
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
		synctest.Wait()
		resp, err := s.http.Do(s.toolCall("pve_list_nodes", nil, "Authorization", "Bearer "+secrets[0]))
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			s.Errorf("who is let in got %d", resp.StatusCode)
		}
	})
}
