package change_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/seal"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// asked is a call of a client that can ask its human.
func asked(w *sim.World, name, args string, reply *tool.Reply, state string) tool.Result {
	w.Helper()
	t, _ := toolset.Named(name)
	return t.Call(w.Context(), w.Host, tool.Request{
		Arguments: json.RawMessage(args), Caller: "test", CanAsk: true, Reply: reply, State: state,
	})
}

const rollback = `{"vmid":102,"snapname":"after-upgrade"}`

func yes() *tool.Reply {
	return &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
}

// What a human has consented to is this call, of this caller, to the guest as it was,
// for five minutes, once.
func TestSealedConsent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    string // of the second call; "" for the same
		tool    string
		caller  string
		between func(w *sim.World)
		state   func(string) string
		outcome tool.Outcome
		message string
	}{
		{name: "the same call", outcome: tool.OK, message: "done"},
		{name: "other arguments", args: `{"vmid":102,"snapname":"after-upgrade","start":true}`, outcome: tool.NeedsConfirmation, message: "it was given for another call"},
		{name: "another tool", tool: "pve_delete_snapshot", outcome: tool.NeedsConfirmation, message: "it was given for another call"},
		{name: "too late", between: func(*sim.World) { time.Sleep(6 * time.Minute) }, outcome: tool.NeedsConfirmation, message: "it took longer than 5m"},
		{name: "tampered with", state: func(s string) string { return s[1:] + s[:1] }, outcome: tool.NeedsConfirmation, message: "the state that came with it is not valid"},
		{name: "no state", state: func(string) string { return "" }, outcome: tool.NeedsConfirmation, message: "the state that came with it is not valid"},
		{name: "another server's", between: func(w *sim.World) { w.Host.Seal = seal.Keys{[]byte("other")} }, outcome: tool.NeedsConfirmation, message: "not valid"},
		{name: "the guest was stopped", between: func(w *sim.World) { w.Call("pve_guest_power", `{"vmid":102,"action":"stop"}`) },
			outcome: tool.NeedsConfirmation, message: "the guest is no longer as it was"},
		{name: "its configuration was changed", between: func(w *sim.World) { w.Call("pve_update_guest_config", `{"vmid":102,"set":{"description":"x"}}`) },
			outcome: tool.NeedsConfirmation, message: "the guest is no longer as it was"},
		{name: "a snapshot was deleted", between: func(w *sim.World) {
			w.Call("pve_delete_snapshot", `{"vmid":102,"snapname":"before-upgrade","confirm":true}`)
		},
			outcome: tool.NeedsConfirmation, message: "the guest is no longer as it was"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{})
				first := asked(w, "pve_rollback_snapshot", rollback, nil, "")
				if first.Question == nil || first.Question.State == "" {
					t.Fatalf("%+v", first)
				}
				if tt.between != nil {
					tt.between(w)
				}
				w.Sent()
				state, args, name := first.Question.State, rollback, "pve_rollback_snapshot"
				if tt.state != nil {
					state = tt.state(state)
				}
				if tt.args != "" {
					args = tt.args
				}
				if tt.tool != "" {
					name = tt.tool
				}
				second := asked(w, name, args, yes(), state)
				if second.Outcome != tt.outcome || !strings.Contains(second.Text, tt.message) {
					t.Errorf("%s", second.Text)
				}
				if writes := sim.Writes(w.Sent()); (len(writes) > 0) != (tt.outcome == tool.OK) {
					t.Errorf("writes: %v", writes)
				}
			})
		})
	}
}

// Six answers at once, each to another process, make the change once: where they share a
// store, and where only the process that asked takes one.
func TestOneAnswerOneChange(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("mcp", "not shown")
	folder, err := once.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, shared := range map[string]once.Store{
		"none":   nil,
		"folder": folder,
		"redis": once.Redis{
			URL: &url.URL{Scheme: "redis", Host: server.Addr(), User: url.User("mcp")}, Password: func() (string, error) { return "not shown", nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := sim.New(t, sim.Options{})
			replicas := make([]*sim.World, 6)
			var claims sync.WaitGroup
			claims.Add(len(replicas))
			for i := range replicas {
				replicas[i] = w.As("ops@pve!mcp")
				replicas[i].Host.Used = once.NewLedger(shared)
				if shared != nil {
					replicas[i].Host.Used = once.NewLedger(together{shared, &claims})
				}
			}
			const call = `{"vmid":102,"snapname":"after-upgrade","wait":0}`
			state := asked(replicas[0], "pve_rollback_snapshot", call, nil, "").Question.State
			results := make([]tool.Result, len(replicas))
			var all sync.WaitGroup
			for i, replica := range replicas {
				all.Go(func() { results[i] = asked(replica, "pve_rollback_snapshot", call, yes(), state) })
			}
			all.Wait()
			done := 0
			for _, res := range results {
				late := strings.Contains(res.Text, "VM 102 is locked (rollback)")
				if res.Outcome == tool.Running {
					done++
				} else if !late && (res.Outcome != tool.NeedsConfirmation || !strings.Contains(res.Text, "The confirmation does not count")) {
					t.Errorf("%s", res.Text)
				}
			}
			sent := 0
			for _, r := range w.Sim.Requests() {
				if r.Method == "POST" && strings.HasSuffix(r.Endpoint, "/rollback") {
					sent++
				}
			}
			if done != 1 || sent != 1 {
				t.Errorf("%d answers counted, %d rollbacks were sent", done, sent)
			}
		})
	}
}

// together is a store in which nobody's claim is decided before all have made theirs.
type together struct {
	once.Store
	claims *sync.WaitGroup
}

func (s together) Claim(ctx context.Context, id string, until time.Time) (bool, error) {
	s.claims.Done()
	s.claims.Wait()
	return s.Store.Claim(ctx, id, until)
}

// A store that does not answer lets nothing pass, and its password is not told.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("another")
	gone := filepath.Join(t.TempDir(), "used")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := once.OpenFolder(gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	secret := func() (string, error) { return "hunter2", nil }
	closed, err := miniredis.Run()
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr()
	closed.Close()
	for name, store := range map[string]once.Store{
		"the folder is gone":    folder,
		"nobody listens":        once.Redis{URL: &url.URL{Scheme: "redis", Host: nobody}, Password: secret},
		"wrong password":        once.Redis{URL: &url.URL{Scheme: "redis", Host: server.Addr()}, Password: secret},
		"no password to read":   once.Redis{URL: &url.URL{Scheme: "redis", Host: server.Addr()}, Password: func() (string, error) { return "", os.ErrNotExist }},
		"it speaks without TLS": once.Redis{URL: &url.URL{Scheme: "rediss", Host: server.Addr()}, Password: secret},
	} {
		w := sim.New(t, sim.Options{})
		w.Host.Used = once.NewLedger(store)
		state := asked(w, "pve_rollback_snapshot", rollback, nil, "").Question.State
		res := asked(w, "pve_rollback_snapshot", rollback, yes(), state)
		if res.Outcome != tool.Failed || !strings.Contains(res.Text, "PVE_MCP_CONSENT_STORE does not answer") || strings.Contains(res.Text, "hunter2") {
			t.Errorf("%s: %s", name, res.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) > 0 {
			t.Errorf("%s: %v", name, writes)
		}
	}
}

// A command leaves no task in PVE, and its consent is used up all the same.
func TestOneAnswerOneCommand(t *testing.T) {
	w := sim.New(t, sim.Options{Policy: policy.Policy{Exec: true, Confirm: policy.Human}})
	const call = `{"vmid":100,"command":["true"]}`
	state := asked(w, "pve_vm_exec", call, nil, "").Question.State
	if res := asked(w, "pve_vm_exec", call, yes(), state); res.Outcome != tool.OK {
		t.Fatal(res.Text)
	}
	if res := asked(w, "pve_vm_exec", call, yes(), state); res.Outcome != tool.NeedsConfirmation || !strings.Contains(res.Text, "it was used already") {
		t.Error(res.Text)
	}
}

// The words that a human saw are what counts: the answer may come minutes later, when what
// is so long ago is longer ago, and does not where something else would go.
func TestConsentIsToWhatWasShown(t *testing.T) {
	const prune = `{"vmid":100,"storage":"nfs","prune":"keep-last=1","wait":0}`
	for _, later := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: policy.Policy{Confirm: policy.Human}})
			q := asked(w, "pve_create_backup", prune, nil, "").Question
			shown := regexp.MustCompile(`the backup (\S+) is deleted`).FindStringSubmatch(q.Message)
			if shown == nil {
				t.Fatal(q.Message)
			}
			time.Sleep(4 * time.Minute)
			if later {
				remove(w, "/api2/json/nodes/pve1/storage/nfs/content/"+url.PathEscape(shown[1]))
				time.Sleep(10 * time.Second) // that takes a task
			}
			res := asked(w, "pve_create_backup", prune, yes(), q.State)
			want, says := tool.Running, "under way"
			if later {
				want, says = tool.NeedsConfirmation, "is no longer what the question said"
			}
			if res.Outcome != want || !strings.Contains(res.Text, says) {
				t.Errorf("%s\n%s", q.Message, res.Text)
			}
		})
	}
}

// What the question says is left of a guest has to be there when the answer comes, even if the
// guest itself has not changed.
func TestConsentCountsOnTheBackup(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: "root@pam!full"})
			q := asked(w, "pve_rollback_snapshot", rollback, nil, "").Question
			told := regexp.MustCompile(`its newest backup is .* old: (\S+)`).FindStringSubmatch(q.Message)
			if told == nil {
				t.Fatal(q.Message)
			}
			storage, _, _ := strings.Cut(told[1], ":")
			time.Sleep(time.Minute)
			if gone {
				remove(w, "/api2/json/nodes/pve2/storage/"+storage+"/content/"+url.PathEscape(told[1]))
				time.Sleep(10 * time.Second) // that takes a task
			}
			res := asked(w, "pve_rollback_snapshot", rollback, yes(), q.State)
			want, says := tool.OK, "done"
			if gone {
				want, says = tool.NeedsConfirmation, "what is at stake, is no longer what the question said"
			}
			if res.Outcome != want || !strings.Contains(res.Text, says) {
				t.Errorf("%s\n%s", q.Message, res.Text)
			}
		})
	}
}

// remove deletes something as an administrator would.
func remove(w *sim.World, path string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodDelete, w.Sim.URL()+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken=root@pam!full="+w.Model.Token("root@pam!full").Secret)
	resp, err := w.Sim.Transport().RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		w.Fatal(resp.Status)
	}
}

// A name that is empty, or may be another guest's id, is no consent.
func TestNamesThatAreNoConsent(t *testing.T) {
	for name, typed := range map[string]string{"": "", "205": "205", "204": "", "box": "Box"} {
		m := pvesim.Cluster()
		for i := range m.Guests {
			if m.Guests[i].VMID == 204 {
				m.Guests[i].Config["hostname"] = name
			}
		}
		w := sim.New(t, sim.Options{Model: &m})
		q := asked(w, "pve_delete_guest", `{"vmid":204}`, nil, "").Question
		if !strings.Contains(q.Message, "To go on, type 204") || typed != "" && strings.Contains(q.Message, "or "+typed) {
			t.Errorf("%q: %s", name, q.Message)
		}
		reply := &tool.Reply{Action: "accept", Content: map[string]any{tool.NameField: typed}}
		if res := asked(w, "pve_delete_guest", `{"vmid":204}`, reply, q.State); res.Outcome != tool.Declined {
			t.Errorf("%q: %s", name, res.Text)
		}
	}
}
