package tasks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/tasks"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// begin starts something that takes its time and returns its task.
func begin(w *sim.World, args string) string {
	w.Helper()
	a := w.Call("pve_guest_power", args)
	if a.Outcome != tool.Running {
		w.Fatalf("%s", a.Text)
	}
	w.Sent()
	return a.Fields["upid"].(string)
}

func TestTaskStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		upid := begin(w, `{"vmid":102,"action":"shutdown","wait":0}`) // takes 25 s
		time.Sleep(3 * time.Second)
		a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
		if a.Fields["state"] != "running" || a.Fields["duration"] != "3s" || a.Fields["next"] == nil {
			t.Errorf("while it runs: %s", a.Text)
		}
		if sent := w.Sent(); len(sent) != 2 {
			t.Errorf("requests %v", sent)
		}
		a = w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":5}`, upid))
		if a.Fields["state"] != "running" || a.Fields["duration"] != "8s" || len(a.Progress) == 0 {
			t.Errorf("after the wait: %s", a.Text)
		}
		a = w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":40}`, upid))
		if a.Fields["state"] != "ok" || a.Fields["exit_status"] != "OK" || a.Fields["duration"] != "25s" || a.Fields["log"] != nil {
			t.Errorf("after the end: %s", a.Text)
		}
	})
}

func TestTaskThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		upid := begin(w, `{"vmid":105,"action":"start","wait":0}`)
		a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":30}`, upid))
		if a.IsError || a.Fields["state"] != "failed" || a.Fields["exit_status"] != "start failed: QEMU exited with code 1" ||
			!strings.Contains(fmt.Sprint(a.Fields["log"]), "No such file or directory") {
			t.Errorf("%s", a.Text)
		}
	})
}

func TestTaskRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		upid := begin(w, `{"vmid":102,"action":"shutdown","wait":0}`)
		for _, tt := range []struct{ token, args, want string }{
			{"ops@pve!mcp", `{"upid":"` + strings.Repeat("4-5_", 200) + `"}`, `is not a UPID (such as`},
			{"ops@pve!mcp", `{"upid":"100"}`, `The argument "upid": "100" is not a UPID (such as`},
			{"ops@pve!mcp", `{"upid":"UPID:pve1:00000001:00000001:60000000:qmstart:900:root@pam:"}`, "Node pve1 does not know this task."},
			{"ops@pve!mcp", `{"upid":"UPID:pve7:00000001:00000001:60000000:qmstart:900:root@pam:"}`, "hostname lookup 'pve7' failed"},
			{"none@pve!mcp", fmt.Sprintf(`{"upid":%q}`, upid), "lacks Sys.Audit on /nodes/pve2"},
		} {
			if a := w.As(tt.token).Call("pve_task_status", tt.args); !a.IsError || !strings.Contains(a.Text, tt.want) {
				t.Errorf("%s: %s, want %q", tt.args, a.Text, tt.want)
			}
		}
	})
}

// The end of a task is not always the end of what it is for.
func TestTaskThatEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		for _, args := range []string{`{"vmid":103,"action":"shutdown","wait":0}`, `{"vmid":104,"action":"reboot","wait":0}`} {
			a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":30}`, begin(w, args)))
			if a.Fields["state"] != "ok" || a.Fields["next"] != "Its effect comes after the task ends; look with pve_guest_status." {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
	})
}

// A list is live about a guest whose change is still under way, until its end was
// seen and every node has heard of it.
func TestListDuringAnOwnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		upid := begin(w, `{"vmid":102,"action":"shutdown","wait":0}`) // takes 25 s
		requests := func() int {
			w.Sent()
			w.Call("pve_list_guests", `{}`)
			return len(w.Sent())
		}
		for range 3 {
			time.Sleep(20 * time.Second)
			if n := requests(); n != 3 {
				t.Errorf("%d requests, want one for the guest that is being changed", n)
			}
		}
		w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
		if n := requests(); n != 2 {
			t.Errorf("just after its end was seen: %d requests, want one for the guest and one for the privileges", n)
		}
		time.Sleep(21 * time.Second)
		if n := requests(); n != 2 {
			t.Errorf("later: %d requests", n)
		}
	})
}

func TestTaskLogOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		a := w.Call("pve_guest_power", `{"vmid":103,"action":"shutdown"}`)
		b := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"log":5}`, a.Fields["upid"]))
		if got := fmt.Sprint(b.Fields["log"]); got != "[Requesting HA stop for VM 103]" || b.Fields["log_lines"] != 1.0 {
			t.Errorf("%s", b.Text)
		}
	})
}

func TestNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		upid := begin(w, `{"vmid":102,"action":"shutdown","wait":0}`)
		w.As("audit@pve!mcp").Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
		all := w.Sim.Requests()
		checks := all[len(all)-1].Checks
		if len(checks) != 1 || strings.Join(checks[0].Privs, " or ")+" on /nodes/{node}" != tasks.Set().Core[0].Needs[0].String() {
			t.Errorf("checked %v, said %v", checks, tasks.Set().Core[0].Needs)
		}
	})
}

// The exit status of a backup job says no more than that it failed.
func TestTaskThatFailedSaysWhy(t *testing.T) {
	w := sim.New(t, sim.Options{})
	list := w.Call("pve_list_tasks", `{"node":"pve3","type":"vzdump","errors":true}`)
	upid := list.Fields["tasks"].([]any)[0].(map[string]any)["upid"]
	w.Sent()
	a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
	if a.Fields["exit_status"] != "job errors" || a.Fields["reason"] != "vma_queue_write: write error - No space left on device" ||
		fmt.Sprint(a.Fields["log"]) != "[ERROR: Backup of VM 107 failed - vma_queue_write: write error - No space left on device]" {
		t.Errorf("%s", a.Text)
	}
	if sent := w.Sent(); len(sent) != 3 {
		t.Errorf("requests %v", sent)
	}
}

// What looks like a password is shown neither of a task's log nor of how it ended, and
// what is not seen is left out.
func TestSecretsInLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Cluster()
		m.Tasks = append(m.Tasks, pvesim.PastTask{
			Node: "pve1", Type: "vzdump", User: "root@pam", Ago: time.Minute, Took: time.Second,
			Exit: "hook failed: curl -u bob:hunter2 https://bob:hunter2@nas",
			Log: []string{
				"INFO: DB_PASS=hunter2", "INFO: Authorization: Basic hunter2hunter2", "ERROR: the pass\u200bword is \u3164hunter2",
				"ERROR: one\u2028INFO: two",
			},
		})
		w := sim.New(t, sim.Options{Model: &m})
		list := w.Call("pve_list_tasks", `{"node":"pve1","limit":1}`)
		upid := list.Fields["tasks"].([]any)[0].(map[string]any)["upid"]
		status := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"log":20}`, upid))
		for _, a := range []sim.Answer{list, status} {
			if strings.Contains(a.Text, "hunter2") || !strings.Contains(a.Text, "curl -u bob:**********") {
				t.Errorf("%s", a.Text)
			}
		}
		if log := fmt.Sprint(status.Fields["log"]); !strings.Contains(log, "the password is **********") || !strings.Contains(log, "ERROR: one INFO: two") {
			t.Errorf("%s", log)
		}
	})
}
