package maintenance_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	operator = "ops@pve!mcp"
	auditor  = "audit@pve!mcp"
)

// onEach runs a test on a cluster of each version.
func onEach(t *testing.T, test func(t *testing.T, m *pvesim.Model)) {
	for _, version := range []string{"8.4.1", "9.2.0"} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := pvesim.Cluster()
				m.PVE = version
				test(t, &m)
			})
		})
	}
}

// jobOf is a job as PVE has it now.
func jobOf(t *testing.T, w *sim.World, id string) map[string]any {
	t.Helper()
	a := w.As(full).Call("pve_api_read", fmt.Sprintf(`{"path":"/cluster/backup/%s"}`, id))
	job, _ := a.Fields["data"].(map[string]any)
	return job
}

func wantOutcome(t *testing.T, a sim.Answer, want tool.Outcome, says ...string) {
	t.Helper()
	if a.Outcome != want {
		t.Errorf("outcome %s, want %s: %s", a.Outcome, want, a.Text)
	}
	for _, text := range says {
		if !strings.Contains(a.Text, text) {
			t.Errorf("no %q in %s", text, a.Text)
		}
	}
}

// Words for a schedule become PVE's form, of which PVE says when it comes.
func TestScheduleInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // on Saturday, 2000-01-01 00:00 UTC
		w := sim.New(t, sim.Options{Token: full})
		for said, want := range map[string]string{
			"every night at 2":                    "schedule 02:00: every day at 02:00; next 2000-01-01T02:00:00Z",
			"every night at 10":                   "schedule 22:00: ",
			"every day at 2:30 pm":                "schedule 14:30: ",
			"daily at 12 am":                      "schedule 00:00: ",
			"at noon":                             "schedule 12:00: ",
			"nightly at 02:00":                    "schedule 02:00: ",
			"every evening at 8":                  "schedule 20:00: ",
			"every sunday at 3:30":                "schedule sun 03:30: Sun at 03:30; next 2000-01-02T03:30:00Z",
			"Sundays at 3.30":                     "schedule sun 03:30: ",
			"weekdays at 22:00":                   "schedule mon..fri 22:00: Mon to Fri at 22:00; next 2000-01-03T22:00:00Z",
			"monday to friday at 22:00":           "schedule mon..fri 22:00: ",
			"on mon, wed and fri at 9pm":          "schedule mon,wed,fri 21:00: ",
			"weekends at 4":                       "schedule sat,sun 04:00: ",
			"every 4 hours":                       "schedule */4:00: every 4 hours; next 2000-01-01T04:00:00Z",
			"every 30 minutes":                    "schedule */30: every 30 minutes; next 2000-01-01T00:30:00Z",
			"every hour":                          "schedule *:00: every hour",
			"first sunday of the month at 3":      "schedule sun *-*-1..7 03:00; next 2000-01-02T03:00:00Z",
			"on the 15th of every month at 01:00": "schedule *-*-15 01:00; next 2000-01-15T01:00:00Z",
			"mon..fri 22:00":                      "schedule mon..fri 22:00: ",
			"daily":                               "schedule daily: every day at 00:00",
		} {
			a := w.Call("pve_set_backup_job", fmt.Sprintf(`{"action":"create","guests":"100","storage":"nfs","schedule":%q,"plan":true}`, said))
			if a.Outcome != tool.Planned || !strings.Contains(a.Text, `"`+want) {
				t.Errorf("%s: no %q in %s", said, want, a.Text)
			}
		}
		for _, said := range []string{"now and then", "every night", "every night at 25", "every blue moon at 3", "at 13 pm", "every sunday to at 3", "31.12. at 5"} {
			a := w.Call("pve_set_backup_job", fmt.Sprintf(`{"action":"create","guests":"100","storage":"nfs","schedule":%q,"plan":true}`, said))
			wantOutcome(t, a, tool.Failed, `argument \"schedule\"`, said, "every night at 2")
		}
	})
}

// What stays is said, and how far back it reaches.
func TestRetentionInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		for said, want := range map[string]string{
			"7":                    "keeps the last 7 of each guest on nfs (keep-last=7), which reaches back about 7d; older ones are deleted",
			"last=7,weekly=4":      "keeps the last 7, then one a week for 4 weeks of each guest on nfs (keep-last=7,keep-weekly=4)",
			"keep-last=3":          "(keep-last=3)",
			"7 daily and 4 weekly": "keeps one a day for 7 days, then one a week for 4 weeks",
			"last 3":               "(keep-last=3)",
			"14 days":              "(keep-daily=14)",
			"all":                  "keeps all of each guest on nfs (keep-all=1)",
			"":                     "no retention of its own: that of the storage nfs applies",
		} {
			a := w.Call("pve_set_backup_job", fmt.Sprintf(`{"action":"create","guests":"100","storage":"nfs","schedule":"every night at 2","keep":%q,"plan":true}`, said))
			wantOutcome(t, a, tool.Planned, want)
		}
		for _, said := range []string{"some", "0", "all,last=3", "last=3,last=4", "-1", "last"} {
			a := w.Call("pve_set_backup_job", fmt.Sprintf(`{"action":"create","guests":"100","storage":"nfs","schedule":"02:00","keep":%q}`, said))
			wantOutcome(t, a, tool.Failed, `argument \"keep\"`)
		}
	})
}

// "Nightly backups of prod at two, keep seven": the guests that have the tag now, in one call,
// which the audit minds when another guest gets the tag.
func TestNightlyOfTag(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: full})
		a := w.Call("pve_set_backup_job", `{"action":"create","id":"nightly-prod","guests":"tag:prod","schedule":"every night at two","storage":"nfs","keep":"seven"}`)
		wantOutcome(t, a, tool.OK, "PVE cannot select by tag", "in the job backup-db too: 102 db-1, 103 db-2", `"next_runs":["2000-01-01T02:00:00Z"`, `"undo":{"tool":"pve_set_backup_job","arguments":{"action":"delete","id":"nightly-prod"}}`)
		job := jobOf(t, w, "nightly-prod")
		if job["vmid"] != "100,101,102,103,104,200,201" || job["comment"] != "guests: tag:prod" || job["schedule"] != "02:00" {
			t.Errorf("%v", job)
		}
		if text := w.Call("pve_audit", `{"focus":["backups"],"limit":100}`).Text; strings.Contains(text, "job-selection") {
			t.Errorf("the audit minds a job that fits: %s", text)
		}
		w.Call("pve_update_guest_config", `{"vmid":204,"set":{"tags":"prod"}}`)
		time.Sleep(20 * time.Second)
		w.Call("pve_update_guest_config", `{"vmid":200,"set":{"tags":"other"}}`)
		time.Sleep(20 * time.Second)
		text := w.Call("pve_audit", `{"focus":["backups"],"limit":100}`).Text
		for _, want := range []string{`"id":"backup.job-selection"`, "tag:prod; not in the job: 204 sandbox; in the job, and do not fit: 200 proxy"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		wantOutcome(t, w.Call("pve_list_backup_jobs", `{"id":"nightly-prod"}`), "", "its guests are no longer those of tag:prod")
		const refresh = `{"action":"change","id":"nightly-prod","guests":"tag:prod"`
		wantOutcome(t, w.Call("pve_set_backup_job", refresh+`}`), tool.NeedsConfirmation, "it backs up 1 guest no more: 200 proxy; other enabled jobs include them all")
		wantOutcome(t, w.Call("pve_set_backup_job", refresh+`,"confirm":true}`), tool.OK)
		if text := w.Call("pve_audit", `{"focus":["backups"],"limit":100}`).Text; strings.Contains(text, "job-selection") {
			t.Errorf("the audit still minds the job: %s", text)
		}
	})
}

// Whatever a change backs up less needs consent, and says what is lost; the rest does not.
func TestLosses(t *testing.T) {
	effort.SkipShort(t)
	for args, lost := range map[string]string{
		`"schedule":"every 4 hours"`:        "",
		`"keep":"5"`:                        "",
		`"keep":"2"`:                        "fewer backups stay: keeps the last 2 in place of keeps the last 3",
		`"keep":"all"`:                      "",
		`"unset":["prune-backups"]`:         "fewer backups stay: as the storage says in place of keeps the last 3",
		`"enabled":false`:                   "the job is disabled: it runs no more until it is enabled",
		`"storage":"pbs"`:                   "new backups go to pbs in place of nfs; those on nfs stay",
		`"guests":"100,101"`:                "it backed up all guests, new ones too",
		`"guests":"all+!102+!103+!100"`:     "it backs up 1 guest no more: 100 web-1; in no other enabled job: 100 web-1",
		`"guests":"all"`:                    "",
		`"comment":"hello"`:                 "",
		`"set":{"node":"pve1"}`:             "guests no more: ",
		`"set":{"exclude-path":"/var/tmp"}`: "these paths in containers are backed up no more: /var/tmp",
		`"mode":"suspend"`:                  "",
		`"mode":"stop"`:                     "each run of the job shuts down ",
		`"set":{"enabled":"Off"}`:           "the job is disabled: it runs no more until it is enabled",
		`"set":{"exclude":"102,103,100"}`:   "it backs up 1 guest no more: 100 web-1",
	} {
		onEach(t, func(t *testing.T, m *pvesim.Model) {
			w := sim.New(t, sim.Options{Model: m, Token: full})
			before := jobOf(t, w, "backup-nightly")
			call := `{"action":"change","id":"backup-nightly",` + args
			a := w.Call("pve_set_backup_job", call+`}`)
			if lost == "" {
				wantOutcome(t, a, tool.OK)
			} else {
				wantOutcome(t, a, tool.NeedsConfirmation, lost)
				if diff := cmp.Diff(before, jobOf(t, w, "backup-nightly")); diff != "" {
					t.Errorf("%s was changed without consent: %s", args, diff)
				}
				a = w.Call("pve_set_backup_job", call+`,"confirm":true}`)
				wantOutcome(t, a, tool.OK)
			}
			undoes(t, w, a, "backup-nightly", before)
		})
	}
}

// A retention that was set while the job removed nothing needs consent once it removes.
func TestRemovalSwitchedOn(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: full})
		call := func(args string) sim.Answer {
			return w.Call("pve_set_backup_job", `{"action":"change","id":"backup-nightly",`+args+`}`)
		}
		wantOutcome(t, call(`"set":{"remove":"no"}`), tool.OK, "keeps all")
		wantOutcome(t, call(`"keep":"1"`), tool.OK)
		wantOutcome(t, call(`"set":{"remove":"yes"}`), tool.NeedsConfirmation, "fewer backups stay: keeps the newest in place of keeps all")
		wantOutcome(t, call(`"unset":["remove"]`), tool.NeedsConfirmation, "fewer backups stay")
	})
}

// A new job that shuts several guests down needs consent, too.
func TestNewJobThatInterrupts(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: full})
		for args, want := range map[string]tool.Outcome{
			`"guests":"tag:prod","mode":"stop"`: tool.NeedsConfirmation,
			`"guests":"tag:prod"`:               tool.OK,
			`"guests":"100","mode":"stop"`:      tool.OK,
		} {
			wantOutcome(t, w.Call("pve_set_backup_job", `{"action":"create","schedule":"02:00","storage":"nfs",`+args+`}`), want)
		}
	})
}

// undoes carries out the undo of an answer, after which the job is as before.
func undoes(t *testing.T, w *sim.World, a sim.Answer, id string, before map[string]any) {
	t.Helper()
	undo, _ := a.Fields["undo"].(map[string]any)
	if undo == nil {
		t.Fatalf("no undo: %s", a.Text)
	}
	args, _ := undo["arguments"].(map[string]any)
	args["confirm"] = true
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, w.Call("pve_set_backup_job", string(text)), tool.OK)
	if diff := cmp.Diff(before, jobOf(t, w, id)); diff != "" {
		t.Errorf("after %s (-before +now):\n%s", text, diff)
	}
}

// A job that is deleted can be made again as it was.
func TestDeleteJob(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: full})
		before := jobOf(t, w, "backup-db")
		a := w.Call("pve_set_backup_job", `{"action":"delete","id":"backup-db"}`)
		wantOutcome(t, a, tool.NeedsConfirmation, "in no other enabled job: 102 db-1, 103 db-2", "the backups that it has made stay")
		a = w.Call("pve_set_backup_job", `{"action":"delete","id":"backup-db","confirm":true}`)
		wantOutcome(t, a, tool.OK)
		if job := jobOf(t, w, "backup-db"); job != nil {
			t.Errorf("it is still there: %v", job)
		}
		undoes(t, w, a, "backup-db", before)
	})
}

// A run takes the job's settings to each node, and the answer tells of each task.
func TestRunNow(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: full})
		a := w.Call("pve_set_backup_job", `{"action":"run_now","id":"backup-db"}`)
		wantOutcome(t, a, tool.NeedsConfirmation, "older backups of these guests on pbs are deleted", "on pve2, to pbs: 102 db-1", "on pve3, to pbs: 103 db-2")
		if strings.Contains(a.Text, "scsi0") || strings.Contains(a.Text, "snapshot") {
			t.Errorf("names what the run leaves alone: %s", a.Text)
		}
		w.Sent()
		a = w.Call("pve_set_backup_job", `{"action":"run_now","id":"backup-db","confirm":true,"wait":5}`)
		wantOutcome(t, a, tool.Running, "it runs on 2 of 2 nodes")
		var posts []string
		for _, sent := range w.Sent() {
			if strings.HasPrefix(sent, "POST") {
				posts = append(posts, sent)
			}
		}
		if len(posts) != 2 {
			t.Errorf("sent %q", posts)
		}
		a = follow(w, a)
		wantOutcome(t, a, "", `"outcome":"ok"`, "Run of the backup job backup-db: done on 2 nodes.", "UPID:pve2:", "UPID:pve3:")
	})
}

// follow follows a change to its end.
func follow(w *sim.World, a sim.Answer) sim.Answer {
	for handle, _ := a.Fields["handle"].(string); strings.Contains(a.Text, `"outcome":"running"`); {
		a = w.Call("pve_task_status", `{"handle":"`+handle+`","wait":55}`)
	}
	return a
}

// A node whose backup fails does not hide that of the others.
func TestRunNowFailsOnANode(t *testing.T) {
	effort.SkipShort(t)
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		for i := range m.Guests {
			if g := &m.Guests[i]; g.VMID == 103 {
				g.Config["lock"] = "snapshot"
			}
		}
		w := sim.New(t, sim.Options{Model: m, Token: full})
		a := w.Call("pve_set_backup_job", `{"action":"run_now","id":"backup-db","keep_all":true,"wait":1}`)
		wantOutcome(t, follow(w, a), "", `"outcome":"failed"`, "failed on 1 of 2 nodes", "pve3: ", `"node":"pve2","outcome":"ok"`)
	})
}

// Each refusal is one sentence, and names what is missing.
func TestJobRefusals(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		for i, id := range []string{"pool@pve!mcp"} {
			m.Tokens = append(m.Tokens, pvesim.Token{ID: id, Secret: fmt.Sprintf("00000000-0000-4000-8000-00000000009%d", i)})
			m.Users = append(m.Users, pvesim.User{ID: "pool@pve"})
			m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/web", Who: "pool@pve", Role: "PVEVMAdmin"})
		}
		w := sim.New(t, sim.Options{Model: m, Token: full})
		for _, tt := range []struct{ token, args, want string }{
			{operator, `{"action":"create","guests":"tag:prod","schedule":"02:00","storage":"nfs"}`, "Nothing was sent: this token lacks Sys.Modify on /; it lacks Datastore.Allocate on /storage/nfs."},
			{operator, `{"action":"change","id":"backup-db","enabled":false}`, "lacks Sys.Modify on /; it lacks Datastore.Allocate on /storage/pbs."},
			{operator, `{"action":"delete","id":"backup-db"}`, "lacks Sys.Modify on /."},
			{operator, `{"action":"run_now","id":"backup-nightly"}`, "Run it with keep_all: true"},
			{auditor, `{"action":"run_now","id":"backup-db"}`, "lacks VM.Backup on /vms/102"},
			{"pool@pve!mcp", `{"action":"delete","id":"backup-db"}`, "Sys.Audit on /"},
			{full, `{"action":"change","id":"nosuch","enabled":false}`, `There is no backup job \"nosuch\". Nothing was sent.`},
			{full, `{"action":"create","id":"backup-db","guests":"100","schedule":"02:00"}`, "There is a backup job backup-db already"},
			{full, `{"action":"create","id":"1 x","guests":"100","schedule":"02:00","storage":"nfs"}`, "which PVE does not take"},
			{full, `{"action":"create","guests":"tag:nosuch","schedule":"02:00","storage":"nfs"}`, `has the tag \"nosuch\"`},
			{full, `{"action":"create","guests":"100","schedule":"02:00","storage":"nosuch"}`, "nosuch"},
			{full, `{"action":"create","guests":"100","schedule":"02:00","storage":"local-zfs"}`, "The storage local-zfs does not hold backups"},
			{full, `{"action":"create","guests":"100","schedule":"02:00"}`, "for backups there is"},
			{full, `{"action":"create","guests":"100","once":"1999-12-31 02:00","storage":"nfs"}`, "which never comes again"},
			{full, `{"action":"create","guests":"100","schedule":"02:00","once":"tonight at 2","storage":"nfs"}`, "say twice when it runs"},
			{full, `{"action":"create","schedule":"02:00","storage":"nfs"}`, "what to back up"},
			{full, `{"action":"change","id":"backup-db","guests":"100","set":{"all":1}}`, "give one of them"},
			{full, `{"action":"change","id":"backup-db","set":{"starttime":"02:00"}}`, "starttime"},
			{full, `{"action":"change","id":"backup-db","set":{"maxfiles":1}}`, "has maxfiles, which is not set that way"},
			{full, `{"action":"change","id":"backup-db","guests":"100","set":{"exclude":"101"}}`, "give one of them"},
			{full, `{"action":"run_now","id":"backup-db","guests":"100"}`, "not in the job backup-db"},
			{full, `{"action":"run_now","id":"backup-db","keep":"3"}`, "takes no settings"},
		} {
			a := w.As(tt.token).Call("pve_set_backup_job", tt.args)
			wantOutcome(t, a, tool.Failed, tt.want)
			if sent := strings.Join(w.Sent(), "\n"); strings.Contains(sent, "POST") || strings.Contains(sent, "PUT") || strings.Contains(sent, "DELETE") {
				t.Errorf("%s: sent %s", tt.args, sent)
			}
		}
	})
}

// An operator, who may not change jobs, can run one and delete nothing.
func TestOperatorRuns(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: operator})
		wantOutcome(t, w.Call("pve_set_backup_job", `{"action":"run_now","id":"backup-nightly","keep_all":true,"guests":"200","wait":600}`), tool.OK)
	})
}

// A token that sees no jobs says so, and never that there are none.
func TestJobsUnseen(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		m.Users = append(m.Users, pvesim.User{ID: "pool@pve"})
		m.Tokens = append(m.Tokens, pvesim.Token{ID: "pool@pve!mcp", Secret: "00000000-0000-4000-8000-000000000099"})
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/web", Who: "pool@pve", Role: "PVEVMAdmin"})
		a := sim.New(t, sim.Options{Model: m, Token: "pool@pve!mcp"}).Call("pve_list_backup_jobs", `{}`)
		wantOutcome(t, a, "", "Backup jobs cannot be seen: see blind.", `"missing":"Sys.Audit on /"`)
		if a.Fields["in_no_job"] != nil {
			t.Error(a.Text)
		}
	})
}

// Once, tonight: the job runs, and does not run again.
func TestOnce(t *testing.T) {
	onEach(t, func(t *testing.T, m *pvesim.Model) {
		m.JobsRun = true
		w := sim.New(t, sim.Options{Model: m, Token: full})
		for said, want := range map[string]string{
			"tonight at 2": "2000-01-01 02:00", "tomorrow at 22:00": "2000-01-02 22:00", "today at 22:00": "2000-01-01 22:00", "sunday at 3:30": "2000-01-02 03:30",
			"2000-02-29 04:00": "2000-02-29 04:00",
		} {
			a := w.Call("pve_set_backup_job", fmt.Sprintf(`{"action":"create","guests":"200","once":%q,"storage":"nfs","plan":true}`, said))
			wantOutcome(t, a, tool.Planned, "schedule "+want+": once, on ")
		}
		wantOutcome(t, w.Call("pve_set_backup_job", `{"action":"create","id":"tonight","guests":"200","once":"tonight at 2","storage":"nfs"}`), tool.OK, "delete it then")
		time.Sleep(3 * time.Hour)
		a := w.Call("pve_list_backup_jobs", `{"id":"tonight"}`)
		wantOutcome(t, a, "", "its schedule never comes again", `"last":"a backup of its guests was made 1h ago"`)
	})
}
