package mcphttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// kept is text that is written while it is read.
type kept struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *kept) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// take returns the text, and forgets it.
func (k *kept) take() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.text.Reset()
	return k.text.String()
}

// recorded makes the options of a server whose record is kept.
func recorded(record *kept, o mcphttp.Options) func(*sim.World) mcphttp.Options {
	return func(w *sim.World) mcphttp.Options {
		w.Host.Audit = w.Record(audit.Options{Logger: slog.New(slog.NewTextHandler(record, nil))})
		o.Server = mcpserver.New(mcpserver.Options{Version: "test", Host: w.Host})
		return o
	}
}

// legacyCall is the request of a call in a session of a client.
func (s *site) legacyCall(client *mcp.ClientSession, name string, args map[string]any) *http.Request {
	return s.request("tools/call", map[string]any{"name": name, "arguments": args, "_meta": nil},
		"Mcp-Session-Id", client.ID(), "Mcp-Protocol-Version", "2025-11-25")
}

// lose sends a request and closes the connection after a time, without an answer.
func (s *site) lose(r *http.Request, after time.Duration) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), after)
	defer cancel()
	resp, err := s.http.Do(r.WithContext(ctx))
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("the connection was not lost: %v", err)
	}
	synctest.Wait()
}

// In the handshake versions a lost connection cancels nothing: the call is followed to its
// end, which is recorded, and is under way for as long, also for a server that is to stop.
func TestLostConnectionCancelsNothing(t *testing.T) {
	for _, sessionsOff := range []bool{false, true} {
		var record kept
		build := recorded(&record, mcphttp.Options{Drain: time.Minute, SessionsOff: sessionsOff})
		visitOn(t, sim.Options{}, build, func(s *site) {
			client := s.connect("2025-11-25", nil, nil)
			begun := time.Now()
			s.lose(s.legacyCall(client, "pve_guest_power", map[string]any{"vmid": 102, "action": "shutdown", "wait": 40}), 5*time.Second)
			if got := record.String(); !strings.Contains(got, "change begins") || strings.Contains(got, "change ended") {
				s.Errorf("when the connection was lost:\n%s", got)
			}
			go func() { _ = client.Close() }()
			if err := s.stop(); err != nil {
				s.Error(err)
			}
			if got, took := record.String(), time.Since(begun); !strings.Contains(got, "outcome=ok") || took < 20*time.Second || took > 40*time.Second {
				s.Errorf("after %v:\n%s", took, got)
			}
		})
	}
}

// What goes on without a client takes the places of calls until it has ended, and no
// longer: nobody gets more of them by hanging up.
func TestLostConnectionsKeepTheirPlaces(t *testing.T) {
	visit(t, sim.Options{}, mcphttp.Options{}, func(s *site) {
		var mu sync.Mutex
		most, now := 0, 0 // guarded by mu
		count := func(by int) (int, int) {
			mu.Lock()
			defer mu.Unlock()
			now += by
			most = max(most, now)
			return most, now
		}
		s.addTool("work", func(context.Context) string {
			count(1)
			defer count(-1)
			time.Sleep(time.Minute)
			return "done"
		})
		client := s.connect("2025-11-25", nil, nil)
		left := make(chan struct{})
		for i := range 300 {
			go func() {
				defer func() { left <- struct{}{} }()
				r := s.request("tools/call", map[string]any{"name": "work", "arguments": map[string]any{}, "_meta": nil},
					"Mcp-Session-Id", client.ID(), "Mcp-Protocol-Version", "2025-11-25")
				ctx, cancel := context.WithTimeout(s.Context(), time.Second)
				defer cancel()
				if resp, err := s.http.Do(withID(r.WithContext(ctx), i)); err == nil {
					_, _ = resp.Body.Read(make([]byte, 1))
					resp.Body.Close()
				}
			}()
		}
		for range 300 {
			<-left
		}
		synctest.Wait()
		resp, _ := s.do(s.toolCall("pve_list_nodes", nil))
		if most, _ := count(0); most != 64 || resp.StatusCode != 429 {
			s.Errorf("%d calls at a time; one more: %d", most, resp.StatusCode)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		resp, body := s.do(s.toolCall("pve_list_nodes", nil))
		if _, now := count(0); resp.StatusCode != 200 || now != 0 {
			s.Errorf("when they have ended: %d %s, %d go on", resp.StatusCode, body, now)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
	})
}

// A call whose human never answers, because the client is gone, ends when the answer would
// no longer count.
func TestNobodyWaitsForAHumanWithoutEnd(t *testing.T) {
	var record kept
	visitOn(t, sim.Options{}, recorded(&record, mcphttp.Options{}), func(s *site) {
		client := s.connect("2025-11-25", &mcp.ClientOptions{
			ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				return nil, errors.New("a human was asked of whom the connection was lost")
			},
		}, nil)
		s.lose(s.legacyCall(client, "pve_delete_guest", map[string]any{"vmid": 204}), time.Second)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := record.String(); !strings.Contains(got, "consent asked") || strings.Contains(got, "change") {
			s.Errorf("before the time is up:\n%s", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := record.String(); !strings.Contains(got, "change refused") || !strings.Contains(got, "outcome=unanswered") {
			s.Errorf("after it:\n%s", got)
		}
		if err := client.Close(); err != nil {
			s.Error(err)
		}
	})
}
