package tasks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// kinds returns type and id of each task of a list.
func kinds(a sim.Answer) string {
	var out []string
	list, _ := a.Fields["tasks"].([]any)
	for _, t := range list {
		row := t.(map[string]any)
		id, _ := row["id"].(string)
		out = append(out, strings.TrimSuffix(row["type"].(string)+" "+id, " "))
	}
	return strings.Join(out, ", ")
}

func TestListTasks(t *testing.T) {
	for _, tt := range []struct {
		args, want string
		total      float64
		sent       int
	}{
		{`{"since":"3h"}`, "qmstart 105", 1, 5 + 1},
		{`{"since":"1d","errors":true}`, "qmstart 105, vzdump", 2, 5 + 2},
		{`{"node":"pve2","since":"2d"}`, "vzdump, qmsnapshot 102, vzdump", 3, 3},
		{`{"type":"vzstart"}`, "vzstart 203", 1, 5},
		{`{"vmid":106}`, "qmshutdown 106", 1, 5 + 3 + 5 + 5 + 1}, // its tasks, the jobs, and a log of each that may be about it
		{`{"vmid":107,"type":"vzdump","errors":true}`, "vzdump", 1, 5 + 3 + 5 + 5 + 1},
		{`{"vmid":107,"type":"qmstart"}`, "", 0, 5},
		{`{"running":true}`, "", 0, 5},
		{`{"limit":2}`, "qmstart 105, vzdump", 19, 5 + 1},
	} {
		w := sim.New(t, sim.Options{})
		a := w.Call("pve_list_tasks", tt.args)
		if got := kinds(a); a.IsError || got != tt.want || a.Fields["total"] != tt.total {
			t.Errorf("%s: %s, %v in all: %s\nwant %s, %v in all", tt.args, got, a.Fields["total"], a.Text, tt.want, tt.total)
		}
		if sent := w.Sent(); len(sent) != tt.sent {
			t.Errorf("%s: %d requests, want %d: %v", tt.args, len(sent), tt.sent, sent)
		}
	}
}

func TestListTasksShowsHowTheyEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		begin(w, `{"vmid":102,"action":"shutdown","wait":0}`)
		time.Sleep(4 * time.Second)
		a := w.Call("pve_list_tasks", `{"since":"1m"}`)
		row := a.Fields["tasks"].([]any)[0].(map[string]any)
		if row["state"] != "running" || row["duration"] != "4s" || row["user"] != "ops@pve!mcp" || row["exit_status"] != nil {
			t.Errorf("while it runs: %v", row)
		}
		if got := kinds(w.Call("pve_list_tasks", `{"running":true}`)); got != "qmshutdown 102" {
			t.Errorf("running: %s", got)
		}
		a = w.Call("pve_list_tasks", `{"type":"vzstart"}`)
		if row := a.Fields["tasks"].([]any)[0].(map[string]any); row["state"] != "warnings" || row["exit_status"] != "WARNINGS: 1" {
			t.Errorf("with warnings: %v", row)
		}
		a = w.Call("pve_list_tasks", `{"vmid":107}`)
		if row := a.Fields["tasks"].([]any)[0].(map[string]any); row["of_guest"] != "failed - vma_queue_write: write error - No space left on device" {
			t.Errorf("within a job of several guests: %v", row)
		}
		if notes := fmt.Sprint(a.Fields["notes"]); !strings.Contains(notes, "on pve1 only the newest 5 were looked into") {
			t.Errorf("notes %s", notes)
		}
	})
}

// Of a type that PVE is not known for, an empty list says which types there are.
func TestListTasksOfAnUnknownType(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for args, want := range map[string]string{
		`{"type":"backup"}`:               `[the latest tasks are of the types aptupdate, `,
		`{"type":"aptdate","since":"1h"}`: `; none is "aptdate"]`,
		`{"type":"vzdestroy"}`:            "<nil>",
	} {
		if got := fmt.Sprint(w.Call("pve_list_tasks", args).Fields["notes"]); !strings.Contains(got, want) {
			t.Errorf("%s: notes %s, want %s", args, got, want)
		}
	}
}

func TestListTasksSaysWhatIsLeftOut(t *testing.T) {
	a := sim.New(t, sim.Options{}).Call("pve_list_tasks", `{"limit":5}`)
	if a.Fields["left_out"] != 14.0 || a.Fields["more"] != "offset: 5, or a filter" {
		t.Errorf("%s", a.Text)
	}
	whole := kinds(sim.New(t, sim.Options{}).Call("pve_list_tasks", `{}`))
	parts := kinds(a) + ", " + kinds(sim.New(t, sim.Options{}).Call("pve_list_tasks", `{"offset":5}`))
	if whole != parts {
		t.Errorf("five, and those after them: %s, want %s", parts, whole)
	}
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	a = sim.New(t, sim.Options{Model: &m}).Call("pve_list_tasks", `{}`)
	if a.IsError || fmt.Sprint(a.Fields["notes"]) != "[node pve3 is offline: what it has is left out]" {
		t.Errorf("%s", a.Text)
	}
	a = sim.New(t, sim.Options{Token: "none@pve!mcp"}).Call("pve_list_tasks", `{}`)
	want := "[this token lacks Sys.Audit on pve1, pve2 and pve3: only its own tasks are listed there]"
	if diff := cmp.Diff(want, fmt.Sprint(a.Fields["notes"])); a.Fields["total"] != 0.0 || diff != "" {
		t.Errorf("%s", a.Text)
	}
}

// nightly returns the preset cluster with a history of its own: a job of several guests
// each night on pve1, the last of which failed for one of them.
func nightly(version string) *pvesim.Model {
	m := pvesim.Cluster()
	m.PVE, m.Tasks = version, nil
	for night := range 7 {
		job := pvesim.PastTask{Node: "pve1", Type: "vzdump", User: "root@pam", Ago: time.Duration(6+24*night) * time.Hour, Took: 20 * time.Minute, Exit: "OK",
			Log: []string{"INFO: Starting Backup of VM 100 (qemu)", "INFO: Finished Backup of VM 100 (00:10:07)",
				"INFO: Starting Backup of CT 200 (lxc)", "INFO: Finished Backup of VM 200 (00:01:02)", "INFO: Backup job finished successfully"}}
		if night == 0 {
			job.Exit = "job errors"
			job.Log[3] = "ERROR: Backup of VM 200 failed - command 'tar' failed: exit code 2"
		}
		m.Tasks = append(m.Tasks, job)
	}
	m.Tasks = append(m.Tasks,
		pvesim.PastTask{Node: "pve2", Type: "qmigrate", ID: "100", User: "ops@pve!mcp", Ago: 50 * time.Hour, Took: time.Minute, Exit: "OK"},
		pvesim.PastTask{Node: "pve2", Type: "qmstart", ID: "1001", User: "root@pam", Ago: time.Hour, Took: time.Second, Exit: "OK"},
		pvesim.PastTask{Node: "pve3", Type: "vzdump", ID: "100", User: "root@pam", Ago: 3 * time.Hour, Took: time.Minute, Exit: "unexpected status"},
	)
	return &m
}

func TestListTasksOfAGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ version, args, want, ofGuest string }{
			{"9.0.11", `{"vmid":100}`, "vzdump 100, vzdump, vzdump, qmigrate 100, vzdump, vzdump, vzdump", "ok (10m 7s)"},
			{"8.4.1", `{"vmid":100,"since":"12h"}`, "vzdump 100, vzdump", "ok (10m 7s)"},
			{"9.0.11", `{"vmid":200,"since":"1999-12-31"}`, "vzdump", "failed - command 'tar' failed: exit code 2"},
			{"9.0.11", `{"vmid":200,"errors":true}`, "vzdump", "failed - command 'tar' failed: exit code 2"},
			{"9.0.11", `{"vmid":100,"errors":true}`, "vzdump 100", "<nil>"}, // the job failed for another guest
			{"9.0.11", `{"vmid":100,"type":"qmigrate","since":"1999-12-29T00:00:00+02:00"}`, "qmigrate 100", "<nil>"},
			{"9.0.11", `{"vmid":101}`, "", "<nil>"},
			{"9.0.11", `{"vmid":100,"node":"pve2"}`, "qmigrate 100", "<nil>"},
		} {
			w := sim.New(t, sim.Options{Model: nightly(tt.version)})
			a := w.Call("pve_list_tasks", tt.args)
			ofGuest := "<nil>"
			for _, row := range a.Fields["tasks"].([]any) {
				if text, ok := row.(map[string]any)["of_guest"].(string); ok {
					ofGuest = text
					break
				}
			}
			if got := kinds(a); got != tt.want || ofGuest != tt.ofGuest {
				t.Errorf("PVE %s, %s: %s, %s\nwant %s, %s\n%s", tt.version, tt.args, got, ofGuest, tt.want, tt.ofGuest, a.Text)
			}
		}
	})
}

// backUp begins a backup as another client, and returns its task.
func backUp(w *sim.World, node, form string) (upid string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.Sim.URL()+"/api2/json/nodes/"+node+"/vzdump", strings.NewReader(form))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", w.Model.Token("root@pam!full").Header())
	resp, err := w.Sim.Transport().RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.Fatal(resp, err)
	}
	defer resp.Body.Close()
	var answer struct{ Data string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		w.Fatal(err)
	}
	return answer.Data
}

// A job of several guests is found by each of them while it runs, too.
func TestListTasksOfAJobUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: nightly("9.0.11")})
		backUp(w, "pve1", "vmid=100,104,200&storage=nfs&mode=snapshot&remove=0")
		time.Sleep(10 * time.Second)
		for vmid, want := range map[int]string{100: "vzdump", 104: "", 203: ""} { // 104 has not begun
			a := w.Call("pve_list_tasks", fmt.Sprintf(`{"vmid":%d,"running":true}`, vmid))
			if got := kinds(a); got != want || want != "" && !strings.Contains(a.Text, `"state":"running","of_guest":"begun, but not ended"`) {
				t.Errorf("%d: %s", vmid, a.Text)
			}
		}
	})
}

func TestListTasksOfANodeThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := nightly("9.0.11")
		m.Faults = []pvesim.Fault{{Match: "GET /nodes/pve1/**", Status: 595, Message: "No route to host"}}
		w := sim.New(t, sim.Options{Model: m})
		for _, args := range []string{`{}`, `{"vmid":100}`} {
			a := w.Call("pve_list_tasks", args)
			notes := fmt.Sprint(a.Fields["notes"])
			if a.IsError || !strings.HasPrefix(kinds(a), "qmstart 1001, vzdump 100") && kinds(a) != "vzdump 100, qmigrate 100" ||
				notes != "[node pve1 could not be asked: PVE could not get an answer from the node for /nodes/pve1/tasks: No route to host (595).]" {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
	})
}

// Without Sys.Audit a token sees its own tasks.
func TestListTasksOfOneself(t *testing.T) {
	m := nightly("9.0.11")
	for _, who := range []string{"none@pve", "none@pve!mcp"} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/nodes/pve1", Who: who, Role: "PVEAuditor"})
	}
	m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve3", Type: "vzstart", ID: "202", User: "none@pve!mcp", Ago: time.Minute, Took: time.Second, Exit: "OK"})
	a := sim.New(t, sim.Options{Model: m, Token: "none@pve!mcp"}).Call("pve_list_tasks", `{"since":"12h"}`)
	want := "[this token lacks Sys.Audit on pve2 and pve3: only its own tasks are listed there]"
	if got := kinds(a); got != "vzstart 202, vzdump" || fmt.Sprint(a.Fields["notes"]) != want {
		t.Errorf("%s", a.Text)
	}
}

func TestListTasksOfASingleNode(t *testing.T) {
	lab := pvesim.Lab()
	w := sim.New(t, sim.Options{Model: &lab})
	a := w.Call("pve_list_tasks", `{"type":"qmstart"}`)
	if sent := w.Sent(); kinds(a) != "qmstart 101" || len(sent) != 3 {
		t.Errorf("%s: %v", a.Text, sent)
	}
}

func TestListTasksRefuses(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	w := sim.New(t, sim.Options{Model: &m})
	for args, want := range map[string]string{
		`{"since":"yesterday"}`:          `"since" is "yesterday", neither an age such as 24h or 7d nor a time such as 2026-11-20T08:00:00Z`,
		`{"since":"-2h"}`:                `"since" is "-2h", neither an age`,
		`{"node":"pve9"}`:                `There is no node "pve9". The nodes are pve1, pve2 and pve3.`,
		`{"node":"pve3"}`:                "The node pve3 is offline.",
		`{"errors":true,"running":true}`: `The argument "errors" does not go with running: a running task has not failed yet.`,
		`{"limit":201}`:                  `The argument "limit" is 201, which is not a whole number from 1 to 200.`,
		`{"vmid":"all"}`:                 `There is no guest "all" that this token may see.`,
	} {
		if a := w.Call("pve_list_tasks", args); !a.IsError || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s", args, a.Text)
		}
	}
}
