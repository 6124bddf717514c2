package toolset_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// toldLater are recorded refusals of parameters that cannot be known before a request is sent,
// or are not looked at because it never is: by the method and the ending of the path, or by
// file and line, with the reason.
var toldLater = map[string]string{
	"POST /upload":       "files come by a tool of their own",
	"PUT /sendkey":       "QEMU alone knows its keys: PVE says no more than Bad Request",
	"POST /dbus-vmstate": "it is a part of a migration, and never sent",
	"provision:105":      "a password does not pass through a model, whatever its length",
	"POST /access/roles": "roles are left to people, whatever the parameters are",
}

// Every recorded change that PVE has refused for its parameters is refused by the tool in PVE's
// words, and nothing that could change something is sent.
func TestRecordedChangesAreRefused(t *testing.T) {
	effort.SkipShort(t)
	rows := slices.DeleteFunc(recorded.Rows(t), func(row recorded.Row) bool {
		return !row.IsRequest() || row.Method == http.MethodGet || row.Status != http.StatusBadRequest
	})
	refused, later := 0, map[string]int{}
	for _, row := range rows {
		if key := laterKey(row); key != "" {
			later[key]++
			continue
		}
		refused++
		synctest.Test(t, func(t *testing.T) {
			m := pvesim.Recorded()
			if row.File == "nine_hands" { // which was asked of the 9.2 node itself
				slices.Reverse(m.Nodes)
			}
			w := sim.New(t, sim.Options{Model: &m, Token: "root@pam!full", Policy: policy.Policy{Exec: true}})
			path, err := url.PathUnescape(row.Path)
			if err != nil {
				t.Fatal(err)
			}
			args, err := json.Marshal(map[string]any{"method": row.Method, "path": path, "params": row.Params, "confirm": true})
			if err != nil {
				t.Fatal(err)
			}
			got := w.Call("pve_api_change", string(args))
			var body struct{ Errors map[string]string }
			if err := json.Unmarshal(row.Body, &body); err != nil || len(body.Errors) == 0 {
				t.Fatalf("%v: no refused parameter: %v", row, err)
			}
			for name, problem := range body.Errors {
				want := plainWords(name + ": " + problem)
				if want = want[:min(len(want), 400)]; !got.IsError || !strings.Contains(plainWords(got.Text), want) {
					t.Errorf("%v: %s\nwant %s", row, got.Text, want)
				}
			}
			if sent := sim.Writes(w.Sent()); len(sent) > 0 {
				t.Errorf("%v: %v was sent", row, sent)
			}
		})
	}
	for key, why := range toldLater {
		if later[key] == 0 {
			t.Errorf("%s has an excuse (%s), and no row", key, why)
		}
	}
	t.Logf("%d rows refused before they are sent, and by reason: %s", refused, fmt.Sprint(later))
}

func laterKey(row recorded.Row) string {
	for key := range toldLater {
		if key == fmt.Sprintf("%s:%d", row.File, row.Line) {
			return key
		}
		if method, end, named := strings.Cut(key, " "); named && row.Method == method && strings.HasSuffix(row.Path, end) {
			return key
		}
	}
	return ""
}
