package toolset_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Each recorded operation that a tool can express is driven through the tool, on the
// recorded cluster in the state of that point of the recording, and ends as it did.
// All other requests of the recordings are sent as they are.
func TestRecordedOperations(t *testing.T) {
	files := []string{"qemu", "lxc", "backup", "agent", "tasks", "cluster", "migrate", "nine", "nine_life", "errors"}
	rowsOf := map[string][]recorded.Row{}
	for _, file := range files {
		rowsOf[file] = recorded.Rows(t, file)
	}
	driven, own, tools := 0, 0, map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		model := pvesim.Recorded()
		d := &driver{
			World: sim.New(t, sim.Options{Model: &model, Token: "root@pam!full", Policy: policy.Policy{Exec: true}}),
			mine:  map[string]string{}, pids: map[string]string{},
		}
		for _, file := range files {
			rows := rowsOf[file]
			for i, row := range rows {
				name, args := d.expressed(rows, i)
				if name == "" {
					d.replay(row)
					continue
				}
				time.Sleep(time.Duration(row.Gap * float64(time.Second)))
				driven, tools[name] = driven+1, tools[name]+1
				said, problem := d.drive(rows, i, name, args)
				if problem != "" {
					t.Errorf("%v %v\n     %s %v: %s", row, row.Params, name, args, problem)
				}
				if said {
					own++
				}
			}
		}
	})
	t.Logf("%d recorded operations driven through %d tools, %d of them with an answer in the tools' own words: %v", driven, len(tools), own, tools)
}

// ownWords are what a tool says where it knows without asking what PVE would say, by a
// pattern of PVE's words. Where a guest is as the call would have it, that is no
// failure for a tool.
var ownWords = []struct{ pve, tool string }{
	{`already running|CT \d+ not running|disk is already at specified size`, `already; nothing was sent`},
	{`VM \d+ (is )?not running`, `VM \d+ is stopped, so`},
	{`shrinking disks is not supported|unable to shrink disk size`, `a disk cannot be shrunk`},
	{`snapshot name '\w+' already used`, `has a snapshot \w+ already`},
	{`is running - destroy failed|container is running|vm is running`, `only a stopped guest can be`},
	{`Linked clone feature is not supported`, `is not a template, so it cannot have linked clones`},
	{`you can't start a vm if it's a template`, `is a template, which cannot be started`},
	{`protection mode enabled`, `is protected against removal`},
	{`detected modified configuration|checksum mismatch`, `was changed since it had the digest`},
	{`Parameter verification failed`, `Nothing that is offered is called|ends in|PVE refused the parameters|The argument "\w+"|is on pve1 already; nothing was sent|has no disk "floppy"`},
	{`format error`, `has no disk "mp0"`},
	{`snapshot feature is not available`, `cannot make snapshots of all its disks`},
	{`Cannot do full clones on a running container without snapshots`, `a running container can only be copied from a snapshot`},
	{`lxc-checkpoint .* failed`, `PVE cannot suspend containers reliably`},
	{`job errors`, `There is no guest 99999`},
	{`already exists on node|config file already exists`, `The id \d+ is that of`},
	{`no options specified`, `there is nothing to change`},
	{`\(reserved name\)`, `neither current nor pending`},
	{`volume '\S+' does not exist`, `which is not the name of a backup`},
	{`wrong content type`, `may not hold backups`},
	{`QEMU guest agent is not running`, `has no guest agent configured`},
	{`Permission check failed`, `The token \S+ lacks`},
	{`(VM|CT) is locked \(\w+\)`, `is locked \(\w+\)`},
	{`migration aborted`, `which only its node has|has disks that only its node has`},
	{`can't migrate running VM without --online`, `has disks that only its node has`},
	{`no such cluster node`, `There is no node`},
	{`used in HA resources and purge parameter not set`, `is managed by HA, so PVE does not delete it`},
	{`refusing to override existing file`, `is there already, and is not loaded again`},
	{`download failed: exit code`, `invalid server response`},
	{`^OK$`, `has a folder in it; give a name alone|There is no volume data:iso/`},
	{`can't convert a template to a template`, `is a template already`},
	{`(?i)disk 'scsi0' .*does not exist`, `has no disk "scsi0"`},
	{`Permission check failed`, `No storage that this token may use`},
	{`can't migrate running container without`, `can only be moved by stopping it`},
}

// driver replays recordings, partly through tools.
type driver struct {
	*sim.World
	mine map[string]string // recorded UPIDs and ids of backups to ours
	pids map[string]string // of processes in guests
}

// labels are the tokens of the recordings.
var labels = map[string]string{
	"full": "root@pam!full", "audit": "mcp@pve!audit", "admin": "mcp@pve!admin", "ops": "mcp@pve!ops", "none": "mcp@pve!none",
}

// drive calls the tool and compares how it ends. It returns what is different, and
// whether the tool had words of its own for PVE's refusal.
func (d *driver) drive(rows []recorded.Row, i int, name string, args map[string]any) (own bool, problem string) {
	row := rows[i]
	data, err := json.Marshal(args)
	if err != nil {
		d.Fatal(err)
	}
	got := d.As(labels[row.Token]).Call(name, string(data))
	want := row.Reason
	if row.Status == http.StatusOK {
		want = "OK"
	}
	if upid := upidOf(row); upid != "" {
		if own, _ := got.Fields["upid"].(string); own != "" {
			d.mine[upid] = own
		}
		var last struct{ ExitStatus string }
		if err := json.Unmarshal(rows[i+1].Statuses[len(rows[i+1].Statuses)-1], &last); err != nil {
			d.Fatal(err)
		}
		want = last.ExitStatus
	}
	if exit := exitOf(rows[i:]); exit != "" && want == "OK" && name == "pve_vm_exec" {
		if own := fmt.Sprintf("%v %v %v", got.Fields["exit_code"], got.Fields["stdout"], got.Fields["stderr"]); own != exit {
			return false, fmt.Sprintf("%s, where it was %s", own, exit)
		}
		if code, _, _ := strings.Cut(exit, " "); code != "0" { // it ran, and failed
			want = "The command ended with exit code " + code
		}
	}
	ended := fmt.Sprint(got.Fields["outcome"])
	switch {
	case want == "OK" && !got.IsError, strings.HasPrefix(want, "WARNINGS") && ended == "warnings":
		return false, ""
	case want != "OK" && got.IsError && strings.Contains(masked(got.Text), masked(want)):
		return false, ""
	}
	for _, w := range ownWords {
		as := regexp.MustCompile(w.tool)
		if regexp.MustCompile(w.pve).MatchString(want) && as.MatchString(fmt.Sprint(got.Fields["message"])) {
			return true, ""
		}
	}
	return false, fmt.Sprintf("%s, where it was %q", got.Text, want)
}

// exitOf is how a process ended that the first row started: its exit code and output;
// "" if nobody looked.
func exitOf(rows []recorded.Row) string {
	started, _ := dataOf(rows[0].Body).(map[string]any)
	for _, row := range rows[1:] {
		end, _ := dataOf(row.Body).(map[string]any)
		if strings.HasSuffix(row.Path, "/exec-status") && fmt.Sprint(row.Params["pid"]) == fmt.Sprint(started["pid"]) && end["exitcode"] != nil {
			return fmt.Sprintf("%v %v %v", end["exitcode"], end["out-data"], end["err-data"])
		}
	}
	return ""
}

var volatile = regexp.MustCompile(`\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d|vzdumptmp\d+|\\`)

func masked(s string) string { return strings.TrimSpace(volatile.ReplaceAllString(s, "")) }

func upidOf(row recorded.Row) string {
	upid, _ := dataOf(row.Body).(string)
	if !strings.HasPrefix(upid, "UPID:") {
		return ""
	}
	return upid
}

func dataOf(body []byte) any {
	var answer struct{ Data any }
	_ = json.Unmarshal(body, &answer)
	return answer.Data
}

// replay sends a row as it is, or awaits its task.
func (d *driver) replay(row recorded.Row) {
	d.Helper()
	if row.Task != "" {
		d.await(row.Task)
		return
	}
	if !row.IsRequest() {
		return
	}
	time.Sleep(time.Duration(row.Gap * float64(time.Second)))
	form, path := row.Form(), row.Path
	if pid, ok := d.pids[form.Get("pid")]; ok {
		form.Set("pid", pid)
	}
	for theirs, ours := range d.mine {
		for _, escape := range []func(string) string{url.PathEscape, url.QueryEscape} {
			path = strings.ReplaceAll(path, escape(theirs), url.PathEscape(ours))
		}
		for _, values := range form {
			for i := range values {
				values[i] = strings.ReplaceAll(values[i], theirs, ours)
			}
		}
	}
	got := d.ask(row.Token, row.Method, path, form, []byte(row.RawBody), row.Headers)
	theirs, ours := dataOf(row.Body), dataOf(got.Body)
	if own, ok := ours.(string); ok && upidOf(row) != "" {
		d.mine[upidOf(row)] = own
	}
	if started, ok := theirs.(map[string]any); ok && strings.HasSuffix(row.Path, "/agent/exec") {
		own, _ := ours.(map[string]any)
		d.pids[fmt.Sprint(started["pid"])] = fmt.Sprint(own["pid"])
	}
	a, b := backupsIn(theirs), backupsIn(ours)
	for i := range min(len(a), len(b)) {
		d.mine[a[i]] = b[i]
	}
}

func (d *driver) ask(label, method, path string, form url.Values, body []byte, headers map[string]string) pvesim.Response {
	d.Helper()
	head := http.Header{}
	for k, v := range headers {
		head.Set(k, v)
	}
	if label != "" {
		head.Set("Authorization", d.Model.Token(labels[label]).Header())
	}
	req := pvesim.Request{Method: method, Path: "/api2/json" + path, Header: head, Body: body}
	if method == "GET" || method == "DELETE" {
		req.Query = form.Encode()
	} else if len(body) == 0 {
		req.Body = []byte(form.Encode())
	}
	got, err := d.Sim.Do(d.Context(), req)
	if err != nil {
		d.Fatal(err)
	}
	return got
}

func (d *driver) await(theirs string) {
	d.Helper()
	upid := d.mine[theirs]
	if upid == "" {
		return
	}
	for range 400 {
		status, _ := dataOf(d.ask("full", "GET", "/nodes/"+strings.Split(upid, ":")[1]+"/tasks/"+url.PathEscape(upid)+"/status", nil, nil, nil).Body).(map[string]any)
		if status["status"] != "running" {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// backupsIn lists the ids of backups in a list of volumes, by what they are of and when.
func backupsIn(data any) []string {
	var ids []string
	list, _ := data.([]any)
	for _, item := range list {
		if m, ok := item.(map[string]any); ok && strings.Contains(fmt.Sprint(m["volid"]), "backup/") {
			ids = append(ids, fmt.Sprint(m["volid"]))
		}
	}
	digits := regexp.MustCompile(`\D`)
	slices.SortFunc(ids, func(a, b string) int {
		return strings.Compare(digits.ReplaceAllString(a, ""), digits.ReplaceAllString(b, ""))
	})
	return ids
}
