package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// process is a pve-mcp of its own.
type process struct {
	*testing.T
	cmd  *exec.Cmd
	to   io.WriteCloser
	from *bufio.Scanner
	id   int
}

// command is pve-mcp, which is this program by another name.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0], cmd.Dir = "pve-mcp", t.TempDir()
	return cmd
}

// run starts an MCP server.
func run(t *testing.T, env []string) *process {
	t.Helper()
	p := &process{T: t, cmd: command(t)}
	p.cmd.Env = env
	var err error
	if p.to, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.from = bufio.NewScanner(out)
	p.from.Buffer(nil, 1<<20)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
}

// simulated serves a cluster, and returns the settings for it.
func simulated(t *testing.T, speed string) (env []string) {
	t.Helper()
	sim := command(t, "sim", "--listen", "127.0.0.1:0", "--speed", speed)
	sim.Env = []string{}
	return simproc.Serve(t, sim)
}

// object is a JSON object.
type object = map[string]any

// send sends a request of a client that knows tasks, if it is to, and hears of progress.
func (p *process) send(tasks bool, method string, params object) {
	p.Helper()
	extensions := object{}
	if tasks {
		extensions["io.modelcontextprotocol/tasks"] = object{}
	}
	p.id++
	params["_meta"] = object{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": p.id,
		"io.modelcontextprotocol/clientCapabilities": object{"extensions": extensions},
	}
	line, err := json.Marshal(object{"jsonrpc": "2.0", "id": p.id, "method": method, "params": params})
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.to.Write(append(line, '\n')); err != nil {
		p.Fatal(err)
	}
}

// hear returns the next message: the result of the request, or a notification.
func (p *process) hear() (result object, notified string) {
	p.Helper()
	if !p.from.Scan() {
		p.Fatalf("it has ended: %v", p.from.Err())
	}
	var message struct {
		Method        string
		Result, Error object
	}
	if err := json.Unmarshal(p.from.Bytes(), &message); err != nil || message.Error != nil {
		p.Fatalf("%v %s", err, p.from.Text())
	}
	return message.Result, message.Method
}

// call calls a tool and returns what it answers, in fields.
func (p *process) call(name, args string) object {
	p.Helper()
	p.send(false, "tools/call", object{"name": name, "arguments": json.RawMessage(args)})
	for {
		if result, _ := p.hear(); result != nil {
			return result["structuredContent"].(object)
		}
	}
}

// operations are those that become a task of PVE, by a cluster as fast as it has to be for
// them to last some seconds.
var operations = []struct{ name, speed, tool, args, task string }{
	{"start", "3", "pve_guest_power", `{"vmid":204,"action":"start"}`, "vzstart"},
	{"shutdown", "3", "pve_guest_power", `{"vmid":104,"action":"shutdown"}`, "qmshutdown"},
	{"reboot", "3", "pve_guest_power", `{"vmid":101,"action":"reboot"}`, "qmreboot"},
	{"suspension", "3", "pve_guest_power", `{"vmid":100,"action":"suspend","todisk":true}`, "qmsuspend"},
	{"HA", "3", "pve_guest_power", `{"vmid":103,"action":"stop"}`, "hastop"},
	{"snapshot", "3", "pve_create_snapshot", `{"vmid":100,"snapname":"now","vmstate":true}`, "qmsnapshot"},
	{"rollback", "3", "pve_rollback_snapshot", `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, "qmrollback"},
	{"deletion of a snapshot", "3", "pve_delete_snapshot", `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, "qmdelsnapshot"},
	{"clone", "100", "pve_clone_guest", `{"vmid":900,"newid":333,"full":true}`, "qmclone"},
	{"backup", "100", "pve_create_backup", `{"vmid":104,"storage":"nfs"}`, "vzdump"},
	{"migration", "100", "pve_migrate_guest", `{"vmid":104,"target":"pve2","with_local_disks":true}`, "qmigrate"},
	{"deletion", "0.05", "pve_delete_guest", `{"vmid":105,"confirm":true}`, "qmdestroy"},
}

// A server that is killed in the middle of an operation only stops waiting: the next one
// finds the task in PVE's list, or by the handle that the client has.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, op := range operations[:effort.Of(2, len(operations), len(operations))] {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			for _, tasks := range []bool{false, true} {
				env := simulated(t, op.speed)
				first := run(t, env)
				first.send(tasks, "tools/call", object{"name": op.tool, "arguments": json.RawMessage(op.args)})
				result, notified := first.hear()
				if created := result != nil && result["resultType"] == "task"; created != tasks || !created && notified != "notifications/progress" {
					t.Fatalf("%q %v", notified, result)
				}
				first.kill()
				next := run(t, env)
				if got := next.end(op.task, result); got != "ok" && got != "warnings" {
					t.Errorf("tasks %v: it ended %s", tasks, got)
				}
				next.kill()
			}
		})
	}
}

// end returns how an operation ended that another server began: by its handle, if there
// is one.
func (p *process) end(task string, created object) string {
	p.Helper()
	if created == nil {
		list := p.call("pve_list_tasks", fmt.Sprintf(`{"type":%q,"limit":1}`, task))["tasks"].([]any)
		if len(list) == 0 {
			p.Fatal("the task is not in the list")
		}
		return fmt.Sprint(p.call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":45}`, list[0].(object)["upid"]))["state"])
	}
	p.call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":45}`, created["taskId"]))
	p.send(true, "tasks/get", object{"taskId": created["taskId"]})
	got, _ := p.hear()
	if got["status"] != "completed" {
		return fmt.Sprint(got)
	}
	return fmt.Sprint(got["result"].(object)["structuredContent"].(object)["outcome"])
}
