package change_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/alicebob/miniredis/v2"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
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

// What a human was told that is left of a guest has to be left when the answer comes, also
// where nothing of the guest has changed.
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

// Nothing of what is at stake is cut.
func TestTheQuestionNamesEverySnapshot(t *testing.T) {
	m := pvesim.Cluster()
	var names []string
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 102 {
			for n := range 60 {
				names = append(names, fmt.Sprintf("before-the-change-number-%d", n))
				g.Snapshots = append(g.Snapshots, pvesim.Snapshot{Name: names[n], Parent: "after-upgrade"})
			}
		}
	}
	q := asked(sim.New(t, sim.Options{Model: &m}), "pve_delete_snapshot", rollback, nil, "").Question
	for _, name := range names {
		if !strings.Contains(q.Message, name) {
			t.Fatalf("no %s in %s", name, q.Message)
		}
	}
}

// What is too long to be read is not asked.
func TestTooLongToBeShown(t *testing.T) {
	w := sim.New(t, sim.Options{Policy: policy.Policy{Exec: true, Confirm: policy.Human}})
	for _, args := range []string{`{"vmid":100,"shell":"%s"}`, `{"vmid":100,"command":["cat"],"stdin":"%s"}`, `{"vmid":102,"delete":["unused0"],"set":{"description":"%s"}}`} {
		name := "pve_vm_exec"
		if strings.Contains(args, "unused0") {
			name = "pve_update_guest_config"
		}
		res := asked(w, name, fmt.Sprintf(args, strings.Repeat("x", 9000)), nil, "")
		if res.Outcome != tool.Failed || res.Question != nil || !strings.Contains(res.Text, "too long to be shown whole") {
			t.Errorf("%.200s", res.Text)
		}
	}
	if writes := sim.Writes(w.Sent()); len(writes) > 0 {
		t.Error(writes)
	}
}

// shownIn reads the arguments in a question.
func shownIn(t *testing.T, q *tool.Question) map[string]any {
	t.Helper()
	_, list, ok := strings.Cut(q.Message, "\n"+change.ArgumentsHeading+"\n")
	if !ok {
		t.Fatalf("no arguments: %q", q.Message)
	}
	got := map[string]any{}
	for line := range strings.Lines(list) {
		name, value, is := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  "), ": ")
		if !strings.HasPrefix(line, "  ") || !is {
			continue // what is typed
		}
		for _, r := range value {
			if !unicode.IsPrint(r) || unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
				t.Errorf("%q does not show", r)
			}
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got[name] = v
	}
	return got
}

// question is a call that a human is asked about.
type question struct {
	name string
	args map[string]any
}

// questions are calls of every kind that a human is asked about, some of whose arguments
// are given.
func questions(a, b string, flag bool) []question {
	return []question{
		{"pve_vm_exec", map[string]any{"vmid": 100, "shell": a, "stdin": b, "timeout": 3}},
		{"pve_vm_exec", map[string]any{"vmid": 100, "command": []any{a, b, "x"}, "stdin": a + b}},
		{"pve_create_backup", map[string]any{"vmid": 102, "storage": "nfs", "prune": "keep-last=1", "notes": a, "protected": flag, "mode": "stop"}},
		{"pve_update_guest_config", map[string]any{"vmid": 104, "delete": []any{"unused0"}, "set": map[string]any{"description": a, "name": b}, "force": flag}},
		{"pve_delete_guest", map[string]any{"vmid": 204, "purge": flag, "destroy_unreferenced_disks": !flag}},
		{"pve_rollback_snapshot", map[string]any{"vmid": 102, "snapname": "after-upgrade", "start": flag}},
		{"pve_delete_snapshot", map[string]any{"vmid": 102, "snapname": "after-upgrade", "force": flag}},
		{"pve_restore_backup", map[string]any{"vmid": 105, "storage": b, "overwrite": true, "unique": flag, "start": !flag}},
	}
}

// asker is a host on a cluster of its own, on which questions change nothing.
func asker(tb testing.TB) tool.Host {
	tb.Helper()
	m := pvesim.Cluster()
	sim, err := pvesim.NewSim(m, pvesim.Options{Clock: pvesim.Scaled(1)})
	if err != nil {
		tb.Fatal(err)
	}
	host, err := demo.Host(sim.URL(), sim.Transport(), m.Token("root@pam!full"), policy.Policy{Exec: true, Confirm: policy.Human})
	if err != nil {
		tb.Fatal(err)
	}
	return host
}

// ask puts the question, if there is one, and holds it to the arguments.
func (call question) ask(t *testing.T, h tool.Host) *tool.Question {
	t.Helper()
	if call.name == "pve_restore_backup" {
		call.args["archive"] = someBackup(t, h)
	}
	args, err := json.Marshal(call.args)
	if err != nil {
		t.Fatal(err)
	}
	declared, _ := toolset.Named(call.name)
	res := declared.Call(t.Context(), h, tool.Request{Arguments: args, Caller: "test", CanAsk: true})
	if res.Question == nil {
		t.Logf("%s: %s", call.name, res.Text)
		return nil
	}
	var want map[string]any // as JSON has it
	if err := json.Unmarshal(args, &want); err != nil {
		t.Fatal(err)
	}
	got := shownIn(t, res.Question)
	for name, value := range want {
		if left := value == false || value == ""; !left && !reflect.DeepEqual(got[name], value) {
			t.Errorf("%s: %q is shown as %q in\n%s", name, value, got[name], res.Question.Message)
		}
	}
	return res.Question
}

// someBackup is a backup that there is.
func someBackup(t *testing.T, h tool.Host) string {
	t.Helper()
	list, _ := toolset.Named("pve_list_backups")
	var found struct{ Backups []struct{ VolID string } }
	res := list.Call(t.Context(), h, tool.Request{Arguments: json.RawMessage(`{"vmid":102,"storage":"pbs"}`)})
	if err := json.Unmarshal(res.Structured, &found); err != nil || found.Backups == nil {
		t.Fatal(err, res.Text)
	}
	return found.Backups[0].VolID
}

// Every tool that asks a human shows every argument, and every tool that may lose data or
// runs commands asks.
func TestTheQuestionShowsEveryArgument(t *testing.T) {
	h := asker(t)
	for _, call := range questions("a b", "nfs", true) {
		if call.ask(t, h) == nil {
			t.Errorf("%s asks nothing", call.name)
		}
	}
	for _, declared := range toolset.All() {
		if declared.Risk >= policy.Destructive {
			synctest.Test(t, func(t *testing.T) { someExampleAsks(t, declared) })
		}
	}
}

// someExampleAsks makes the calls of a tool's examples until a human is asked.
func someExampleAsks(t *testing.T, declared tool.Tool) {
	t.Helper()
	w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: policy.Policy{Exec: true, Confirm: policy.Human}})
	asks := slices.ContainsFunc(declared.Examples, func(e tool.Example) bool {
		call := question{name: declared.Name}
		if err := json.Unmarshal([]byte(w.Arguments(e)), &call.args); err != nil {
			t.Fatal(err)
		}
		delete(call.args, "confirm")
		return call.ask(t, w.Host) != nil
	})
	if !asks {
		t.Errorf("%s asks nothing with any of its examples", declared.Name)
	}
}

// Nothing that is in the arguments of a call is missing from the question about it.
func FuzzQuestion(f *testing.F) {
	for i := range uint8(8) {
		f.Add(i, "rm -rf /srv; "+strings.Repeat("x", 2000)+" reboot", "in", true)
		f.Add(i, "-- \u202e\u3164\u2028\n"+change.ArgumentsHeading, "a\n  vmid: 1", false)
		f.Add(i, "\x00\U000e0100\u2800\xff<&>\r", "\u00ad\u034f", i%2 == 0)
	}
	h := asker(f)
	f.Fuzz(func(t *testing.T, which uint8, a, b string, flag bool) {
		calls := questions(a, b, flag)
		calls[int(which)%len(calls)].ask(t, h)
	})
}

// Where nobody can be asked, the answer says what would be lost and the exact call.
func TestTheCallThatWouldConfirm(t *testing.T) {
	w := sim.New(t, sim.Options{Policy: policy.Policy{Confirm: policy.Param}})
	a := w.Call("pve_delete_snapshot", `{"vmid":"102","snapname":"after-upgrade"}`)
	want := `If this is what the user wants, call again: pve_delete_snapshot {"confirm":true,"snapname":"after-upgrade","vmid":102}`
	if a.Outcome != tool.NeedsConfirmation || a.Fields["next"] != want {
		t.Errorf("%s", a.Text)
	}
}
