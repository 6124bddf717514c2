package pve

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

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
