package change_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// What is recorded of a call by how it was decided: event, guest, node, consent, outcome.
func TestConsentIsRecorded(t *testing.T) {
	human, param := policy.Policy{Confirm: policy.Human}, policy.Policy{Confirm: policy.Param}
	for _, tt := range []struct {
		name   string
		policy policy.Policy
		call   func(w *sim.World)
		want   []string
	}{
		{"the human agrees", human, func(w *sim.World) {
			q := asked(w, "pve_rollback_snapshot", rollback, nil, "").Question
			asked(w, "pve_rollback_snapshot", rollback, yes(), q.State)
		}, []string{"asked 102 pve2 none ", "begin 102 pve2 human ", "end 102 pve2 human ok"}},
		{"the human declines", human, func(w *sim.World) {
			q := asked(w, "pve_rollback_snapshot", rollback, nil, "").Question
			asked(w, "pve_rollback_snapshot", rollback, &tool.Reply{Action: "decline"}, q.State)
		}, []string{"asked 102 pve2 none ", "refused 102 pve2 human declined"}},
		{"the human says nothing", human, func(w *sim.World) {
			q := asked(w, "pve_rollback_snapshot", rollback, nil, "").Question
			asked(w, "pve_rollback_snapshot", rollback, &tool.Reply{Action: "cancel"}, q.State)
		}, []string{"asked 102 pve2 none ", "refused 102 pve2 human unanswered"}},
		{"the client goes away", human, func(w *sim.World) { asked(w, "pve_rollback_snapshot", rollback, nil, "") },
			[]string{"asked 102 pve2 none "}},
		{"the human cannot be asked", human, func(w *sim.World) { w.Call("pve_rollback_snapshot", rollback) },
			[]string{"refused 102 pve2 none refused"}},
		{"by argument", param, func(w *sim.World) {
			w.Call("pve_rollback_snapshot", rollback)
			w.Call("pve_rollback_snapshot", strings.Replace(rollback, "{", `{"confirm":true,`, 1))
		}, []string{"refused 102 pve2 none refused", "begin 102 pve2 param ", "end 102 pve2 param ok"}},
		{"read-only", policy.Policy{ReadOnly: true}, func(w *sim.World) { w.Call("pve_rollback_snapshot", rollback) },
			[]string{"refused 0  none refused"}},
		{"not understood", param, func(w *sim.World) { w.Call("pve_rollback_snapshot", `{"vmid":"x"}`) },
			[]string{"refused 0  none failed"}},
		{"nothing to do", param, func(w *sim.World) { w.Call("pve_guest_power", `{"vmid":102,"action":"start"}`) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.log")
				w := sim.New(t, sim.Options{Policy: tt.policy})
				w.Host.Audit = w.Record(audit.Options{File: files.At(path)})
				tt.call(w)
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for line := range strings.Lines(string(data)) {
					var l struct {
						Event, Node, Consent, Outcome string
						Guest                         int
					}
					if err := json.Unmarshal([]byte(line), &l); err != nil {
						t.Fatal(err)
					}
					got = append(got, fmt.Sprint(l.Event, " ", l.Guest, " ", l.Node, " ", l.Consent, " ", l.Outcome))
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}
