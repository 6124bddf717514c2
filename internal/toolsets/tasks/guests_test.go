package tasks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// jobOf is a backup of guests from 1001 on, of which those that fails names failed; between
// lines is what the log has of each besides.
func jobOf(guests, lines int, fails ...int) *pvesim.Model {
	log := []string{"INFO: starting new backup job: vzdump --all 1 --mode snapshot --storage nfs"}
	exit := "OK"
	failed := map[int]bool{}
	for _, id := range fails {
		failed[id], exit = true, "job errors"
	}
	for id := 1001; id <= 1000+guests; id++ {
		log = append(log, fmt.Sprintf("INFO: Starting Backup of VM %d (qemu)", id))
		for p := range lines {
			log = append(log, fmt.Sprintf("INFO: %3d%% (1.0 GiB of 3.0 GiB) in %ds, read: 37.3 MiB/s, write: 36.0 MiB/s", 100*p/lines, p))
		}
		if failed[id] {
			log = append(log, fmt.Sprintf("ERROR: Backup of VM %d failed - no space for %d", id, id))
		} else {
			log = append(log, "INFO: archive file size: 1.20GB", fmt.Sprintf("INFO: Finished Backup of VM %d (00:10:07)", id))
		}
	}
	m := pvesim.Cluster()
	m.Tasks = []pvesim.PastTask{{Node: "pve1", Type: "vzdump", User: "root@pam", Ago: time.Hour, Took: time.Minute, Exit: exit, Log: log}}
	return &m
}

func ids(from, to int) []int {
	var out []int
	for id := from; id <= to; id++ {
		out = append(out, id)
	}
	return out
}

// A backup of several guests says what became of each.
func TestTaskOfSeveralGuests(t *testing.T) {
	row := func(id int) string {
		return fmt.Sprintf(`{"vmid":%d,"state":"ok","duration":"10m 7s","size":"1.20GB"}`, id)
	}
	lost := func(id int) string {
		return fmt.Sprintf(`{"vmid":%d,"state":"failed","reason":"no space for %d"}`, id, id)
	}
	all := func(row func(int) string, ids []int) string {
		var out []string
		for _, id := range ids {
			out = append(out, row(id))
		}
		return strings.Join(out, ",")
	}
	plain := func(ids []int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]") }
	for _, tt := range []struct {
		name   string
		model  *pvesim.Model
		state  string
		guests string
		reason string // also that of the list
		sent   int
	}{
		{"all well", jobOf(2, 3), "ok", `{"ok":2,"failed":0,"each":[` + row(1001) + "," + row(1002) + `]}`, "", 3},
		{"one failed", jobOf(3, 3, 1002), "failed", `{"ok":2,"failed":1,"each":[` + row(1001) + "," + lost(1002) + "," + row(1003) + `]}`,
			"1 of 3 guests failed: 1002 (no space for 1002)", 3},
		{"many", jobOf(40, 1, 1005, 1030), "failed", `{"ok":38,"failed":2,"each":[` + lost(1005) + "," + lost(1030) +
			`],"ok_ids":[` + plain(append(append(ids(1001, 1004), ids(1006, 1029)...), ids(1031, 1040)...)) + `]}`,
			"2 of 40 guests failed: 1005 (no space for 1005), 1030 (no space for 1030)", 3},
		{"many failed", jobOf(31, 1, ids(1001, 1030)...), "failed", `{"ok":1,"failed":30,"each":[` + all(lost, ids(1001, 1020)) + `],"ok_ids":[1031]}["10 more guests of the backup are not shown"]`,
			"30 of 31 guests failed: 1001 (no space for 1001)", 3},
		// Neither the begin nor the end of the log has the one that failed.
		{"a long log", jobOf(60, 200, 1031), "failed", `{"ok":59,"failed":1,"each":[` + lost(1031) + `],"ok_ids":[` + plain(append(ids(1001, 1030), ids(1032, 1060)...)) + `]}`,
			"1 of 60 guests failed: 1031 (no space for 1031)", 5},
		{"a log that is too long", jobOf(30, 950, 1002), "failed", `{"ok":19,"failed":1,"each":[` + lost(1002) + `,{"vmid":1021,"state":"unknown"}],"ok_ids":[1001,` + plain(ids(1003, 1020)) +
			`]}["the log is too long to be read whole: of 28591 lines the first 20000 were read, so guests may be missing"]`,
			"1 or more guests failed: 1002 (no space for 1002)", 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: tt.model})
				list := w.Call("pve_list_tasks", `{"node":"pve1"}`)
				listed := list.Fields["tasks"].([]any)[0].(map[string]any)
				w.Sent()
				a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, listed["upid"]))
				if sent := w.Sent(); len(sent) != tt.sent {
					t.Errorf("%d requests, want %d: %v", len(sent), tt.sent, sent)
				}
				var got struct{ Guests, Notes json.RawMessage }
				if err := json.Unmarshal([]byte(a.Text), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.guests, string(got.Guests)+string(got.Notes)); diff != "" || a.Fields["state"] != tt.state {
					t.Errorf("state %v: %s", a.Fields["state"], diff)
				}
				for _, row := range []map[string]any{a.Fields, listed} {
					reason, _ := row["reason"].(string)
					if !strings.HasPrefix(reason, tt.reason) || tt.reason == "" && reason != "" {
						t.Errorf("reason %q, want %q", reason, tt.reason)
					}
				}
			})
		})
	}
}

// A list finds a guest far down in the log of a job.
func TestListTasksOfAGuestOfALongJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: jobOf(60, 200, 1031)})
		a := w.Call("pve_list_tasks", `{"vmid":1031}`)
		if !strings.Contains(a.Text, `"of_guest":"failed - no space for 1031"`) {
			t.Errorf("%s", a.Text)
		}
		w = sim.New(t, sim.Options{Model: jobOf(30, 1000, 1029)})
		a = w.Call("pve_list_tasks", `{"vmid":1029}`)
		if kinds(a) != "" || !strings.Contains(a.Text, "the log of a backup job on pve1 is too long to be read whole: whether the guest was in it is not known (UPID:") {
			t.Errorf("%s", a.Text)
		}
	})
}

// A log that cannot be read is no backup without guests.
func TestTaskOfSeveralGuestsWithoutItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := jobOf(2, 1)
		m.Faults = []pvesim.Fault{{Match: "GET /nodes/*/tasks/*/log", Status: 500, Message: "got timeout"}}
		w := sim.New(t, sim.Options{Model: m})
		list := w.Call("pve_list_tasks", `{"node":"pve1"}`)
		a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, list.Fields["tasks"].([]any)[0].(map[string]any)["upid"]))
		if want := "[what became of each guest is not known: the log could not be read: PVE refused: got timeout.]"; fmt.Sprint(a.Fields["notes"]) != want || a.Fields["guests"] != nil {
			t.Errorf("%s", a.Text)
		}
	})
}

// While a backup of several guests goes on, it says how far it is with them.
func TestTaskOfSeveralGuestsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		upid := backUp(w, "pve1", "vmid=100,104,200&storage=nfs&mode=snapshot&remove=0")
		time.Sleep(10 * time.Second)
		a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
		if !strings.Contains(a.Text, `"guests":{"ok":0,"failed":0,"each":[{"vmid":100,"state":"running"}],"not_begun":[104,200]}`) {
			t.Errorf("%s", a.Text)
		}
		time.Sleep(time.Hour)
		a = w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
		if !strings.Contains(a.Text, `"guests":{"ok":3,"failed":0,"each":[{"vmid":100,"state":"ok","duration":"`) {
			t.Errorf("%s", a.Text)
		}
	})
}

// The last lines of a log are those that say something: what says each second how far the
// task is, is left out, however much there is of it.
func TestLogTailsWithoutProgress(t *testing.T) {
	progress := []string{
		"INFO:  40% (1.2 GiB of 3.0 GiB) in 10s, read: 120.0 MiB/s, write: 80.1 MiB/s",
		"drive-scsi0: transferred 1.0 GiB of 4.0 GiB (25.00%) in 8s",
		"transferred 1.0 GiB of 2.0 GiB (50.00%)",
		"2026-11-22 18:05:31 migration active, transferred 1.0 GiB of 4.0 GiB VM-state, 117.1 MiB/s",
		"progress 1% (read 21495808 bytes, duration 0 sec)",
		" 32768K ........ ........ ........ ........ 12% 98.7M 8s",
		"1.25 GiB in 5s",
	}
	for _, many := range []int{1, 600} {
		synctest.Test(t, func(t *testing.T) {
			log := []string{"first", "second", "third"}
			for range many {
				log = append(log, progress...)
			}
			m := pvesim.Cluster()
			m.Tasks = []pvesim.PastTask{{Node: "pve1", Type: "qmigrate", ID: "100", User: "root@pam", Ago: time.Hour, Took: time.Minute, Exit: "OK", Log: append(log, "last")}}
			w := sim.New(t, sim.Options{Model: &m})
			list := w.Call("pve_list_tasks", `{"node":"pve1"}`)
			upid := list.Fields["tasks"].([]any)[0].(map[string]any)["upid"]
			for most, want := range map[int]string{1: "[last]", 3: "[second third last]", 200: "[first second third last]"} {
				a := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"log":%d}`, upid, most))
				if got := fmt.Sprint(a.Fields["log"]); got != want || a.Fields["log_lines"] != float64(len(log)+1) {
					t.Errorf("%d times, %d lines: %s, want %s", many, most, a.Text, want)
				}
			}
		})
	}
}
