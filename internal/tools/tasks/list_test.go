package tasks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pve-mcp/internal/simtest"
	"pve-mcp/pvesim"
)

// kinds returns type and id of each task of a list.
func kinds(a simtest.Answer) string {
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
		{`{"since":"3h"}`, "qmstart 105", 1, 5},
		{`{"since":"1d","errors":true}`, "qmstart 105, vzdump", 2, 5},
		{`{"node":"pve2","since":"2d"}`, "vzdump, qmsnapshot 102, vzdump", 3, 3},
		{`{"type":"vzstart"}`, "vzstart 203", 1, 5},
		{`{"vmid":106}`, "qmshutdown 106", 1, 5 + 3 + 5 + 5 + 1}, // its tasks, the jobs, and a log of each that may be about it
		{`{"vmid":107,"type":"vzdump","errors":true}`, "vzdump", 1, 5 + 3 + 5 + 5 + 1},
		{`{"vmid":107,"type":"qmstart"}`, "", 0, 5},
		{`{"running":true}`, "", 0, 5},
		{`{"limit":2}`, "qmstart 105, vzdump", 19, 5},
	} {
		w := simtest.New(t, simtest.Options{})
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
		w := simtest.New(t, simtest.Options{})
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

func TestListTasksSaysWhatIsLeftOut(t *testing.T) {
	a := simtest.New(t, simtest.Options{}).Call("pve_list_tasks", `{"limit":5}`)
	if a.Fields["left_out"] != 14.0 || a.Fields["more"] != "a larger limit, or a filter" {
		t.Errorf("%s", a.Text)
	}
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	a = simtest.New(t, simtest.Options{Model: &m}).Call("pve_list_tasks", `{}`)
	if a.IsError || fmt.Sprint(a.Fields["notes"]) != "[node pve3 is offline: what it has is left out]" {
		t.Errorf("%s", a.Text)
	}
	a = simtest.New(t, simtest.Options{Token: "none@pve!mcp"}).Call("pve_list_tasks", `{}`)
	want := "[this token lacks Sys.Audit on pve1, pve2 and pve3: only its own tasks are listed there]"
	if diff := cmp.Diff(want, fmt.Sprint(a.Fields["notes"])); a.Fields["total"] != 0.0 || diff != "" {
		t.Errorf("%s", a.Text)
	}
}

func TestListTasksRefuses(t *testing.T) {
	w := simtest.New(t, simtest.Options{})
	for args, want := range map[string]string{
		`{"since":"yesterday"}`: `"since" is "yesterday", neither an age such as 24h or 7d nor a time such as 2026-11-20T08:00:00Z`,
		`{"node":"pve9"}`:       `There is no node "pve9". The nodes are pve1, pve2 and pve3.`,
	} {
		if a := w.Call("pve_list_tasks", args); !a.IsError || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s", args, a.Text)
		}
	}
}
