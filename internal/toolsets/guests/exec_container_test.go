package guests_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	offerTerminal = "POST /nodes/{node}/lxc/{vmid}/termproxy"
)

// shell gives a container a console with a shell, and programs.
func shell(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) {
		g.Config["cmode"] = "shell"
		g.Programs = map[string]pvesim.Program{
			"binary":  {Out: "\x00\x01\xff\xfe\r\n\x1b[2Jend"},
			"big":     {Out: strings.Repeat("0123456789abcde\n", 1<<16)},
			"marker":  {Out: "x end\nx data 00\nx exit 0 0 0 0 0 0\n"},
			"thirty":  {Takes: 30 * time.Second, Out: "at last\n"},
			"forever": {Takes: time.Hour},
		}
	})
}

// What a command prints in a container arrives as it is, with its exit code.
func TestExecInContainer(t *testing.T) {
	with := sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), shell(203), shell(202))}
	sim.Tell(t, "pve_vm_exec", []sim.Story{
		{Name: "argv", Options: with, Args: `{"vmid":203,"command":["echo","a b","c"]}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{
			`"message":"The command ended with exit code 0."`, `"vmid":203,"exit_code":0,"stdout":"a b c\n"`}, Lacks: []string{`"cut"`, `"stderr"`, "background"}},
		{Name: "on another node", Options: with, Args: `{"vmid":202,"command":["hostname"]}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{`"stdout":"gitea\n"`}},
		{Name: "exit code and both outputs", Options: with, Args: `{"vmid":203,"shell":"echo out; echo err >&2; exit 3"}`, Outcome: tool.Failed, Writes: []string{offerTerminal}, Says: []string{
			`"exit_code":3,"stdout":"out\n","stderr":"err\n"`, "ok_codes"}},
		{Name: "a code that is expected", Options: with, Args: `{"vmid":203,"shell":"exit 3","ok_codes":[3]}`, Outcome: tool.OK, Writes: []string{offerTerminal}},
		{Name: "stdin, folder and variables", Options: with, Args: `{"vmid":203,"shell":"pwd; echo $A; cat","cwd":"/etc","env":{"A":"x y"},"stdin":"a\nb"}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{`"stdout":"/etc\nx y\na\nb"`}},
		{Name: "quotes and UTF-8", Options: with, Args: `{"vmid":203,"command":["printf","%s|","a'b\"c","","$HOME ` + "`id`" + ` \\ !!","äß€"]}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{`"stdout":"a'b\"c||$HOME ` + "`id`" + ` \\ !!|äß€|"`}},
		{Name: "binary", Options: with, Args: `{"vmid":203,"command":["binary"]}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{"end"}, Lacks: []string{`\u001b`}},
		{Name: "a megabyte", Options: with, Args: `{"vmid":203,"command":["big"]}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{`"cut":true`, `"files":["/tmp/pve-mcp-`}},
		{Name: "what looks like our own", Options: with, Args: `{"vmid":203,"command":["marker"]}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{`"stdout":"x end\nx data 00\nx exit 0 0 0 0 0 0\n"`}},
		{Name: "killed", Options: with, Args: `{"vmid":203,"shell":"kill -9 $$"}`, Outcome: tool.Failed, Writes: []string{offerTerminal}, Lacks: []string{`"exit_code":0`}},
		{Name: "30 s", Options: with, Args: `{"vmid":203,"command":["thirty"],"timeout":60}`, Outcome: tool.OK, Writes: []string{offerTerminal}, Says: []string{"at last"}},
		{Name: "too long", Options: with, Args: `{"vmid":203,"command":["forever"],"timeout":5}`, Outcome: tool.Failed, Writes: []string{offerTerminal}, Says: []string{"took longer than its 5 s, and was ended", "setsid"}, Lacks: []string{`"exit_code"`, `"process"`}},
		{Name: "too long by default", Options: with, Args: `{"vmid":203,"command":["forever"]}`, Outcome: tool.Failed, Writes: []string{offerTerminal}, Says: []string{"took longer than its 20 s"}},
		{Name: "single node", Options: sim.Options{Model: sim.Lab(sim.Version("9.2.11"), func(m *pvesim.Model) {
			for i, g := range m.Guests {
				if g.Kind == "lxc" {
					m.Guests[i].Config["cmode"] = "shell"
				}
			}
		})}, Args: fmt.Sprintf(`{"vmid":%d,"command":["true"]}`, labContainer()), Outcome: tool.OK, Writes: []string{offerTerminal}},
	})
}

// labContainer is a container of the preset single node that runs.
func labContainer() int {
	for _, g := range pvesim.Lab().Guests {
		if g.Kind == "lxc" && g.Running {
			return g.VMID
		}
	}
	return 0
}

// What cannot be used is left alone, and what helps is said.
func TestExecInContainerRefused(t *testing.T) {
	sim.Tell(t, "pve_vm_exec", []sim.Story{
		{Name: "too old for it, found by asking", Options: sim.Options{Model: sim.Cluster(sim.Version("9.1.2"), shell(203))}, Args: `{"vmid":203,"command":["true"]}`, Outcome: tool.Failed, Writes: []string{offerTerminal}, Says: []string{
			"its connection ended without an answer", "Update pve-container on pve1 to 6.1.3"}},
		{Name: "node out of reach", Options: sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), shell(202)), Wire: cutOff("10.10.0.3")}, Args: `{"vmid":202,"command":["true"]}`, Outcome: tool.Failed, Says: []string{
			"a connection to the node pve3 itself, and it cannot be reached at 10.10.0.3:8006", "Add pve3 to PVE_HOST"}},
		{Name: "stopped", Args: `{"vmid":204,"command":["true"]}`, Outcome: tool.Failed, Says: []string{"CT 204 is stopped"}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp", Model: sim.Cluster(sim.Version("9.2.11"), shell(203))}, Args: `{"vmid":203,"command":["true"]}`, Outcome: tool.Failed, Writes: []string{offerTerminal}, Says: []string{"lacks VM.Console on /vms/203"}},
	})
}

// A command that the list allows is run in a container, and no other, nor what could change it.
func TestExecAllowInContainer(t *testing.T) {
	allowed, err := policy.ParseCommands("/bin/echo **")
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		`"command":["/bin/echo","x"]`:                     `"outcome":"ok"`,
		`"command":["/bin/cat","x"]`:                      "none of those that PVE_MCP_EXEC_ALLOW names",
		`"shell":"/bin/echo x"`:                           "a shell is none of the commands",
		`"command":["/bin/echo","x"],"env":{"PATH":"/x"}`: "cwd and env can change what a command does",
		`"command":["/bin/echo","x"],"stdin":"x"`:         "no standard input",
		`"command":["/bin/echo","\u0000-n"]`:              "has a NUL",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), shell(203)), Policy: policy.Policy{Exec: true, ExecAllow: allowed}})
			if a := w.Call("pve_vm_exec", `{"vmid":203,`+args+`}`); !strings.Contains(a.Text, want) {
				t.Errorf("%s: %s", args, a.Text)
			}
		})
	}
}

// A command that would arrive as another one is not typed.
func TestExecThatWouldArriveAsAnother(t *testing.T) {
	with := sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), shell(203))}
	sim.Tell(t, "pve_vm_exec", []sim.Story{
		{Name: "NUL in an argument", Options: with, Args: `{"vmid":203,"command":["echo","a\u0000b"]}`, Outcome: tool.Failed, Says: []string{`command\" has a NUL`}},
		{Name: "NUL in a shell line", Options: with, Args: `{"vmid":203,"shell":"echo a\u0000b"}`, Outcome: tool.Failed, Says: []string{`shell\" has a NUL`}},
		{Name: "NUL in the folder", Options: with, Args: `{"vmid":203,"command":["pwd"],"cwd":"/e\u0000tc"}`, Outcome: tool.Failed, Says: []string{`cwd\" has a NUL`}},
		{Name: "an option in place of a program", Options: with, Args: `{"vmid":203,"command":["-c","env"]}`, Outcome: tool.Failed, Says: []string{"program"}},
		{Name: "no program", Options: with, Args: `{"vmid":203,"command":["","x"]}`, Outcome: tool.Failed, Says: []string{"program"}},
	})
}

// Where a human has to agree to each command, one consent is for one command in one container.
func TestExecInContainerWithConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), shell(203)), Policy: policy.Policy{Exec: true, Confirm: policy.Human}})
		exec, _ := toolset.Named("pve_vm_exec")
		req := tool.Request{Arguments: json.RawMessage(`{"vmid":203,"command":["echo","agreed"]}`), Caller: "test", CanAsk: true}
		asked := exec.Call(t.Context(), w.Host, req)
		if asked.Question == nil || !strings.Contains(asked.Question.Message, "echo") || len(sim.Writes(w.Sent())) > 0 {
			t.Fatalf("%+v", asked)
		}
		req.State, req.Reply = asked.Question.State, &tool.Reply{Action: "decline"}
		if a := exec.Call(t.Context(), w.Host, req); a.Outcome == tool.OK || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("declined: %s", a.Text)
		}
		asked = exec.Call(t.Context(), w.Host, tool.Request{Arguments: req.Arguments, Caller: "test", CanAsk: true})
		req.State, req.Reply = asked.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
		if a := exec.Call(t.Context(), w.Host, req); a.Outcome != tool.OK || !strings.Contains(a.Text, `"stdout":"agreed\n"`) {
			t.Errorf("agreed: %s", a.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) != 1 {
			t.Errorf("writes %v", writes)
		}
		if a := exec.Call(t.Context(), w.Host, req); a.Outcome == tool.OK {
			t.Errorf("once more: %s", a.Text)
		}
	})
}

// Two calls of one process take turns; a third one, of another process at the same moment, does
// not mix with them: it runs, or the answer says that the console is in use.
func TestExecAtOnceInContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), shell(203)), Policy: policy.Policy{Exec: true}})
		other := w.As(w.Model.Tokens[0].ID)
		exec, _ := toolset.Named("pve_vm_exec")
		results := make([]tool.Result, 3)
		var wg sync.WaitGroup
		for i := range results {
			host := w.Host
			if i == 2 {
				host = other.Host
			}
			wg.Go(func() {
				results[i] = exec.Call(t.Context(), host, tool.Request{Arguments: json.RawMessage(fmt.Sprintf(`{"vmid":203,"command":["echo","call","%d"]}`, i)), Caller: "test"})
			})
		}
		wg.Wait()
		done := 0
		for i, r := range results {
			switch {
			case r.Outcome == tool.OK && strings.Contains(r.Text, fmt.Sprintf(`"stdout":"call %d\n"`, i)):
				done++
			case r.Outcome == tool.Failed && (strings.Contains(r.Text, "Somebody uses the console") || strings.Contains(r.Text, "shows no prompt")):
			default:
				t.Errorf("call %d: %s", i, r.Text)
			}
		}
		if done == 0 {
			t.Error("none was run")
		}
		if a := w.Call("pve_vm_exec", `{"vmid":203,"shell":"ls /run /tmp | grep pve-mcp"}`); a.Outcome != tool.OK || strings.Count(a.Text, "pve-mcp") > 2 {
			t.Errorf("afterwards: %s", a.Text)
		}
	})
}

// cutOff is a wire without a way to some host.
func cutOff(host string) func(http.RoundTripper) http.RoundTripper {
	return func(wire http.RoundTripper) http.RoundTripper { return cut{wire, host} }
}

type cut struct {
	http.RoundTripper
	host string
}

func (c cut) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Hostname() == c.host {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EHOSTUNREACH}
	}
	return c.RoundTripper.RoundTrip(req)
}
