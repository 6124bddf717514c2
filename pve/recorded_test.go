package pve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

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
	{regexp.MustCompile(`^/nodes/([^/]+)/rrddata$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		h, err := c.NodeHistory(ctx, m[1], Hour, Averages)
		return rowsOf(h), err
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/(qemu|lxc)/(\d+)/rrddata$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		h, err := c.GuestHistory(ctx, refOf(m), Hour, Averages)
		return rowsOf(h), err
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/storage/([^/]+)/rrddata$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		h, err := c.StorageHistory(ctx, m[1], m[2], Hour, Averages)
		return rowsOf(h), err
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/network$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.Bridges(ctx, m[1])
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/aplinfo$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.Appliances(ctx, m[1])
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/query-url-metadata$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.QueryURL(ctx, m[1], "http://127.0.0.1/")
	}},
	{regexp.MustCompile(`^/nodes/([^/]+)/storage/([^/]+)/import-metadata$`), func(ctx context.Context, c *Client, m []string) (any, error) {
		return c.ImportMetadata(ctx, m[1], VolID{Storage: m[2], Name: "import/x.ova"})
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
	{regexp.MustCompile(`^/nodes/[^/]+/time$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.NodeTime(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/apt/versions$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.PackageVersions(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/apt/update$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Updates(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/certificates/info$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Certificates(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/subscription$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Subscription(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/services$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Services(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/disks/list$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.PhysicalDisks(ctx, "any", true)
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/disks/zfs$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.ZFSPools(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/disks/lvmthin$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.ThinPools(ctx, "any")
	}},
	{regexp.MustCompile(`^/nodes/[^/]+/replication$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.ReplicationStatus(ctx, "any")
	}},
	{regexp.MustCompile(`^/cluster/replication$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.ReplicationJobs(ctx)
	}},
	{regexp.MustCompile(`^/access/users$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.Users(ctx)
	}},
	{regexp.MustCompile(`^/access/acl$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.ACL(ctx)
	}},
	{regexp.MustCompile(`^/storage$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.StorageConfigs(ctx)
	}},
	{regexp.MustCompile(`^/cluster/ha/status/current$`), func(ctx context.Context, c *Client, _ []string) (any, error) {
		return c.HAStatus(ctx)
	}},
}

func refOf(m []string) GuestRef {
	id, _ := ParseVMID(m[3])
	return GuestRef{Node: m[1], Kind: Kind(m[2]), VMID: id}
}

// rowsOf are the rows of a history, as PVE sends them.
func rowsOf(h History) []map[string]float64 {
	out := make([]map[string]float64, len(h.Times))
	for i, at := range h.Times {
		out[i] = map[string]float64{"time": float64(at.Unix())}
		for name, values := range h.fields {
			if !math.IsNaN(values[i]) {
				out[i][name] = values[i]
			}
		}
	}
	return out
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
