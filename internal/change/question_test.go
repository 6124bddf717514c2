package change_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

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
		if name, isName := call.args["vmid"].(string); isName { // the question has the id of a guest
			call.args["vmid"] = w.Call("pve_guest_status", fmt.Sprintf(`{"vmid":%q}`, name)).Fields["vmid"]
		}
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
