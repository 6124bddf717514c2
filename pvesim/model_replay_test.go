package pvesim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// recording is a number of files that build on one another, and the cluster from which
// they start.
type recording struct {
	name  string
	model func() pvesim.Model
	at    time.Time
	files []string
}

var recordings = []recording{
	{"the first day", pvesim.Recorded, recordedAt, []string{
		"qemu", "lxc", "backup", "agent", "tasks", "cluster", "migrate", "nine", "nine_life", "auth", "errors", "reads", "offline",
	}},
	{"cloud-init", pvesim.Recorded, time.Unix(1795369684, 0), []string{"cloudinit"}},
	{"provision", recorded2WithOwn, time.Unix(1795976689, 0), []string{"provision"}},
	{"what an overview reads", overviewed, recorded2At, []string{"insight"}},
	{"what an overview reads of PVE 9", overviewedNine, recorded2At, []string{"nine_insight"}},
	{"administration", administered, recordedAt, []string{"admin"}},
	{"administration of 9", recordedForNine, recordedAt, []string{"nine_admin"}},
	{"hands on", handled, recorded2At, []string{"handson"}},
	{"hands on of 9", handledNine, recorded2At, []string{"nine_hands"}},
}

// recorded2WithOwn has the guests that the recorder made before the files of the other day:
// VM 900 and CT 950, which run.
func recorded2WithOwn() pvesim.Model {
	m := pvesim.Recorded2()
	const web, sum = "http://127.0.0.1:18999/", "babca66e35e4af0f1cae459c70cf84612ebfc04d8ba9f4b4b8918fb8216327a1"
	m.Web = []pvesim.WebFile{
		{URL: web + "ok.iso", Size: 2048, SHA256: sum},
		{URL: web + "none.iso", Status: 404, Reason: "File not found"},
		{URL: web + "disk.qcow2", Size: 196616, Image: pvesim.Image{Virtual: 64 << 20}},
		{URL: web + "ct.tar.gz", Size: 1037635},
	}
	m.Guests = append(m.Guests, pvesim.Guest{
		VMID: 900, Kind: "qemu", Node: "pve1", Running: true, Up: time.Minute, IPs: []string{"10.99.0.90/24", "fe80::90/64"}, Config: map[string]string{
			"name": "rec", "cores": "1", "memory": "256", "kvm": "0", "agent": "1", "serial0": "socket", "ostype": "l26", "boot": "order=ide2;scsi0",
			"scsihw": "virtio-scsi-pci", "scsi0": "data:900/vm-900-disk-0.raw,size=1G", "ide2": "local:iso/miniguest.iso,media=cdrom,size=19340K",
			"net0": "virtio=BC:24:11:3C:76:C6,bridge=vmbr0", "meta": "creation-qemu=9.2.0,ctime=1795976657",
			"smbios1": "uuid=cde3d5bb-74c6-4dc9-b58f-f50f7363275d", "vmgenid": "8d46c22f-8ccc-4cb6-bf33-cf317b949ba8",
		},
	}, pvesim.Guest{
		VMID: 950, Kind: "lxc", Node: "pve1", Running: true, Up: time.Minute, IPs: []string{"10.99.0.95/24"}, Config: map[string]string{
			"hostname": "rec-ct", "memory": "128", "swap": "512", "arch": "amd64", "ostype": "debian", "rootfs": "data:950/vm-950-disk-0.raw,size=1G",
			"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:3C:76:C7,ip=dhcp,type=veth", "unprivileged": "1",
		},
	})
	return m
}

// pauses are those before a row in which a guest booted. They were not recorded.
var pauses = map[string]time.Duration{"nine_admin:11": time.Minute}

// Requests to a real cluster, asked again: status, reason, errors and the shape of
// the data must be the same, and how tasks end. With -v the rows are counted.
func TestRecordedReplay(t *testing.T) {
	recorded.Dir(t)
	used, proved := map[string]bool{}, proofs{}
	for _, rec := range recordings {
		t.Run(strings.ReplaceAll(rec.name, " ", "-"), func(t *testing.T) { rec.replay(t, used, proved) })
	}
	proved.check(t)
	for key := range excused {
		if !used[key] {
			t.Errorf("%s is excused, and no row needs it", key)
		}
	}
}

// replay asks everything again, and notes which excuses were needed and what was proved.
func (rec recording) replay(t *testing.T, used map[string]bool, proved proofs) {
	clock := pvesim.NewVirtual(rec.at)
	sim, err := pvesim.NewSim(rec.model(), pvesim.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{sim: sim, clock: clock, tokens: recordedTokens(), mine: map[string]string{}, pids: map[string]string{}}
	rows, equal := 0, 0
	for _, file := range rec.files {
		n, same := 0, 0
		if r.node = ""; file == "nine_hands" {
			r.node = "pve2"
		}
		if file == "offline" {
			r.offline(t)
		}
		for _, row := range recorded.Rows(t, file) {
			clock.Advance(pauses[fmt.Sprintf("%s:%d", row.File, row.Line)])
			if !row.IsRequest() && row.Task == "" {
				continue
			}
			n++
			diffs, key := r.row(t, row), excuse(row)
			switch {
			case len(diffs) == 0:
				same++
				proved.note(r.sim, row)
			case key == "":
				t.Errorf("%v %s %v: %s", row, typeOf(row.Task), row.Params, strings.Join(diffs, "; "))
			default:
				used[key] = true
				t.Logf("%v: %s (%s)", row, strings.Join(diffs, "; "), excused[key])
			}
		}
		t.Logf("%s: %d rows, %d equal", file, n, same)
		rows, equal = rows+n, equal+same
	}
	t.Logf("%d rows compared, %d equal", rows, equal)
}

// offline takes pve2 down, and lets the time pass in which a node is remembered: the
// recorded one had been forgotten, because pve1 had been started anew.
func (r *replay) offline(t *testing.T) {
	t.Helper()
	if err := r.sim.Fault(pvesim.Fault{Node: "pve2", Down: true}); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(6 * time.Minute)
}

// replay is a recording that is asked again, with what was translated so far.
type replay struct {
	sim    *pvesim.Sim
	clock  *pvesim.Virtual
	node   string // that is asked; "" for the first
	tokens map[string]pvesim.Token
	mine   map[string]string // recorded UPIDs and ids of backups to ours
	pids   map[string]string // of processes in guests
}

func (r *replay) row(t *testing.T, row recorded.Row) []string {
	t.Helper()
	if row.Task != "" {
		return r.task(t, row)
	}
	r.clock.Advance(time.Duration(row.Gap * float64(time.Second)))
	form := row.Form()
	if pid, ok := r.pids[form.Get("pid")]; ok {
		form.Set("pid", pid)
	}
	if form.Has("start-time") {
		form.Set("start-time", strconv.FormatInt(r.sim.Now().Unix()-110, 10))
	}
	if form.Has("since") {
		form.Set("since", strconv.FormatInt(r.sim.Now().Unix()-60, 10))
	}
	path := row.Path
	for theirs, ours := range r.mine {
		path = strings.ReplaceAll(path, url.PathEscape(theirs), url.PathEscape(ours))
		path = strings.ReplaceAll(path, quoted(theirs), quoted(ours))
		for k, values := range form {
			for i := range values {
				form[k][i] = strings.ReplaceAll(values[i], theirs, ours)
			}
		}
	}
	got := r.ask(t, row, path, form)
	r.learn(row, got)
	return compared(row, got)
}

// quoted escapes as the recorder did: colons and the like too.
func quoted(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (r *replay) ask(t *testing.T, row recorded.Row, path string, form url.Values) pvesim.Response {
	t.Helper()
	head := http.Header{}
	for k, v := range row.Headers {
		head.Set(k, v)
	}
	if row.Token != "" {
		head.Set("Authorization", r.tokens[row.Token].Header())
	}
	req := pvesim.Request{Node: r.node, Method: row.Method, Path: "/api2/json" + path, Header: head, Body: []byte(row.RawBody)}
	if row.Method == "GET" || row.Method == "DELETE" {
		req.Query = form.Encode()
	} else if row.RawBody == "" {
		req.Body = []byte(form.Encode())
	}
	got, err := r.sim.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// learn remembers which of our ids replaces which recorded one in later requests.
func (r *replay) learn(row recorded.Row, got pvesim.Response) {
	theirs, ours := dataOf(row.Body), dataOf(got.Body)
	if upid, ok := theirs.(string); ok && strings.HasPrefix(upid, "UPID:") {
		if own, ok := ours.(string); ok {
			r.mine[upid] = own
		}
	}
	if started, ok := theirs.(map[string]any); ok && strings.HasSuffix(row.Path, "/agent/exec") {
		if own, ok := ours.(map[string]any); ok {
			r.pids[fmt.Sprint(started["pid"])] = fmt.Sprint(own["pid"])
		}
	}
	a, b := backupsIn(theirs), backupsIn(ours)
	for i := range min(len(a), len(b)) {
		r.mine[a[i]] = b[i]
	}
}

var notDigit = regexp.MustCompile(`\D`)

func backupsIn(data any) []string {
	var ids []string
	list, _ := data.([]any)
	for _, item := range list {
		if m, ok := item.(map[string]any); ok && strings.Contains(fmt.Sprint(m["volid"]), "backup/") {
			ids = append(ids, fmt.Sprint(m["volid"]))
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return strings.Compare(notDigit.ReplaceAllString(a, ""), notDigit.ReplaceAllString(b, ""))
	})
	return ids
}

// task awaits our task that replaces a recorded one.
func (r *replay) task(t *testing.T, row recorded.Row) []string {
	t.Helper()
	upid := r.mine[row.Task]
	if upid == "" {
		return []string{"no task was started"}
	}
	const patience = 200 * time.Second
	path := "/nodes/" + strings.Split(upid, ":")[1] + "/tasks/" + url.PathEscape(upid)
	full := recorded.Row{Method: "GET", Token: "full"}
	var status map[string]any
	for began := r.sim.Now(); ; r.clock.Advance(500 * time.Millisecond) {
		status, _ = dataOf(r.ask(t, full, path+"/status", nil).Body).(map[string]any)
		if status["status"] != "running" || r.sim.Now().Sub(began) > patience {
			break
		}
	}
	var want map[string]any
	_ = json.Unmarshal(row.Statuses[len(row.Statuses)-1], &want)
	var diffs []string
	if a, b := masked(fmt.Sprint(want["exitstatus"])), masked(fmt.Sprint(status["exitstatus"])); a != b {
		diffs = append(diffs, fmt.Sprintf("exit %q, not %q", b, a))
	}
	if a, b := typeOf(row.Task), typeOf(upid); a != b {
		diffs = append(diffs, fmt.Sprintf("type %s, not %s", b, a))
	}
	log, _ := dataOf(r.ask(t, full, path+"/log", url.Values{"limit": {"500"}}).Body).([]any)
	var recorded []any
	_ = json.Unmarshal(row.Log, &recorded)
	if (len(log) > 0) != (len(recorded) > 0) {
		diffs = append(diffs, "log")
	}
	return diffs
}

func typeOf(upid string) string {
	if parts := strings.Split(upid, ":"); len(parts) > 5 {
		return parts[5]
	}
	return ""
}

func compared(row recorded.Row, got pvesim.Response) []string {
	var diffs []string
	if got.Status != row.Status {
		diffs = append(diffs, fmt.Sprintf("status %d, not %d", got.Status, row.Status))
	}
	if a, b := masked(row.Reason), masked(got.Reason); a != b {
		diffs = append(diffs, fmt.Sprintf("reason %q, not %q", b, a))
	}
	if typ := got.Header.Get("Content-Type"); typ != row.Type {
		diffs = append(diffs, fmt.Sprintf("content type %q, not %q", typ, row.Type))
	}
	if row.Body == nil {
		if string(got.Body) != row.Text {
			diffs = append(diffs, fmt.Sprintf("body %q, not %q", got.Body, row.Text))
		}
		return diffs
	}
	theirs, ours := decoded(row.Body), decoded(got.Body)
	if a, b := masked(fmt.Sprint(theirs["errors"])), masked(fmt.Sprint(ours["errors"])); a != b {
		diffs = append(diffs, fmt.Sprintf("errors %s, not %s", b, a))
	}
	if a, b := fmt.Sprint(theirs["message"]), fmt.Sprint(ours["message"]); masked(a) != masked(b) {
		diffs = append(diffs, fmt.Sprintf("message %q, not %q", b, a))
	}
	return append(diffs, shapeDiff(shape(theirs["data"]), shape(ours["data"]))...)
}

func decoded(body []byte) map[string]any {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var all map[string]any
	_ = dec.Decode(&all)
	return all
}

func dataOf(body []byte) any { return decoded(body)["data"] }

// volatile is what differs between two runs of the same thing.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`UPID:[^\s"']+`), "UPID"},
	{regexp.MustCompile(`\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d`), "STAMP"},
	{regexp.MustCompile(`vzdumptmp\d+`), "TMP"},
	{regexp.MustCompile(`[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}`), "MAC"},
	{regexp.MustCompile(`0\.0\d+`), "N"},
	{regexp.MustCompile(`pveupload-[0-9a-f]{32}`), "TMP"},
}

func masked(s string) string {
	for _, v := range volatile {
		s = v.pattern.ReplaceAllString(s, v.with)
	}
	return strings.TrimSpace(s)
}

var indexedKey = regexp.MustCompile(`^(net|scsi|unused|ide|tap\d+i)\d+$`)

// shape returns the kinds of the values at each path of some JSON.
func shape(v any) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		kind := "null"
		switch v := v.(type) {
		case bool:
			kind = "bool"
		case json.Number:
			kind = "num"
		case string:
			kind = "str"
		case []any:
			kind = "list"
			for _, x := range v {
				walk(x, path+"[]")
			}
		case map[string]any:
			kind = "dict"
			for k, x := range v {
				walk(x, path+"."+indexedKey.ReplaceAllString(k, "${1}N"))
			}
		}
		if out[path] == nil {
			out[path] = map[string]bool{}
		}
		out[path][kind] = true
	}
	walk(v, "")
	return out
}

func shapeDiff(want, got map[string]map[string]bool) []string {
	var diffs []string
	paths := maps.Clone(want)
	maps.Copy(paths, got)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		common := false
		for kind := range want[p] {
			common = common || got[p][kind]
		}
		switch {
		case got[p] == nil:
			diffs = append(diffs, "missing "+p)
		case want[p] == nil:
			diffs = append(diffs, "extra "+p)
		case !common:
			diffs = append(diffs, fmt.Sprintf("%s is %v, not %v", p, slices.Collect(maps.Keys(got[p])), slices.Collect(maps.Keys(want[p]))))
		}
	}
	return diffs
}
