package mcphttp_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// Calls that a caller's scopes do not cover are in the audit log, with who, what and why.
// Accepted calls that only read are not.
func TestRefusedByScopeIsRecorded(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	file := filepath.Join(t.TempDir(), "audit.log")
	build := func(w *sim.World) mcphttp.Options {
		o := byTokens(t, path)
		o.Audit = w.Record(audit.Options{File: files.At(file), Logger: slog.New(slog.DiscardHandler)})
		o.Server = mcpserver.New(mcpserver.Options{Host: w.Host})
		return o
	}
	visitOn(t, sim.Options{}, build, func(s *site) {
		for name, args := range map[string]map[string]any{
			"pve_list_nodes":          {},
			"pve_guest_power":         {"vmid": 101, "action": "stop"},
			"pve_update_guest_config": {"vmid": 101, "cipassword": "hunter22"},
			"pve_create_backup":       {"vmid": strings.Repeat("1", 10000)},
		} {
			s.do(s.toolCall(name, args, "Authorization", "Bearer "+secrets[0]))
		}
	})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	for line := range strings.Lines(string(data)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		got[fields["tool"].(string)] = fields
	}
	if len(got) != 3 || len(data) > 4000 || strings.Contains(string(data), "hunter22") {
		t.Errorf("%s", data)
	}
	for name, fields := range got {
		if fields["event"] != "refused" || fields["outcome"] != "refused" || fields["caller"] != "caller-0" ||
			fields["reason"] != name+" was not called: it needs the scope pve:write, which this caller does not have" {
			t.Errorf("%v", fields)
		}
	}
	if args, _ := got["pve_guest_power"]["arguments"].(map[string]any); args["action"] != "stop" {
		t.Errorf("%v", got["pve_guest_power"])
	}
}

// Who makes many such calls fills no disk: they are counted.
func TestManyRefusedCallsAreCounted(t *testing.T) {
	path, secrets := tokens(t, "pve:read", "pve:read")
	file := filepath.Join(t.TempDir(), "audit.log")
	build := func(w *sim.World) mcphttp.Options {
		o := byTokens(t, path)
		o.Audit = w.Record(audit.Options{File: files.At(file), Logger: slog.New(slog.DiscardHandler)})
		o.Server = mcpserver.New(mcpserver.Options{Host: w.Host})
		return o
	}
	visitOn(t, sim.Options{}, build, func(s *site) {
		refused := func(caller int) {
			if resp, _ := s.do(s.toolCall("pve_guest_power", map[string]any{"vmid": 101, "action": "stop"}, "Authorization", "Bearer "+secrets[caller])); resp.StatusCode != 403 {
				s.Errorf("%d", resp.StatusCode)
			}
		}
		for range 100 {
			refused(0)
		}
		refused(1)
		time.Sleep(6 * time.Second)
		refused(0)
	})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 12 || !strings.Contains(lines[10], "caller-1") || !strings.Contains(lines[11], "(90 more such calls of this caller were not recorded before)") {
		t.Errorf("%d lines: %s", len(lines), data)
	}
}

// What the SDK would call is what was looked at, however a body is written: another
// spelling of a name hides no call, and what cannot be read is refused.
func TestNothingHidesACall(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	visit(t, sim.Options{}, byTokens(t, path), func(s *site) {
		deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
		for name, tt := range map[string]struct {
			from, to string // replaced in a body that is good
			status   int
		}{
			"as it is":            {"", "", 403},
			"another method":      {`"method":`, `"METHOD":"ping","method":`, 400},
			"another method last": {`"name":"pve_guest_power"}}`, `"name":"pve_guest_power"},"Method":"ping"}`, 400},
			"another name":        {`"name":"pve_guest_power"`, `"name":"pve_guest_power","Name":"pve_list_nodes"`, 400},
			"the name undone":     {`"name":"pve_guest_power"`, `"name":"pve_guest_power","name":null`, 400},
			"arguments twice":     {`"arguments":`, `"arguments":{"vmid":101,"action":"start"},"arguments":`, 400},
			"an argument twice":   {`"vmid":101`, `"vmid":101,"vmid":102`, 400},
			"params twice":        {`"params":`, `"params":{"name":"pve_list_nodes"},"params":`, 400},
			"a name with escapes": {`"name":`, `"n\u0061me":"pve_list_nodes","name":`, 400},
			"no name":             {`"name":"pve_guest_power"`, `"name":null`, 400},
			"an odd id":           {`"id":7`, `"id":{}`, 400},
			"a batch":             {"", "[", 403},
			"too deep":            {`"vmid":101`, `"vmid":101,"x":` + deep, 400},
			"not JSON":            {`"vmid":101`, `"vmid":101,`, 400},
			"no text":             {`"vmid":101`, "\"vmid\":101,\"x\":\"\x01\"", 400},
		} {
			r := s.toolCall("pve_guest_power", map[string]any{"vmid": 101, "action": "stop"}, "Authorization", "Bearer "+secrets[0])
			body, err := io.ReadAll(r.Body)
			if err != nil {
				s.Fatal(err)
			}
			text := strings.Replace(string(body), tt.from, tt.to, 1)
			if name == "a batch" {
				text += "]"
			}
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
			resp, answer := s.do(r)
			if resp.StatusCode != tt.status || tt.status == 400 && !strings.Contains(answer, `"error":{"code":-32`) {
				s.Errorf("%s: %d %s\n%.300s", name, resp.StatusCode, answer, text)
			}
		}
	})
}
