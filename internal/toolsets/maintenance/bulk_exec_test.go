package maintenance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// withShells is the preset cluster with a shell on the console of each container, and programs in
// each guest.
func withShells(changes ...func(*pvesim.Model)) *pvesim.Model {
	return sim.Cluster(append([]func(*pvesim.Model){sim.Version("9.2.11"), func(m *pvesim.Model) {
		for i := range m.Guests {
			g := &m.Guests[i]
			if g.Kind == "lxc" {
				g.Config["cmode"] = "shell"
			}
			g.Programs = map[string]pvesim.Program{"slow": {Takes: 2 * time.Minute, Out: "at last\n"}}
		}
	}}, changes...)...)
}

// mayExec lets commands be run.
var mayExec = policy.Policy{Exec: true}

// resultsOf are the rows of an answer about a command.
func resultsOf(a sim.Answer) []map[string]any {
	var out []map[string]any
	all, _ := a.Fields["results"].([]any)
	for _, one := range all {
		row, _ := one.(map[string]any)
		out = append(out, row)
	}
	return out
}

// changeIn is what pve_task_status says of a change.
func changeIn(a sim.Answer) sim.Answer {
	fields, _ := a.Fields["change"].(map[string]any)
	return sim.Answer{Fields: fields}
}

// shellRuns are the requests that begin a command.
func shellRuns(w *sim.World) (n int) {
	for _, s := range sim.Writes(w.Sent()) {
		if strings.HasSuffix(s, "/agent/exec") || strings.HasSuffix(s, "/termproxy") {
			n++
		}
	}
	return n
}

// A command runs in VMs and containers. Guests in which it ended alike are one row, and the worst
// end is on top.
func TestBulkExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		a := w.Call("pve_bulk_action", `{"action":"exec","guests":"100-104,200,201","shell":"echo same; echo out >&2","wait":45}`)
		rows := resultsOf(a)
		if a.Outcome != tool.OK || len(rows) != 1 || rows[0]["guests"] != "100-104,200-201" || rows[0]["exit_code"] != 0.0 || rows[0]["stdout"] != "same\n" || rows[0]["stderr"] != "out\n" {
			t.Errorf("%s", a.Text)
		}
		if n := shellRuns(w); n != 7 {
			t.Errorf("it was begun %d times", n)
		}
		a = w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,200","shell":"hostname; test $(hostname) != web-2 || exit 3","wait":45}`)
		rows = resultsOf(a)
		if a.Outcome != tool.Failed || len(rows) != 3 || rows[0]["guests"] != "101 web-2" || rows[0]["exit_code"] != 3.0 || rows[1]["stdout"] != "web-1\n" || rows[2]["stdout"] != "proxy\n" {
			t.Errorf("%s", a.Text)
		}
		for _, words := range []string{`in 3 guests: 2 ok, 1 failed.`, `In 1 guest the command itself ended with another exit code than 0.`} {
			if !strings.Contains(a.Text, words) {
				t.Errorf("%s: %s", words, a.Text)
			}
		}
		a = w.Call("pve_bulk_action", `{"action":"exec","guests":"100,106","shell":"true","wait":45}`)
		if rows = resultsOf(a); a.Outcome != tool.Failed || len(rows) != 2 || rows[0]["outcome"] != "failed" || !strings.Contains(fmt.Sprint(rows[0]), "guest agent is not running") || rows[0]["exit_code"] != nil {
			t.Errorf("%s", a.Text)
		}
	})
}

// Where no command can be run, nothing begins, and it is said of each guest why. The others have
// it if that is asked for.
func TestBulkExecImpossible(t *testing.T) {
	rules, err := policy.ParseRules("102")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: policy.Policy{Exec: true, Protect: rules}, Model: withShells(sim.Set(101, "agent="), sim.Set(201, "cmode=tty"))})
		a := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,102,105,201","shell":"true"}`)
		for _, words := range []string{"4 of 5 guests cannot", "101 web-2: VM 101 has no guest agent configured", "102 db-1: ", "PVE_MCP_PROTECT", "105 build-1: VM 105 is stopped", "201 dns: The console of CT 201 is a login prompt", "skip_impossible: true"} {
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, words) {
				t.Errorf("%s: %s", words, a.Text)
			}
		}
		if n := len(sim.Writes(w.Sent())); n > 0 {
			t.Fatalf("%d writes", n)
		}
		a = w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,102,105,201","shell":"true","skip_impossible":true,"wait":45}`)
		if a.Outcome != tool.OK || shellRuns(w) != 1 || len(list(a, "cannot")) != 4 {
			t.Errorf("%s", a.Text)
		}
		for args, want := range map[string]string{
			`{"action":"exec","guests":"100"}`:                                      `"shell\" is for exec, which needs it`,
			`{"action":"start","guests":"100","shell":"true"}`:                      `"shell\" is for exec`,
			`{"action":"exec","guests":"100","shell":"true","snapname":"x"}`:        `snapname`,
			`{"action":"exec","guests":"100","shell":"a\u0000b"}`:                   `has a NUL character`,
			`{"action":"exec","guests":"100","shell":"true","timeout":4000}`:        `timeout`,
			`{"action":"exec","guests":"nobody*","shell":"true"}`:                   `nobody`,
			`{"action":"exec","guests":"100,101","command":["true"]}`:               `There is no argument`,
			`{"action":"exec","guests":"100,101","shell":"true","force_stop":true}`: `force_stop`,
			`{"action":"exec","guests":"100,101","shell":"true","parallel":100}`:    `PVE_MCP_PARALLEL`,
		} {
			if a := w.Call("pve_bulk_action", args); a.Outcome != tool.Failed || !strings.Contains(a.Text, strings.TrimPrefix(want, `"`)) {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
	})
}

// Commands are refused where they are off, where the caller may not run them, and where another
// one is allowed. Of those that are allowed, one is run without a shell.
func TestBulkExecNotAllowed(t *testing.T) {
	allowed, err := policy.ParseCommands("/usr/bin/printf **")
	if err != nil {
		t.Fatal(err)
	}
	bulk, _ := toolset.Named("pve_bulk_action")
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			policy      policy.Policy
			shell, want string
		}{
			{policy.Policy{}, "true", "PVE_MCP_ENABLE_EXEC is not true"},
			{policy.Policy{Exec: true, ReadOnly: true}, "true", "PVE_MCP_READ_ONLY"},
			{policy.Policy{Exec: true, ExecAllow: allowed}, "true", "a shell is none of the commands that PVE_MCP_EXEC_ALLOW names"},
			{policy.Policy{Exec: true, ExecAllow: allowed}, "/usr/bin/printf x; reboot", "a shell is none of the commands"},
			{policy.Policy{Exec: true, ExecAllow: allowed}, "/usr/bin/cat x", "none of those that PVE_MCP_EXEC_ALLOW names"},
			{policy.Policy{Exec: true, ExecAllow: allowed}, "/usr/bin/printf a.b", `"stdout":"a.b"`},
		} {
			w := sim.New(t, sim.Options{Token: full, Policy: tt.policy, Model: withShells()})
			a := w.Call("pve_bulk_action", fmt.Sprintf(`{"action":"exec","guests":"100,200","shell":%q,"wait":45}`, tt.shell))
			if (a.Outcome == tool.OK) != strings.Contains(tt.want, "stdout") || !strings.Contains(a.Text, tt.want) || strings.Contains(a.Text, "guests cannot") {
				t.Errorf("%s: %s", tt.shell, a.Text)
			}
			if n := shellRuns(w); a.Outcome != tool.OK && n > 0 {
				t.Errorf("%s: begun %d times", tt.shell, n)
			}
		}
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		refuse := func(risk policy.Risk) string {
			if risk == policy.Exec {
				return "the caller lacks pve:exec"
			}
			return ""
		}
		planned := w.Call("pve_bulk_action", `{"action":"exec","guests":"100","shell":"true","plan":true}`)
		for _, args := range []string{`{"action":"exec","guests":"100","shell":"true"}`, fmt.Sprintf(`{"plan_handle":%q}`, planned.Fields["plan_handle"])} {
			a := bulk.Call(t.Context(), w.Host, tool.Request{Caller: "test", Refuse: refuse, Arguments: json.RawMessage(args)})
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "pve:exec") || shellRuns(w) > 0 {
				t.Errorf("%s", a.Text)
			}
		}
	})
}

// The question names the command whole and the guests. It is asked where a human agrees to each
// command, and everywhere if the command is for many.
func TestBulkExecConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: policy.Policy{Exec: true, Confirm: policy.Human}, Model: withShells()})
		bulk, _ := toolset.Named("pve_bulk_action")
		line := "echo agreed; " + strings.Repeat("true; ", 40) + "true last"
		req := tool.Request{Arguments: json.RawMessage(fmt.Sprintf(`{"action":"exec","guests":"100,200","shell":%q,"wait":45}`, line)), Caller: "test", CanAsk: true}
		asked := bulk.Call(t.Context(), w.Host, req)
		if asked.Question == nil || len(sim.Writes(w.Sent())) > 0 {
			t.Fatalf("%s", asked.Text)
		}
		for _, words := range []string{line, "100 web-1", "200 proxy", "it runs as root"} {
			if !strings.Contains(asked.Question.Message, words) {
				t.Errorf("%s: %s", words, asked.Question.Message)
			}
		}
		req.State, req.Reply = asked.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
		if a := bulk.Call(t.Context(), w.Host, req); a.Outcome != tool.OK || shellRuns(w) != 2 {
			t.Errorf("%s", a.Text)
		}
		if a := bulk.Call(t.Context(), w.Host, req); a.Outcome == tool.OK || shellRuns(w) > 0 {
			t.Errorf("once more: %s", a.Text)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		for args, asks := range map[string]bool{`"guests":"100,200"`: false, `"guests":"all","skip_impossible":true`: true} {
			planned := w.Call("pve_bulk_action", `{"action":"exec","shell":"true","plan":true,`+args+`}`)
			if planned.Outcome != tool.Planned || strings.Contains(planned.Text, "It needs consent") != asks {
				t.Errorf("%s", planned.Text)
			}
			a := w.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, planned.Fields["plan_handle"]))
			if (a.Outcome == tool.NeedsConfirmation) != asks || asks && (shellRuns(w) > 0 || !strings.Contains(a.Text, "runs a command in many guests")) {
				t.Errorf("%s", a.Text)
			}
			w.Sent()
		}
	})
}

// What takes longer than the call goes on, and a later look has the output. A container ends what
// takes longer than its time; of a VM the output can be collected. A plan keeps the time.
func TestBulkExecTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		w.Host.Stays = true
		begun := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,200,201","shell":"slow","parallel":1,"wait":1}`)
		if begun.Outcome != tool.Running {
			t.Fatalf("%s", begun.Text)
		}
		look := fmt.Sprintf(`{"handle":%q,"wait":0}`, begun.Fields["handle"])
		if a := w.Call("pve_task_status", look); !strings.Contains(a.Text, `"outcome":"running"`) {
			t.Errorf("%s", a.Text)
		}
		time.Sleep(15 * time.Minute)
		seen := w.Call("pve_task_status", look)
		if rows := resultsOf(changeIn(seen)); len(rows) != 1 || rows[0]["guests"] != "100-101,200-201" || rows[0]["stdout"] != "at last\n" {
			t.Errorf("%s", seen.Text)
		}
		if n := shellRuns(w); n != 4 {
			t.Errorf("begun %d times", n)
		}
		planned := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,200","shell":"slow","timeout":5,"plan":true}`)
		a := w.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, planned.Fields["plan_handle"]))
		rows := resultsOf(a)
		if a.Outcome != tool.Unknown || len(rows) != 2 || rows[0]["guests"] != "100 web-1" || rows[0]["process"] == nil || !strings.Contains(fmt.Sprint(rows[1]["why"]), "took longer than its 5 s") {
			t.Fatalf("%s", a.Text)
		}
		time.Sleep(5 * time.Minute)
		if a := w.Call("pve_vm_exec", fmt.Sprintf(`{"vmid":100,"process":%q}`, rows[0]["process"])); a.Outcome != tool.OK || a.Fields["stdout"] != "at last\n" {
			t.Errorf("%s", a.Text)
		}
	})
}

// mortal is a store as a process sees it that is killed at some time.
type mortal struct {
	once.Store
	dies time.Time
}

func (m mortal) Claim(ctx context.Context, id string, until time.Time) (bool, error) {
	if time.Now().After(m.dies) {
		return false, errors.New("killed")
	}
	return m.Store.Claim(ctx, id, until)
}

// The server is killed after it has begun the command in some guests. Another one names them as
// unknown and those that were not begun, begins none twice, and begins the rest if it is asked to
// and what was begun is known to both.
func TestBulkExecKilled(t *testing.T) {
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells(), Wire: sim.Killed(2, false)})
				defer time.Sleep(2 * tool.HandleTime) // the killed server ends
				other := w.As(full)
				if shared {
					store, err := once.OpenFolder(t.TempDir())
					if err != nil {
						t.Fatal(err)
					}
					w.Host.Used, other.Host.Used = once.NewLedger(mortal{store, time.Now().Add(time.Minute)}), once.NewLedger(store)
				}
				w.Host.Stays, other.Host.Stays = true, true
				begun := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,102,200","shell":"echo once","parallel":1,"wait":0}`)
				handle, _ := begun.Fields["handle"].(string)
				time.Sleep(3 * time.Minute)
				other.Sent()
				if n := shellRuns(w); n != 2 {
					t.Fatalf("begun %d times before the end", n)
				}
				seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, handle))
				look := changeIn(seen)
				rows := resultsOf(look)
				unknown, notBegun := "100 web-1, 101 web-2", []string{"102 db-1", "200 proxy"}
				if !shared { // PVE has a task of each console that was opened, and none of an agent's commands
					unknown, notBegun = "100 web-1, 101 web-2, 102 db-1", notBegun[1:]
				}
				if len(rows) != 1 || rows[0]["guests"] != unknown || rows[0]["outcome"] != "unknown" || fmt.Sprint(list(look, "not_begun")) != fmt.Sprint(notBegun) || len(sim.Writes(other.Sent())) > 0 {
					t.Errorf("%s", seen.Text)
				}
				rest := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
				want := 0
				if shared {
					want = 2
				}
				if n := shellRuns(other); rest.Outcome != tool.Unknown || n != want {
					t.Errorf("began %d more: %s", n, rest.Text)
				}
				again := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
				if n := shellRuns(other); n > 0 || again.Outcome != tool.Unknown {
					t.Errorf("began %d once more: %s", n, again.Text)
				}
			})
		})
	}
}

// An answer about a hundred guests is bounded whatever they print, and counts what it leaves out.
// What it takes of PVE grows with the guests alone.
func TestBulkExecHundred(t *testing.T) {
	guests := effort.Of(50, 100, 100)
	hundred := func(m *pvesim.Model) {
		vm := m.Guests[0]
		m.Guests = nil
		for i := range guests {
			g := vm
			g.VMID, g.Node = 1000+i, fmt.Sprint("pve", 1+i%3)
			g.Config = map[string]string{"name": fmt.Sprint("g", i), "agent": "1", "memory": "64", "ostype": "l26", "cores": "1"}
			g.Programs = map[string]pvesim.Program{"long": {Out: strings.Repeat(fmt.Sprintf("line of %d\n", i), 500)}, "same": {Out: "9\n"}}
			g.Snapshots = nil
			m.Guests = append(m.Guests, g)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: sim.Cluster(hundred)})
		a := w.Call("pve_bulk_action", `{"action":"exec","guests":"all","shell":"same","confirm":true,"wait":45}`)
		if rows := resultsOf(a); a.Outcome != tool.OK || len(rows) != 1 || rows[0]["guests"] != fmt.Sprint("1000-", 999+guests) || len(a.Text) > 500 {
			t.Errorf("%.2000s", a.Text)
		}
		if n := len(w.Sent()); n > 6*guests {
			t.Errorf("%d requests", n)
		}
		a = w.Call("pve_bulk_action", `{"action":"exec","guests":"all","shell":"long","confirm":true,"wait":45}`)
		if a.Outcome != tool.OK || len(a.Text) > 9000 || len(resultsOf(a)) != 40 || a.Fields["left_out"] != float64(guests-39) || !strings.Contains(a.Text, "bytes cut]") || !strings.Contains(a.Text, "Not all is shown.") {
			t.Errorf("%d bytes: %.2000s", len(a.Text), a.Text)
		}
	})
}
