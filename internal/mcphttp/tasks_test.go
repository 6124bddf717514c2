package mcphttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// declared makes the client of a request one that knows tasks.
var declared = map[string]any{
	"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
	"io.modelcontextprotocol/clientCapabilities": map[string]any{"extensions": map[string]any{mcptask.Extension: map[string]any{}}},
}

// task asks something about a task, as the caller with a secret.
func (s *site) task(method, id, secret string, more ...string) (status int, answer map[string]any) {
	s.Helper()
	return s.asked(s.request(method, map[string]any{"_meta": declared, "taskId": id}, append([]string{"Mcp-Name", id, "Authorization", "Bearer " + secret}, more...)...))
}

// asked sends a request and reads its answer, which is a message or an event.
func (s *site) asked(r *http.Request) (status int, answer map[string]any) {
	s.Helper()
	resp, body := s.do(r)
	if _, event, ok := strings.Cut(body, "data: "); ok {
		body = event
	}
	var message struct{ Result, Error map[string]any }
	if err := json.NewDecoder(strings.NewReader(body)).Decode(&message); err != nil {
		s.Fatalf("%v: %s", err, body)
	}
	if message.Error != nil {
		return resp.StatusCode, message.Error
	}
	return resp.StatusCode, message.Result
}

// A task is its caller's, wherever it is asked for, and its end needs a scope of its own.
func TestTasksOfCallers(t *testing.T) {
	path, secrets := tokens(t, "pve:write", "pve:write", "pve:read")
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		_, task := s.asked(s.request("tools/call", map[string]any{
			"_meta": declared, "name": "pve_guest_power", "arguments": map[string]any{"vmid": 102, "action": "shutdown"},
		}, "Authorization", "Bearer "+secrets[0]))
		id, _ := task["taskId"].(string)
		if task["resultType"] != "task" || id == "" {
			s.Fatalf("%v", task)
		}
		if status, got := s.task(mcptask.MethodGet, id, secrets[0]); status != 200 || got["status"] != "working" {
			s.Errorf("its own: %d %v", status, got)
		}
		for _, method := range []string{mcptask.MethodGet, mcptask.MethodUpdate, mcptask.MethodCancel} {
			if status, got := s.task(method, id, secrets[1]); status != 400 || got["code"] != -32602. || !strings.Contains(got["message"].(string), "another caller") {
				s.Errorf("another's, %s: %d %v", method, status, got)
			}
			for _, name := range []string{"", "other"} {
				if status, got := s.task(method, id, secrets[0], "Mcp-Name", name); status != 400 || got["code"] != -32020. {
					s.Errorf("named %q, %s: %d %v", name, method, status, got)
				}
			}
		}
		if status, got := s.task(mcptask.MethodCancel, id, secrets[2]); status != 403 {
			s.Errorf("without the scope: %d %v", status, got)
		}
		time.Sleep(time.Minute)
		if _, got := s.task(mcptask.MethodGet, id, secrets[0]); got["status"] != "completed" {
			s.Errorf("at the end: %v", got)
		}
		if writes := sim.Writes(s.Sent()); len(writes) != 1 {
			s.Errorf("writes %v", writes)
		}
	})
}

// How far a task is, is seen over HTTP, too; a line of its requests has their id, and their
// place in a trace.
func TestProgressOfTasks(t *testing.T) {
	path, secrets := tokens(t, "pve:write")
	visitLogged(t, path, func(s *site, book *logbook) {
		_, task := s.asked(s.request("tools/call", map[string]any{
			"_meta": declared, "name": "pve_create_backup", "arguments": map[string]any{"vmid": 100, "storage": "nfs"},
		}, "Authorization", "Bearer "+secrets[0]))
		id, _ := task["taskId"].(string)
		var said []string
		for task["status"] == "working" {
			time.Sleep(time.Duration(task["pollIntervalMs"].(float64)) * time.Millisecond)
			book.take(s)
			_, task = s.task(mcptask.MethodGet, id, secrets[0], "Traceparent", byHeader)
			said = append(said, fmt.Sprint(task["statusMessage"]))
			synctest.Wait()
			kinds := map[any]int{}
			for _, line := range book.take(s) {
				kinds[line["msg"]]++
				if line["request_id"] == nil || line["trace_id"] != strings.Repeat("2", 32) || line["mcp_method"] != mcptask.MethodGet && line["msg"] != "pve" {
					s.Errorf("%v", line)
				}
			}
			if kinds["request"] != 1 || kinds["mcp"] != 1 || kinds["pve"] == 0 {
				s.Errorf("%v", kinds)
			}
		}
		if len(said) < 3 || !strings.Contains(said[len(said)/2], "%") || task["status"] != "completed" {
			s.Errorf("%v: %q", task["status"], said)
		}
	})
}
