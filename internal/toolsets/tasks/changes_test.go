package tasks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Of all that was done, what changed something is listed, on both versions.
func TestListChanges(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.0.11"} {
		m := sim.Cluster(sim.Version(version))
		for _, typ := range []string{"vncproxy", "spiceproxy", "aptupdate", "termproxy"} {
			m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve1", Type: typ, ID: "100", User: "root@pam", Ago: time.Minute, Took: time.Second, Exit: "OK"})
		}
		m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve1", Type: "qmdestroy", ID: "120", User: "eve@pve", Ago: time.Minute, Took: time.Second, Exit: "OK"})
		for args, want := range map[string]string{
			`{"changes":true}`:                            "qmdestroy 120, qmstart 105, vzdump, qmsnapshot 102, qmshutdown 106, vzstart 203, qmigrate 100",
			`{"changes":true,"limit":1,"offset":1}`:       "qmstart 105",
			`{"changes":true,"since":"2h30m"}`:            "", // no such age
			`{"changes":true,"since":"150m"}`:             "qmdestroy 120, qmstart 105",
			`{"changes":true,"vmid":107}`:                 "vzdump",
			`{"changes":true,"vmid":120}`:                 "qmdestroy 120",
			`{"changes":true,"errors":true,"since":"1w"}`: "qmstart 105, vzdump, qmshutdown 106",
		} {
			a := sim.New(t, sim.Options{Model: m}).Call("pve_list_tasks", args)
			if got := kinds(a); got != want || a.IsError != (want == "") {
				t.Errorf("%s on %s: %s\nwant %s", args, version, got, want)
			}
			if !a.IsError && !strings.Contains(fmt.Sprint(a.Fields["notes"]), "what changes only a configuration leaves no task") {
				t.Errorf("%s: notes %v", args, a.Fields["notes"])
			}
		}
	}
}

// Without all of its tasks, an answer says how many of a node were looked through.
func TestListChangesOfManyTasks(t *testing.T) {
	m := pvesim.Cluster()
	for i := range 1100 {
		m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve1", Type: "vncproxy", ID: "100", User: "root@pam", Ago: time.Duration(i) * time.Second, Took: time.Second, Exit: "OK"})
	}
	a := sim.New(t, sim.Options{Model: &m}).Call("pve_list_tasks", `{"changes":true,"node":"pve1"}`)
	if notes := fmt.Sprint(a.Fields["notes"]); !strings.Contains(notes, "tasks on pve1 the newest 1000 were looked through; since bounds them") {
		t.Errorf("notes %s", notes)
	}
}

// A task that was asked for through pve-mcp names who did, by its audit log.
func TestListTasksNamesWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		w.Host.Audit = w.Record(audit.Options{File: files.At(t.TempDir() + "/audit.log")})
		begin(w, `{"vmid":102,"action":"shutdown","wait":0}`)
		w.Call("pve_guest_power", `{"vmid":104,"action":"stop"}`)
		a := w.Call("pve_list_tasks", `{"since":"5m"}`)
		if len(a.Fields["tasks"].([]any)) != 2 {
			t.Errorf("%s", a.Text)
		}
		for _, row := range a.Fields["tasks"].([]any) {
			if by := row.(map[string]any)["asked_by"]; by != "test (pve_guest_power)" {
				t.Errorf("asked by %v: %s", by, a.Text)
			}
		}
		if a := w.Call("pve_list_tasks", `{"type":"vzdump","limit":3}`); strings.Contains(a.Text, "asked_by") {
			t.Errorf("those of others: %s", a.Text)
		}
		w.Host.Audit = nil
		if a := w.Call("pve_list_tasks", `{"since":"5m"}`); a.IsError || strings.Contains(a.Text, "asked_by") {
			t.Errorf("without a log: %s", a.Text)
		}
	})
}
