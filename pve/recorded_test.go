package pve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// playback answers every request with one recorded row.
type playback struct {
	row  recorded.Row
	path string     // of the last request, unescaped
	form url.Values // its parameters
}

func (p *playback) RoundTrip(req *http.Request) (*http.Response, error) {
	p.path = strings.TrimPrefix(req.URL.Path, "/api2/json")
	p.form = req.URL.Query()
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if p.form, err = url.ParseQuery(string(data)); err != nil {
			return nil, err
		}
	}
	body := []byte(p.row.Text)
	if p.row.Body != nil {
		body = p.row.Body
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", p.row.Status, p.row.Reason),
		StatusCode: p.row.Status,
		Header:     http.Header{"Server": {"pve-api-daemon/3.0"}},
		Body:       io.NopCloser(bytes.NewReader(body)),
		Request:    req,
	}, nil
}

func player(t *testing.T) (*Client, *playback) {
	t.Helper()
	p := &playback{}
	c, err := New(proxmox.Options{Endpoints: []string{"https://pve1:8006"}, Transport: p})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// reads are the reads that the client knows, by recorded path.
var reads = []struct {
	path *regexp.Regexp
	call func(ctx context.Context, c *Client, m []string) (any, error)
}{
	{regexp.MustCompile(`^/(?:nodes/[^/]+/)?version$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Version(ctx)
	}},
	{regexp.MustCompile(`^/cluster/nextid$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.NextID(ctx)
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/snapshot$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.Snapshots(ctx, refOf(m))
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/feature$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.Feature(ctx, refOf(m), "snapshot", "")
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/migrate$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.CheckMigration(ctx, refOf(m), "")
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu)/(\d+)/agent/exec-status$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.ExecStatus(ctx, refOf(m), 1)
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/storage$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.NodeStorages(ctx, m[1], StorageFilter{})
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/storage/([^/]+)/content$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.Content(ctx, m[1], m[2], VolumeFilter{})
	}},
	{regexp.MustCompile(`^/cluster/status$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.ClusterStatus(ctx)
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/status$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.NodeStatus(ctx, m[1])
	}},
	{regexp.MustCompile(`^/cluster/resources$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		read, err := c.readResources(ctx, "") // not the one of a moment ago
		if err != nil {
			return nil, err
		}
		return read.Resources(), nil
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/status/current$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.GuestStatus(ctx, refOf(m))
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/config$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.GuestConfig(ctx, refOf(m))
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/pending$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.Pending(ctx, refOf(m))
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu)/(\d+)/agent/network-get-interfaces$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		list, err := c.AgentInterfaces(ctx, refOf(m))
		return map[string]any{"result": list}, err
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(lxc)/(\d+)/interfaces$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.ContainerInterfaces(ctx, refOf(m))
	}},
	{regexp.MustCompile(`^/access/permissions$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Permissions(ctx)
	}},
	{regexp.MustCompile(`^/(?:nodes/([^/]+)|cluster)/tasks$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		list, _, err := c.NodeTasks(ctx, "any", TaskFilter{})
		return list, err
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/tasks/(UPID[^/]+)/status$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.TaskStatus(ctx, upidOf(m[1]))
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/tasks/(UPID[^/]+)/log$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		list, _, err := c.TaskLog(ctx, upidOf(m[1]), 0, 5)
		return list, err
	}},
}

func refOf(m []string) GuestRef {
	id, _ := ParseVMID(m[3])
	return GuestRef{Node: m[1], Kind: Kind(m[2]), VMID: id}
}

func upidOf(escaped string) proxmox.UPID {
	text, _ := url.PathUnescape(escaped)
	upid, _ := proxmox.ParseUPID(text)
	return upid
}

func TestRecordedAnswersDecode(t *testing.T) {
	c, p := player(t)
	rows := 0
	for _, row := range recorded.Rows(t) {
		p.row = row
		if row.Task != "" {
			rows += checkRecordedTask(t, row)
			continue
		}
		if row.Status != 200 {
			continue
		}
		if row.Method != http.MethodGet {
			rows += checkRecordedStart(t, c, p, row)
			continue
		}
		for _, r := range reads {
			m := r.path.FindStringSubmatch(row.Path)
			if m == nil {
				continue
			}
			rows++
			got, err := r.call(t.Context(), c, m)
			if err != nil {
				t.Errorf("%v: %v", row, err)
				break
			}
			if want, _ := url.PathUnescape(row.Path); len(m) == 4 && p.path != want {
				t.Errorf("%v: the client asked for %s", row, p.path)
			}
			var answer struct{ Data json.RawMessage }
			if err := json.Unmarshal(row.Body, &answer); err != nil {
				t.Fatal(err)
			}
			sameJSON(t, row.String(), answer.Data, got)
		}
	}
	t.Logf("%d rows decode and encode back equal", rows)
}

func checkRecordedTask(t *testing.T, row recorded.Row) int {
	t.Helper()
	for _, raw := range row.Statuses {
		var status proxmox.TaskStatus
		if err := json.Unmarshal(raw, &status); err != nil {
			t.Errorf("%v: %v", row, err)
		}
		sameJSON(t, row.String(), raw, status)
	}
	var log []proxmox.LogLine
	if err := json.Unmarshal(row.Log, &log); err != nil {
		t.Errorf("%v: %v", row, err)
	}
	sameJSON(t, row.String(), row.Log, log)
	if upid, err := proxmox.ParseUPID(row.Task); err != nil || upid.String() != row.Task {
		t.Errorf("UPID %s became %v (%v)", row.Task, upid, err)
	}
	return 1
}

// writes are the writes that the client knows, by method and recorded path.
var writes = []struct {
	method string
	path   *regexp.Regexp
	call   func(ctx context.Context, c *Client, m []string, form url.Values) (any, error)
}{
	{"POST", onGuest(`/status/(\w+)`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.Power(ctx, refOf(m), m[4], PowerOptions{
			Timeout: time.Duration(number(form, "timeout")) * time.Second, ForceStop: flag(form, "forceStop"), ToDisk: flag(form, "todisk"), OverruleShutdown: flag(form, "overrule-shutdown"),
		})
	}},
	{"PUT", onGuest(`/config`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return nil, c.UpdateConfig(ctx, refOf(m), changeOf(form))
	}},
	{"POST", onGuest(`/config`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.StartConfig(ctx, refOf(m), changeOf(form))
	}},
	{"PUT", onGuest(`/resize`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.ResizeDisk(ctx, refOf(m), form.Get("disk"), form.Get("size"), form.Get("digest"))
	}},
	{"POST", onGuest(`/clone`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.Clone(ctx, refOf(m), NewClone{
			VMID: VMID(number(form, "newid")), Name: form.Get(refOf(m).Kind.nameKey()), Snapshot: form.Get("snapname"), Node: form.Get("target"), Storage: form.Get("storage"), Pool: form.Get("pool"),
			Full: lenient.Opt[bool]{Set: form.Has("full"), Value: flag(form, "full")},
		})
	}},
	{"POST", onGuest(`/migrate`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.Migrate(ctx, refOf(m), form.Get("target"), MigrateOptions{
			Storage: form.Get("targetstorage") + form.Get("target-storage"), Online: flag(form, "online"), Restart: flag(form, "restart"), LocalDisks: flag(form, "with-local-disks"),
		})
	}},
	{"DELETE", onGuest(``), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.DeleteGuest(ctx, refOf(m), Deletion{Purge: flag(form, "purge"), Unreferenced: flag(form, "destroy-unreferenced-disks"), Force: flag(form, "force")})
	}},
	{"POST", onGuest(`/snapshot`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.CreateSnapshot(ctx, refOf(m), NewSnapshot{Name: form.Get("snapname"), Description: form.Get("description"), VMState: flag(form, "vmstate")})
	}},
	{"DELETE", onGuest(`/snapshot/(\w+)`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.DeleteSnapshot(ctx, refOf(m), m[4], flag(form, "force"))
	}},
	{"POST", onGuest(`/snapshot/(\w+)/rollback`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return c.Rollback(ctx, refOf(m), m[4], flag(form, "start"))
	}},
	{"POST", onGuest(`/agent/exec`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		pid, err := c.Exec(ctx, refOf(m), form["command"], form.Get("input-data"))
		return map[string]any{"pid": pid}, err
	}},
	{"POST", regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)$`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		return createdAs(ctx, c, m[1], Kind(m[2]), form)
	}},
	{"POST", regexp.MustCompile(`^/nodes/([^/]+)/vzdump$`), func(ctx context.Context, c *Client, m []string, form url.Values) (any, error) {
		b := NewBackup{
			Storage: form.Get("storage"), Mode: form.Get("mode"), Compress: form.Get("compress"), Notes: form.Get("notes-template"),
			Protected: flag(form, "protected"), Keep: form.Get("prune-backups"), StorageRule: !form.Has("remove"), BWLimit: number(form, "bwlimit"),
		}
		for id := range strings.SplitSeq(form.Get("vmid"), ",") {
			vmid, _ := ParseVMID(id)
			b.VMIDs = append(b.VMIDs, vmid)
		}
		return c.Backup(ctx, m[1], b)
	}},
}

// createdAs makes or restores a guest as a form says.
func createdAs(ctx context.Context, c *Client, node string, kind Kind, form url.Values) (proxmox.UPID, error) {
	take := func(key string) string {
		defer form.Del(key)
		return form.Get(key)
	}
	id, name := VMID(number(form, "vmid")), take(kind.nameKey())
	pool, start, config := take("pool"), flag(form, "start"), map[string]string{}
	archive, isBackup := ParseVolID(take("archive") + take("ostemplate"))
	restores := isBackup == nil && (kind == QEMU || flag(form, "restore"))
	r := Restoration{VMID: id, Archive: archive, Name: name, Pool: pool, Start: start, Config: config}
	if restores {
		r.Storage, r.Overwrite, r.Unique = take("storage"), flag(form, "force"), flag(form, "unique")
	}
	for _, key := range []string{"vmid", "start", "restore", "force", "unique"} {
		form.Del(key)
	}
	for key := range form {
		config[key] = form.Get(key)
	}
	if restores {
		return c.RestoreGuest(ctx, node, kind, r)
	}
	return c.CreateGuest(ctx, node, kind, NewGuest{VMID: id, Name: name, Template: archive, Pool: pool, Start: start, Config: config})
}

// changeOf reads a change of a configuration.
func changeOf(form url.Values) ConfigChange {
	list := func(key string) []string {
		return strings.FieldsFunc(form.Get(key), func(r rune) bool { return r == ',' })
	}
	change := ConfigChange{Set: map[string]string{}, Delete: list("delete"), Revert: list("revert"), Digest: form.Get("digest"), Force: flag(form, "force")}
	for key := range form {
		if !slices.Contains([]string{"delete", "revert", "digest", "force"}, key) {
			change.Set[key] = form.Get(key)
		}
	}
	return change
}

func flag(form url.Values, key string) bool { return form.Get(key) == "1" }

func number(form url.Values, key string) int64 {
	n, _ := strconv.ParseInt(form.Get(key), 10, 64)
	return n
}

func onGuest(rest string) *regexp.Regexp {
	return regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)` + rest + `$`)
}

// checkRecordedStart makes the recorded write, and checks what was sent and what became
// of the answer.
func checkRecordedStart(t *testing.T, c *Client, p *playback, row recorded.Row) int {
	t.Helper()
	for _, w := range writes {
		m := w.path.FindStringSubmatch(row.Path)
		if m == nil || w.method != row.Method {
			continue
		}
		got, err := w.call(t.Context(), c, m, row.Form())
		if err != nil {
			t.Errorf("%v: %v", row, err)
			return 1
		}
		sameJSON(t, row.String(), row.Body, map[string]any{"data": got})
		if diff := cmp.Diff(row.Form(), p.form); p.path != row.Path || diff != "" {
			t.Errorf("%v: sent to %s (-recorded +sent):\n%s", row, p.path, diff)
		}
		return 1
	}
	return 0
}

// sameJSON compares a decoded value's encoding with what was recorded, up to
// whether a scalar is a number, a string or a boolean, and checks that no field
// with a name was left undecoded.
func sameJSON(t *testing.T, what string, recorded json.RawMessage, got any) {
	t.Helper()
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if diff := cmp.Diff(scalars(t, recorded), scalars(t, encoded)); diff != "" {
		t.Errorf("%s (-recorded +encoded):\n%s", what, diff)
	}
	undecoded(t, what, reflect.ValueOf(got))
}

func scalars(t *testing.T, data []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return scalar(v)
}

func scalar(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = scalar(e)
		}
	case []any:
		for i, e := range v {
			v[i] = scalar(e)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return fmt.Sprint(f)
		}
		return v.String()
	case string:
		var n json.Number
		if json.Unmarshal([]byte(v), &n) == nil {
			return scalar(n)
		}
		if v == "" {
			return "0"
		}
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	return v
}

func undecoded(t *testing.T, what string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			undecoded(t, what, v.Index(i))
		}
	case reflect.Struct:
		extra, ok := v.Interface(), false
		if f := v.FieldByName("Extra"); f.IsValid() {
			extra, ok = f.Interface(), true
		}
		if !ok {
			return
		}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			if raw, kept := extra.(lenient.Extra)[name]; kept && string(raw) != "null" {
				t.Errorf("%s: %v.%s was not decoded: %s", what, v.Type(), name, raw)
			}
			undecoded(t, what, v.Field(i))
		}
	}
}

// recordedPath is the path of a request that was recorded.
func recordedPath(t *testing.T, escaped string) proxmox.Path {
	t.Helper()
	elems := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i := range elems {
		var err error
		if elems[i], err = url.PathUnescape(elems[i]); err != nil {
			t.Fatal(err)
		}
	}
	return proxmox.Join(elems...)
}

func TestRecordedErrors(t *testing.T) {
	rows, statuses := 0, map[int]int{}
	for _, row := range recorded.Rows(t) {
		if !row.IsRequest() || row.Status == 200 {
			continue
		}
		rows++
		statuses[row.Status]++
		var err error
		synctest.Test(t, func(t *testing.T) { // a node that does not answer is asked again
			c, p := player(t)
			p.row = row
			_, err = c.Do(t.Context(), row.Method, recordedPath(t, row.Path), row.Form())
		})
		var got *proxmox.Error
		if strings.Contains(row.Path, "/../") { // the client sends no such path
			if err == nil || errors.As(err, &got) {
				t.Errorf("%v: %v", row, err)
			}
			continue
		}
		if !errors.As(err, &got) {
			t.Errorf("%v: %T %v, want a *proxmox.Error", row, err, err)
			continue
		}
		var body struct {
			Message string
			Errors  map[string]string
		}
		if row.Body != nil {
			if err := json.Unmarshal(row.Body, &body); err != nil {
				t.Fatal(err)
			}
		}
		want := &proxmox.Error{Method: row.Method, Path: recordedPath(t, row.Path).String(), Status: row.Status, Message: strings.TrimSpace(body.Message), Params: body.Errors}
		if want.Message == "" {
			want.Message = row.Reason
		}
		want.Message, _, _ = strings.Cut(want.Message, " at /usr/share/perl5/")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", row, diff)
		}
		if _, _, denied := got.Denied(); denied != (row.Status == 403) {
			t.Errorf("%v: Denied() = %v", row, denied)
		}
		if NoSuchGuest(got) != strings.HasPrefix(row.Reason, "Configuration file ") {
			t.Errorf("%v: NoSuchGuest() = %v", row, NoSuchGuest(got))
		}
	}
	t.Logf("%d rows became typed errors, by status: %v", rows, sortedCounts(statuses))
}

func sortedCounts(m map[int]int) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d:%d", k, m[k]))
	}
	return out
}
