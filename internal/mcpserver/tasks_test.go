package mcpserver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// wire is a client that sees what is on the wire.
type wire struct {
	*sim.World
	to      *io.PipeWriter
	from    *bufio.Scanner
	ended   chan error
	id      int
	declare bool // the extension for tasks
}

// wired lets tell talk to a server of a world over stdio, as a client that declares the
// extension for tasks.
func wired(w *sim.World) *wire {
	in, to := io.Pipe()
	from, out := io.Pipe()
	c := &wire{World: w, to: to, from: bufio.NewScanner(from), ended: make(chan error, 1), declare: true}
	c.from.Buffer(nil, 1<<20)
	go func() {
		c.ended <- mcpserver.Serve(w.Context(), mcpserver.New(mcpserver.Options{Version: "test", Host: w.Host}), in, out)
		_ = out.Close()
	}()
	return c
}

func (c *wire) close() {
	_ = c.to.Close()
	if err := <-c.ended; err != nil {
		c.Error(err)
	}
}

// restarted lets the client talk to another server of the same cluster, which knows
// nothing of what the first one did.
func (c *wire) restarted() *wire {
	w := c.As("ops@pve!mcp")
	w.Host.Recent, w.Host.Now = nil, c.Host.Now
	return wired(w)
}

// begin calls a tool, which answers with a task at once.
func (c *wire) begin(name, args string) object {
	c.Helper()
	begun := time.Now()
	task := c.call(name, args)
	if task["resultType"] != "task" || task["status"] != "working" || time.Since(begun) > 2*time.Second {
		c.Fatalf("after %v: %v", time.Since(begun), task)
	}
	return task
}

// object is a JSON object.
type object = map[string]any

// ask sends a request and returns the answer's result or error.
func (c *wire) ask(method string, params object) (result, failure object) {
	c.Helper()
	extensions := object{}
	if c.declare {
		extensions[mcptask.Extension] = object{}
	}
	c.id++
	params["_meta"] = object{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": object{"name": "wire", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": object{"extensions": extensions},
	}
	line, err := json.Marshal(object{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	if err != nil {
		c.Fatal(err)
	}
	go func() { _, _ = c.to.Write(append(line, '\n')) }()
	for c.from.Scan() {
		var answer struct {
			ID            int
			Result, Error object
		}
		if err := json.Unmarshal(c.from.Bytes(), &answer); err != nil {
			c.Fatal(err)
		}
		if answer.ID == c.id {
			return answer.Result, answer.Error
		}
	}
	c.Fatal("no answer")
	return nil, nil
}

// call calls a tool with arguments in JSON.
func (c *wire) call(name, args string) object {
	c.Helper()
	result, failure := c.ask("tools/call", object{"name": name, "arguments": json.RawMessage(args)})
	if failure != nil {
		c.Fatalf("%s: %v", name, failure)
	}
	return result
}

// get asks for a task.
func (c *wire) get(id any) object {
	c.Helper()
	task, failure := c.ask(mcptask.MethodGet, object{"taskId": id})
	if failure != nil {
		c.Fatalf("tasks/get: %v", failure)
	}
	return task
}

// settle asks for a task until it is over, in the pauses that it wishes, and returns it with
// what it said on the way.
func (c *wire) settle(id any) (task object, said []string) {
	c.Helper()
	for {
		task = c.get(id)
		if task["status"] != "working" {
			return task, said
		}
		said = append(said, fmt.Sprint(task["statusMessage"]))
		time.Sleep(time.Duration(task["pollIntervalMs"].(float64)) * time.Millisecond)
	}
}

// archived adds the backup of a guest.
func archived(m *pvesim.Model) {
	m.Volumes = append(m.Volumes, pvesim.Volume{
		ID: "nfs:backup/vzdump-qemu-777-1999_12_28-02_00_00.vma.zst", Content: "backup", Format: "vma.zst", Size: 1 << 30, Used: 1 << 30, VMID: 777, Age: 94 * time.Hour,
	})
}

// copied adds the backups of guests that still exist.
func copied(m *pvesim.Model) {
	m.Volumes = append(m.Volumes, pvesim.Volume{
		ID: "nfs:backup/vzdump-qemu-105-1999_12_28-02_00_00.vma.zst", Content: "backup", Format: "vma.zst", Size: 1 << 30, Used: 1 << 30, VMID: 105, Age: 94 * time.Hour,
	}, pvesim.Volume{
		ID: "nfs:backup/vzdump-lxc-204-1999_12_28-02_00_00.tar.zst", Content: "backup", Format: "tar.zst", Size: 1 << 30, Used: 1 << 30, VMID: 204, Age: 94 * time.Hour,
	})
}

// operations are calls that become a task of PVE, and how they end.
var operations = []struct {
	name, tool, args string
	model            func(*pvesim.Model)
	outcome          string
	says             string
}{
	{name: "start", tool: "pve_guest_power", args: `{"vmid":204,"action":"start"}`, outcome: "warnings"},
	{name: "start fails", tool: "pve_guest_power", args: `{"vmid":105,"action":"start"}`, outcome: "failed", says: "QEMU exited with code 1"},
	{name: "shutdown", tool: "pve_guest_power", args: `{"vmid":102,"action":"shutdown"}`, outcome: "ok"},
	{name: "shutdown takes too long", tool: "pve_guest_power", args: `{"vmid":106,"action":"shutdown","timeout":5}`, outcome: "failed", says: "got timeout"},
	{name: "reboot", tool: "pve_guest_power", args: `{"vmid":104,"action":"reboot"}`, outcome: "ok"},
	{name: "suspend to disk", tool: "pve_guest_power", args: `{"vmid":100,"action":"suspend","todisk":true}`, outcome: "ok"},
	{name: "change of a configuration", tool: "pve_update_guest_config", args: `{"vmid":104,"delete":["unused0"],"confirm":true}`,
		outcome: "ok", says: `"before":"local-zfs:vm-104-disk-1"`},
	{name: "HA", tool: "pve_guest_power", args: `{"vmid":103,"action":"shutdown"}`, outcome: "ok"},
	{name: "clone", tool: "pve_clone_guest", args: `{"vmid":900,"full":true}`, outcome: "ok"},
	{name: "clone and start", tool: "pve_clone_guest", args: `{"vmid":900,"newid":333,"start":true}`, outcome: "ok", says: `"status":"running"`},
	{name: "snapshot", tool: "pve_create_snapshot", args: `{"vmid":102,"snapname":"now"}`, outcome: "ok"},
	{name: "rollback and start", tool: "pve_rollback_snapshot", args: `{"vmid":102,"snapname":"after-upgrade","start":true,"confirm":true}`, outcome: "ok"},
	{name: "rollback fails", tool: "pve_rollback_snapshot", args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, outcome: "failed", says: "zfs error: dataset is busy",
		model: func(m *pvesim.Model) {
			m.Faults = []pvesim.Fault{{Match: "POST /nodes/*/qemu/102/snapshot/*/rollback", TaskFails: "zfs error: dataset is busy"}}
		}},
	{name: "deletion of a snapshot", tool: "pve_delete_snapshot", args: `{"vmid":102,"snapname":"after-upgrade","confirm":true}`, outcome: "ok"},
	{name: "backup", tool: "pve_create_backup", args: `{"vmid":104,"storage":"nfs"}`, outcome: "ok", says: "vzdump-qemu-104-2000_01_01"},
	{name: "backup with warnings", tool: "pve_create_backup", args: `{"vmid":200,"storage":"nfs"}`, outcome: "warnings",
		model: func(m *pvesim.Model) {
			m.Faults = []pvesim.Fault{{Match: "POST /nodes/*/vzdump", TaskWarns: "late"}}
		}},
	{name: "restoration and start", tool: "pve_restore_backup", args: `{"archive":"nfs:backup/vzdump-qemu-777-1999_12_28-02_00_00.vma.zst","start":true}`, model: archived,
		outcome: "ok", says: `"status":"running"`},
	{name: "restoration of what does not start", tool: "pve_restore_backup", model: archived,
		args:    `{"archive":"nfs:backup/vzdump-qemu-777-1999_12_28-02_00_00.vma.zst","vmid":105,"overwrite":true,"start":true,"confirm":true}`,
		outcome: "failed", says: "the start failed"},
	{name: "restoration that replaces nothing", tool: "pve_restore_backup",
		model: func(m *pvesim.Model) {
			archived(m)
			m.Faults = append(m.Faults, pvesim.Fault{Match: "POST /nodes/*/qemu", TaskIdle: true})
		},
		args:    `{"archive":"nfs:backup/vzdump-qemu-777-1999_12_28-02_00_00.vma.zst","vmid":105,"overwrite":true,"confirm":true}`,
		outcome: "failed", says: "the configuration of VM 105 is the one from before: the backup did not replace it."},
	{name: "restoration with its NICs down", tool: "pve_restore_backup", model: copied,
		args: `{"archive":"nfs:backup/vzdump-qemu-105-1999_12_28-02_00_00.vma.zst","name":"copy","disconnect_nics":true}`, outcome: "ok",
		says: `"name":"copy","node":"pve3","status":"stopped","notes":["it has the MAC addresses of VM 105 (build-1), which still exists: do not run both in one network; unique: true makes new ones","NICs that are down (link_down=1): net0;`},
	{name: "restoration of a CT with its NICs down", tool: "pve_restore_backup", model: copied,
		args: `{"archive":"nfs:backup/vzdump-lxc-204-1999_12_28-02_00_00.tar.zst","storage":"nfs","name":"copy","disconnect_nics":true,"unique":true,"start":true}`, outcome: "ok",
		says: `"name":"copy","node":"pve3","status":"running","notes":["NICs that are down (link_down=1): net0;`},
	{name: "migration", tool: "pve_migrate_guest", args: `{"vmid":104,"target":"pve2","with_local_disks":true}`, outcome: "ok", says: `"node":"pve2"`},
	{name: "deletion", tool: "pve_delete_guest", args: `{"vmid":105,"confirm":true}`, outcome: "ok"},
}

// A call of a client that knows tasks is answered with one at once, and the task ends with
// what the call itself would have answered, for a server too that did not begin it.
func TestTasks(t *testing.T) {
	for _, tt := range operations {
		t.Run(tt.name, func(t *testing.T) {
			world := func(t *testing.T) *sim.World {
				m := pvesim.Cluster()
				if tt.model != nil {
					tt.model(&m)
				}
				w := sim.New(t, sim.Options{Model: &m})
				w.Host.Wait = time.Hour
				return w
			}
			var want object
			synctest.Test(t, func(t *testing.T) {
				c := wired(world(t))
				defer c.close()
				c.declare = false
				want = c.call(tt.tool, tt.args)
			})
			synctest.Test(t, func(t *testing.T) {
				c := wired(world(t))
				defer c.close()
				created := c.begin(tt.tool, tt.args)
				other := c.restarted()
				defer other.close()
				task, said := other.settle(created["taskId"])
				if task["status"] != "completed" {
					t.Fatalf("%v after %v", task, said)
				}
				got := task["result"].(object)
				if diff := cmp.Diff(steady(want), steady(got)); diff != "" {
					t.Errorf("(-call +task):\n%s", diff)
				}
				text := fmt.Sprint(got["content"].([]any)[0].(object)["text"])
				if !strings.Contains(text, `"outcome":"`+tt.outcome+`"`) || !strings.Contains(text, tt.says) {
					t.Errorf("%s", text)
				}
				time.Sleep(time.Minute) // until the process that began it has seen its end, too
			})
		})
	}
}

// The start of a clone is sent by the process that began the clone. One that was started
// since does not send it, and says so, however wrong its clock is.
func TestTaskOfWhichTheNextStepIsLost(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, -300 * time.Millisecond} {
		t.Run(ahead.String(), func(t *testing.T) { nextStepIsLost(t, ahead) })
	}
}

func nextStepIsLost(t *testing.T, ahead time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Wire: func(next http.RoundTripper) http.RoundTripper { return &expelled{RoundTripper: next} }})
		w.Host.Now = func() time.Time { return time.Now().Add(ahead) }
		c := wired(w)
		defer c.close()
		created := c.begin("pve_clone_guest", `{"vmid":900,"newid":333,"start":true}`)
		at := func(key string) time.Time {
			when, err := time.Parse(time.RFC3339, created[key].(string))
			if err != nil {
				t.Error(err)
			}
			return when
		}
		if at("createdAt").After(at("lastUpdatedAt")) {
			t.Errorf("%v", created)
		}
		id := created["taskId"]
		other := c.restarted()
		defer other.close()
		task, said := other.settle(id)
		structured := task["result"].(object)["structuredContent"].(object)
		if structured["outcome"] != "failed" || structured["status"] != "stopped" || structured["next"] != "Then start the clone with pve_guest_power: vmid 333. Or take all steps that are left: pve_clone_guest with this handle as plan_handle. What is left: pve_delete_guest with vmid 333 removes VM 333." ||
			!strings.Contains(fmt.Sprint(structured["message"]), "done. What comes after it: the start was not begun") {
			t.Errorf("%v after %v", structured, said)
		}
		if last := said[len(said)-1]; !strings.Contains(last, "the start is about to begin") {
			t.Errorf("at last it said %q", last)
		}
	})
}

func TestTaskIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var record bytes.Buffer
		w := sim.New(t, sim.Options{})
		w.Host.Audit = w.Record(audit.Options{Logger: slog.New(slog.NewTextHandler(&record, nil))})
		c := wired(w)
		defer c.close()
		id := c.begin("pve_clone_guest", `{"vmid":900,"newid":333,"full":true,"start":true}`)["taskId"]
		time.Sleep(2 * time.Second)
		for range 2 { // the second time it has ended
			if ack, failure := c.ask(mcptask.MethodCancel, object{"taskId": id}); failure != nil || ack["resultType"] != "complete" || ack["status"] != nil {
				t.Errorf("%v %v", ack, failure)
			}
			time.Sleep(3 * time.Second)
		}
		task := c.get(id)
		if task["status"] != "cancelled" || task["result"] != nil || !strings.Contains(fmt.Sprint(task["statusMessage"]), "clone failed: interrupted by signal") {
			t.Errorf("%v", task)
		}
		time.Sleep(time.Minute)
		if writes := sim.Writes(w.Sent()); len(writes) != 2 {
			t.Errorf("writes %v", writes)
		}
		if !strings.Contains(record.String(), "tool=pve_stop_task") {
			t.Errorf("recorded %s", record.String())
		}
	})
}

func TestTaskSaysHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := wired(sim.New(t, sim.Options{}))
		defer c.close()
		_, said := c.settle(c.begin("pve_create_backup", `{"vmid":100,"storage":"nfs"}`)["taskId"])
		if len(said) < 3 || !strings.Contains(said[len(said)/2], "% of") && !strings.Contains(said[len(said)/2], "%, ") {
			t.Errorf("%q", said)
		}
	})
}
