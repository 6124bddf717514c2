package change_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
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

func TestChangesAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := sim.New(t, sim.Options{})
		w.Host.Audit = w.Record(audit.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w.Run(power(policy.Write), `{"vmid":104,"action":"stop"}`)
		w.Run(idle, `{}`)
		w.Run(power(policy.Write), `{"vmid":999,"action":"stop"}`) // never sent
		w.Run(power(policy.Write), `{"vmid":100,"action":"panic"}`)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		for i, want := range []string{
			`msg="change begins" tool=power caller=test arguments="{\"action\":\"stop\",\"vmid\":104}" about="stop of 104"`,
			`msg="change ended" tool=power caller=test arguments="{\"action\":\"stop\",\"vmid\":104}" about="stop of 104" outcome=ok upid=UPID:pve1:`,
			`msg="change refused" tool=power caller=test arguments="{\"action\":\"stop\",\"vmid\":999}" about="stop of 999" outcome=failed`,
			`msg="change begins" tool=power caller=test arguments="{\"action\":\"panic\",\"vmid\":100}"`,
			`outcome=unknown`,
		} {
			if len(lines) != 5 || !strings.Contains(lines[i], want) {
				t.Errorf("line %d: want %s in\n%s", i+1, want, log.String())
			}
		}
	})
}

// removing is a wire that removes a folder before a write is sent.
type removing struct {
	http.RoundTripper
	dir string
}

func (r removing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		if err := os.RemoveAll(r.dir); err != nil {
			return nil, err
		}
	}
	return r.RoundTripper.RoundTrip(req)
}

// What cannot be recorded is not done, and an answer says that its outcome could not be recorded.
func TestChangesThatCannotBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "log")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		gone := dir + ": no such file or directory."
		w := sim.New(t, sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper { return removing{rt, dir} }})
		w.Host.Audit = w.Record(audit.Options{File: files.At(filepath.Join(dir, "audit.log"))})
		a := w.Run(power(policy.Write), `{"vmid":104,"action":"stop"}`)
		if message, _ := a.Fields["message"].(string); a.Outcome != tool.OK || !strings.HasSuffix(message, " This outcome is missing in the audit log: "+gone) {
			t.Errorf("the outcome: %s", a.Text)
		}
		w.Sent()
		a = w.Run(power(policy.Write), `{"vmid":100,"action":"stop"}`)
		if a.Outcome != tool.Failed || a.Fields["message"] != "Nothing was sent, because it cannot be recorded: "+gone {
			t.Errorf("the beginning: %s", a.Text)
		}
		if sent := sim.Writes(w.Sent()); len(sent) > 0 {
			t.Errorf("sent %v", sent)
		}
		a = w.Run(power(policy.Destructive), `{"vmid":100,"action":"stop"}`)
		if message, _ := a.Fields["message"].(string); a.Outcome != tool.NeedsConfirmation || !strings.HasSuffix(message, " This call is missing in the audit log: "+gone) {
			t.Errorf("the refusal: %s", a.Text)
		}
	})
}

// Each step is recorded with the task of its own, the last one too.
func TestStepIsRecordedWithItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		for _, l := range recorded(t, "pve_clone_guest", `{"vmid":900,"target":"pve2"}`) {
			if l.Event == "end" {
				got = append(got, strings.Split(l.UPID, ":")[5])
			}
		}
		if want := []string{"qmclone", "qmigrate"}; !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}

// A call whose plan could not be made is recorded without a step that nobody has planned.
func TestRefusedPlanNamesNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := recorded(t, "pve_rollback_snapshot", `{"vmid":102,"snapname":"none-such","confirm":true}`)
		if len(got) != 1 || got[0].Event != "refused" || got[0].About != "" {
			t.Errorf("got %+v", got)
		}
	})
}

type recordLine struct{ Event, About, UPID string }

// recorded makes a call, and returns what the audit log has of it.
func recorded(t *testing.T, name, arguments string) []recordLine {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := sim.New(t, sim.Options{})
	w.Host.Wait = tool.HandleTime
	w.Host.Audit = w.Record(audit.Options{File: files.At(path)})
	w.Call(name, arguments)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []recordLine
	for line := range strings.Lines(string(data)) {
		var l recordLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}
