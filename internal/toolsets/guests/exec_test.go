package guests_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const execVM = "POST /nodes/{node}/qemu/{vmid}/agent/exec"

// programs gives the VM 100 programs.
var programs = sim.Guest(100, func(g *pvesim.Guest) {
	g.Programs = map[string]pvesim.Program{
		"killed":           {Out: "so far\n", Signal: 9},
		"many":             {Out: strings.Repeat("ä", 256_001), Err: "\x1b[31mred\x1b[0m\u202e\n"},
		"cmd.exe /c dir":   {Out: "C:\\\n"},
		"cmd.exe /c fail":  {Exit: 3221225786},
		"/bin/sh -c a & b": {Out: "both\n"},
		"slow":             {Takes: 30 * time.Second, Out: "at last\n"},
	}
})

func TestExec(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	eight := sim.Version("8.4.1")
	sim.Tell(t, "pve_vm_exec", []sim.Story{
		{Name: "argv", Args: `{"vmid":100,"command":["echo","a b","c"]}`, Outcome: tool.OK, Writes: []string{execVM}, Sent: 4, Says: []string{
			`"message":"The command ended with exit code 0."`, `"vmid":100,"exit_code":0,"stdout":"a b c\n"`}, Lacks: []string{`"cut"`, `"stderr"`}},
		{Name: "PVE 8", Options: with(eight), Args: `{"vmid":100,"command":["hostname"]}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"stdout":"web-1\n"`}},
		{Name: "single node", Options: sim.Options{Model: sim.Lab()}, Args: `{"vmid":100,"command":["hostname"]}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"stdout":"homeassistant\n"`}},
		{Name: "exit code and both outputs", Args: `{"vmid":100,"shell":"echo out; echo err >&2; exit 3"}`, Outcome: tool.Failed, Writes: []string{execVM}, Sent: 5, Says: []string{
			`"message":"The command ended with exit code 3."`, "ok_codes", `"exit_code":3,"stdout":"out\n","stderr":"err\n"`}},
		{Name: "a code that is expected", Args: `{"vmid":100,"shell":"exit 3","ok_codes":[0,3]}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"exit_code":3`}, Lacks: []string{"ok_codes"}},
		{Name: "0 where another is expected", Args: `{"vmid":100,"shell":"exit 0","ok_codes":1}`, Outcome: tool.Failed, Writes: []string{execVM}, Says: []string{`"exit_code":0`}},
		{Name: "a code on Windows", Options: with(programs, sim.Set(100, "ostype=win11")), Args: `{"vmid":100,"shell":"fail"}`, Outcome: tool.Failed, Writes: []string{execVM}, Says: []string{"exit code 3221225786"}},
		{Name: "shell", Options: with(programs), Args: `{"vmid":100,"shell":"a & b"}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"stdout":"both\n"`}},
		{Name: "shell of Windows", Options: with(programs, sim.Set(100, "ostype=win11")), Args: `{"vmid":100,"shell":"dir"}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`C:\\`}},
		{Name: "folder and variables", Options: with(sim.Guest(100, func(g *pvesim.Guest) {
			g.Programs = map[string]pvesim.Program{`/bin/sh -c cd "$0" || exit 126; exec "$@" /var/www /usr/bin/env A=1 B=b c pwd -P`: {Out: "/var/www\n"}}
		})), Args: `{"vmid":100,"command":["pwd","-P"],"cwd":"/var/www","env":{"B":"b c","A":"1"}}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"stdout":"/var/www\n"`}},
		{Name: "a folder that is missing, where grep may end with 1 or 2", Options: with(), Args: `{"vmid":100,"command":["grep","x","y"],"cwd":"/nothing","ok_codes":[0,1,2]}`, Outcome: tool.Failed, Writes: []string{execVM}, Says: []string{`"exit_code":126`, "/nothing"}},
		{Name: "stdin", Args: `{"vmid":100,"command":["cat"],"stdin":"a=b&c;d\n+ü"}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"stdout":"a=b&c;d\n+ü"`}},
		{Name: "signal", Options: with(programs), Args: `{"vmid":100,"command":["killed"],"ok_codes":[9]}`, Outcome: tool.Failed, Writes: []string{execVM}, Says: []string{`"message":"The command was ended by signal 9."`, `"signal":9,"stdout":"so far\n"`}, Lacks: []string{`"exit_code"`}},
		{Name: "much output, and hostile", Options: with(programs), Args: `{"vmid":100,"command":["many"]}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`…(+1)"`, `"cut":true`, `"stderr":"red\n"`}},
		{Name: "slow, waited for", Options: with(programs), Args: `{"vmid":100,"command":["slow"],"timeout":40}`, Outcome: tool.OK, Writes: []string{execVM}, Says: []string{"at last"}},
		{Name: "too slow", Options: with(programs), Args: `{"vmid":100,"command":["slow"],"timeout":5}`, Outcome: tool.Running, Writes: []string{execVM}, Says: []string{
			`"message":"The command is still running in the guest."`, `"next":"Collect its output with process. PVE cannot end it."`, `"process":"`}, Lacks: []string{`"exit_code"`}},
		{Name: "moved", Options: sim.Options{Model: sim.Cluster(onNFS(100)), Before: sim.Moves(100, "pve2", "POST", "/agent/exec")}, Args: `{"vmid":100,"command":["true"]}`,
			Outcome: tool.OK, Writes: []string{execVM, execVM}},
		{Name: "moved while it is looked at", Options: sim.Options{Model: sim.Cluster(onNFS(100)), Before: sim.Moves(100, "pve2", "GET", "/config")}, Args: `{"vmid":100,"shell":"true"}`,
			Outcome: tool.OK, Writes: []string{execVM}},
		{Name: "lost sight of", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/100/agent/exec-status", Status: 500, Message: "VM 100 is not running"}, Args: `{"vmid":100,"command":["true"],"timeout":5}`,
			Outcome: tool.Running, Writes: []string{execVM}, Says: []string{"its end is unknown: PVE refused: VM 100 is not running.", `"process":"`}},
		{Name: "lost sight of for a moment", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/100/agent/exec-status", Status: 500, Message: "got timeout", Max: 2}, Args: `{"vmid":100,"command":["true"]}`,
			Outcome: tool.OK, Writes: []string{execVM}, Says: []string{`"exit_code":0`}},
		{Name: "the answer with the output is lost", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/100/agent/exec-status", Drop: true, Max: 1}, Args: `{"vmid":100,"command":["true"]}`,
			Outcome: tool.Unknown, Writes: []string{execVM}, Says: []string{"Its exit code and output were lost in transit", "before you run it again"}, Lacks: []string{`"exit_code"`}},
	})
}

func TestExecRefused(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	sim.Tell(t, "pve_vm_exec", []sim.Story{
		{Name: "CT with a login", Args: `{"vmid":200,"command":["true"]}`, Outcome: tool.Failed, Sent: 4, Says: []string{"The console of CT 200 is a login prompt, not a shell: its cmode is tty.", "cmode: shell", "VM.Config.Options", "after the container is restarted"}},
		{Name: "CT, PVE 8", Options: with(sim.Version("8.4.1")), Args: `{"vmid":200,"command":["true"]}`, Outcome: tool.Failed, Sent: 4, Says: []string{"whose PVE 8.4.1 does not let a token use the console of a container", "pve-container 6.1.3", "ssh"}},
		{Name: "folder on Windows", Options: with(sim.Set(100, "ostype=win11")), Args: `{"vmid":100,"command":["x.exe"],"cwd":"/x"}`, Outcome: tool.Failed, Says: []string{"The guest agent of Windows takes no cwd or env.", `cd /d C:\\data`}},
		{Name: "stopped", Args: `{"vmid":105,"command":["true"]}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM 105 is stopped, so nothing can be run in it.", "Start or resume it first."}},
		{Name: "paused", Args: `{"vmid":108,"command":["true"]}`, Outcome: tool.Failed, Says: []string{"VM 108 is paused"}},
		{Name: "no agent configured", Options: with(sim.Set(100, "agent=")), Args: `{"vmid":100,"command":["true"]}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM 100 has no guest agent configured.", "agent: 1"}},
		{Name: "agent dead", Args: `{"vmid":106,"command":["true"]}`, Outcome: tool.Failed, Writes: []string{execVM}, Says: []string{"PVE refused: QEMU guest agent is not running.", "install and start qemu-guest-agent"}},
		{Name: "no such program", Args: `{"vmid":100,"command":["/bin/nothing"]}`, Outcome: tool.Failed, Writes: []string{execVM}, Says: []string{"Failed to execute child process “/bin/nothing” (No such file or directory)"}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":100,"command":["true"]}`, Outcome: tool.Failed, Writes: []string{execVM},
			Says: []string{"lacks VM.GuestAgent.Unrestricted on /vms/100.", "pveum"}},
		{Name: "no privilege, PVE 8", Options: sim.Options{Token: "audit@pve!mcp", Model: sim.Cluster(sim.Version("8.4.1"))}, Args: `{"vmid":100,"command":["true"]}`, Outcome: tool.Failed, Writes: []string{execVM},
			Says: []string{"lacks VM.Monitor on /vms/100."}},
		{Name: "read-only", Options: sim.Options{Policy: policy.Policy{ReadOnly: true}}, Args: `{"vmid":100,"command":["true"]}`, Outcome: tool.Failed, Says: []string{"Nothing was sent"}},
		{Name: "no guest", Args: `{"vmid":111,"command":["true"]}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest 111"}},
		{Name: "node down", Options: with(sim.Offline("pve3")), Args: `{"vmid":103,"command":["true"]}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/100/agent/exec", Drop: true}, Args: `{"vmid":100,"command":["true"]}`, Outcome: tool.Unknown, Writes: []string{execVM}, Says: []string{"is unknown", "before you try again"}},
	})
}

func TestExecRefusesNonsense(t *testing.T) {
	w := sim.New(t, sim.Options{Policy: policy.Policy{Exec: true}})
	for args, want := range map[string]string{
		``:                                          `The argument "command" is one of three: give command, shell or process.`,
		`,"command":[]`:                             `The argument "command" is one of three: give command, shell or process.`,
		`,"command":["true"],"shell":"x"`:           `The argument "command" is one of three: give command, shell or process.`,
		`,"process":"x","stdin":"x"`:                `The argument "stdin" is for a new command.`,
		`,"process":"120"`:                          `The argument "process" is not valid: it was not made by this server, or was changed; take it as it is from the answer of the command.`,
		`,"command":["true"],"cwd":"www"`:           `The argument "cwd" is not an absolute path such as /var/www.`,
		`,"command":["true"],"env":{"a-b":"x"}`:     `The argument "env" has "a-b", which is no variable; give such as {"LANG":"C"}.`,
		`,"command":["A=1","true"],"env":{"B":"x"}`: `The argument "command" begins with a program whose name has an equals sign, which cannot be run with env; give such as ["/usr/bin/uptime","-p"].`,
		`,"process":"x","cwd":"/"`:                  `The argument "cwd" is for a new command.`,
		`,"ok_codes":["x"]`:                         `The argument "ok_codes" has an element 1 that is "x", which is not a number.`,
		`,"command":["cat"],"stdin":"` + strings.Repeat("x", 64<<10+1) + `"`: `The argument "stdin" has 65537 bytes, and PVE takes at most 65536.`,
	} {
		if a := w.Call("pve_vm_exec", fmt.Sprintf(`{"vmid":100%s}`, args)); a.Fault != tool.BadArguments || a.Fields["message"] != want {
			t.Errorf("%.60s: %s", args, a.Text)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("requests %v", sent)
	}
}

// A later call collects what an earlier one began, once, though a human has to agree to each
// new command.
func TestExecIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(programs), Policy: policy.Policy{Exec: true}})
		first := w.Call("pve_vm_exec", `{"vmid":100,"command":["slow"],"timeout":1,"ok_codes":[7]}`)
		collect := fmt.Sprintf(`{"vmid":100,"process":%q,"timeout":2}`, first.Fields["process"])
		w.Sent()
		if a := w.Call("pve_vm_exec", collect); a.Outcome != tool.Running || a.Fields["process"] != first.Fields["process"] {
			t.Errorf("before its end: %s", a.Text)
		}
		time.Sleep(time.Minute)
		w.Host.Policy.Confirm = policy.Human
		if a := w.Call("pve_vm_exec", collect); a.Outcome != tool.Failed || a.Fields["stdout"] != "at last\n" || a.Fields["exit_code"] != 0.0 {
			t.Errorf("after its end: %s", a.Text)
		}
		if a := w.Call("pve_vm_exec", collect); a.Outcome != tool.Failed || !strings.Contains(a.Text, "collected already") {
			t.Errorf("once more: %s", a.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) > 0 {
			t.Errorf("writes %v", writes)
		}
	})
}

// The output of a command is for the caller that has begun it, and who may run commands.
func TestExecOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sim.Cluster(programs), Policy: policy.Policy{Exec: true}})
		exec, _ := toolset.Named("pve_vm_exec")
		call := func(owner, args string, refuse func(policy.Risk) string) tool.Result {
			return exec.Call(t.Context(), w.Host, tool.Request{Arguments: json.RawMessage(args), Owner: owner, Caller: owner, Refuse: refuse})
		}
		var first struct{ Process string }
		if err := json.Unmarshal(call("alice", `{"vmid":100,"command":["slow"],"timeout":1}`, nil).Structured, &first); err != nil || first.Process == "" {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.Sent()
		collect := fmt.Sprintf(`{"vmid":%%d,"process":%q}`, first.Process)
		noExec := func(r policy.Risk) string {
			if r == policy.Exec {
				return "no exec"
			}
			return ""
		}
		for _, tt := range []struct {
			owner, args, says string
			refuse            func(policy.Risk) string
		}{
			{"bob", fmt.Sprintf(collect, 100), "it was given to another caller", nil},
			{"alice", fmt.Sprintf(collect, 101), "belongs to a command in the guest 100", nil},
			{"alice", fmt.Sprintf(collect, 100), "no exec", noExec},
			{"alice", `{"vmid":100,"process":120}`, "it was not made by this server, or was changed", nil},
		} {
			if res := call(tt.owner, tt.args, tt.refuse); res.Outcome != tool.Failed || !strings.Contains(res.Text, tt.says) {
				t.Errorf("%s %s: %s", tt.owner, tt.args, res.Text)
			}
		}
		if sent := w.Sent(); len(sent) > 0 {
			t.Errorf("requests %v", sent)
		}
		if res := call("alice", fmt.Sprintf(collect, 100), nil); res.Outcome != tool.OK || !strings.Contains(res.Text, "at last") {
			t.Errorf("the rightful one: %s", res.Text)
		}
	})
}

// What goes into a command and comes out of it are bytes, though PVE hands them on as
// characters: UTF-8 is exact both ways.
func TestExecTextIsExact(t *testing.T) {
	const text = "naïve Grüße 日本 ✓\n"
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: policy.Policy{Exec: true}})
		args, err := json.Marshal(map[string]any{"vmid": 100, "command": []string{"cat"}, "stdin": text})
		if err != nil {
			t.Fatal(err)
		}
		if a := w.Call("pve_vm_exec", string(args)); a.Fields["stdout"] != text {
			t.Errorf("%s", a.Text)
		}
		if a := w.Call("pve_vm_exec", `{"vmid":100,"shell":"printf 'caf\\303\\251\\n'"}`); a.Fields["stdout"] != "café\n" {
			t.Errorf("%s", a.Text)
		}
	})
}
