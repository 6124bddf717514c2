package httpserve_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pve-mcp/internal/audit"
	"pve-mcp/internal/httpserve"
	"pve-mcp/internal/server"
	"pve-mcp/internal/simtest"
)

// Calls that a caller's scopes do not cover stand in the audit log, with who, what and
// why; those that are let in and only read do not.
func TestRefusedByScopeIsRecorded(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	file := filepath.Join(t.TempDir(), "audit.log")
	build := func(w *simtest.World) httpserve.Options {
		o := byTokens(t, path)
		o.Audit = w.Record(audit.Options{Path: file, Logger: slog.New(slog.DiscardHandler)})
		o.Server = server.New(server.Options{Host: w.Host})
		return o
	}
	visitOn(t, simtest.Options{}, build, func(s *site) {
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
