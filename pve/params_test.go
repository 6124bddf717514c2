package pve_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

var ct101 = pve.GuestRef{Node: "pve1", Kind: pve.LXC, VMID: 101}

// request is a call of the client, and what it sends: the method, the path below the node and
// the parameters.
type request struct {
	call func(context.Context, *pve.Client)
	want string
}

// checkSent makes calls, each of which sends one request.
func checkSent(t *testing.T, requests []request) {
	t.Helper()
	for _, tt := range requests {
		var got []string
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			params := req.URL.RawQuery
			if req.Body != nil {
				body, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				params = string(body)
			}
			got = append(got, req.Method+" "+strings.TrimPrefix(req.URL.Path, "/api2/json/nodes/pve1/")+" "+params)
			return answer("200 OK", `{"data":null}`)
		}))
		tt.call(t.Context(), c)
		if len(got) != 1 || got[0] != tt.want {
			t.Errorf("sent %q\nwant %q", got, tt.want)
		}
	}
}

// What is asked for goes to PVE as PVE calls it, and what is not set does not go at all.
func TestParametersOfGuests(t *testing.T) {
	checkSent(t, []request{
		{func(ctx context.Context, c *pve.Client) { _, _ = c.Power(ctx, vm100, "start", pve.PowerOptions{}) }, "POST qemu/100/status/start "},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Power(ctx, vm100, "shutdown", pve.PowerOptions{Timeout: 4*time.Second + 1, ForceStop: true, ToDisk: true, OverruleShutdown: true})
		}, "POST qemu/100/status/shutdown forceStop=1&overrule-shutdown=1&timeout=5&todisk=1"},
		{func(ctx context.Context, c *pve.Client) { _, _ = c.Clone(ctx, vm100, pve.NewClone{VMID: 900}) }, "POST qemu/100/clone newid=900"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Clone(ctx, vm100, pve.NewClone{VMID: 900, Name: "copy", Snapshot: "s1", Node: "pve2", Storage: "zfs", Pool: "web", Full: lenient.Some(true)})
		}, "POST qemu/100/clone full=1&name=copy&newid=900&pool=web&snapname=s1&storage=zfs&target=pve2"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Clone(ctx, ct101, pve.NewClone{VMID: 900, Name: "copy", Full: lenient.Some(false)})
		}, "POST lxc/101/clone full=0&hostname=copy&newid=900"},
		{func(ctx context.Context, c *pve.Client) { _, _ = c.Migrate(ctx, vm100, "pve2", pve.MigrateOptions{}) }, "POST qemu/100/migrate target=pve2"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Migrate(ctx, vm100, "pve2", pve.MigrateOptions{Storage: "zfs", Online: true, LocalDisks: true})
		}, "POST qemu/100/migrate online=1&target=pve2&targetstorage=zfs&with-local-disks=1"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Migrate(ctx, ct101, "pve2", pve.MigrateOptions{Storage: "zfs", Restart: true})
		}, "POST lxc/101/migrate restart=1&target=pve2&target-storage=zfs"},
	})
}

// So it is with what makes guests, backups and other configurations.
func TestParametersOfNewGuests(t *testing.T) {
	archive := pve.VolID{Storage: "nfs", Name: "backup/a.zst"}
	checkSent(t, []request{
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.CreateGuest(ctx, "pve1", pve.QEMU, pve.NewGuest{VMID: 900, Name: "web", Pool: "p", Start: true, Config: map[string]string{"memory": "512"}})
		}, "POST qemu memory=512&name=web&pool=p&start=1&vmid=900"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.CreateGuest(ctx, "pve1", pve.LXC, pve.NewGuest{VMID: 900, Name: "web", Template: pve.VolID{Storage: "local", Name: "vztmpl/t.zst"}})
		}, "POST lxc hostname=web&ostemplate=local%3Avztmpl%2Ft.zst&vmid=900"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.RestoreGuest(ctx, "pve1", pve.QEMU, pve.Restoration{VMID: 900, Archive: archive, Storage: "zfs", Name: "web", Pool: "p", Overwrite: true, Unique: true, Start: true})
		}, "POST qemu archive=nfs%3Abackup%2Fa.zst&force=1&name=web&pool=p&start=1&storage=zfs&unique=1&vmid=900"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.RestoreGuest(ctx, "pve1", pve.LXC, pve.Restoration{VMID: 900, Archive: archive, Name: "web", Config: map[string]string{"onboot": "0"}})
		}, "POST lxc hostname=web&onboot=0&ostemplate=nfs%3Abackup%2Fa.zst&restore=1&vmid=900"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Backup(ctx, "pve1", pve.NewBackup{VMIDs: []pve.VMID{100, 101}})
		}, "POST vzdump remove=0&vmid=100%2C101"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Backup(ctx, "pve1", pve.NewBackup{VMIDs: []pve.VMID{100}, StorageRule: true})
		}, "POST vzdump vmid=100"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Backup(ctx, "pve1", pve.NewBackup{
				VMIDs: []pve.VMID{100}, Storage: "nfs", Mode: "stop", Compress: "zstd", Notes: "a\\b\r\nc", Protected: true, Keep: "keep-last=3", BWLimit: 1024,
			})
		}, `POST vzdump bwlimit=1024&compress=zstd&mode=stop&notes-template=a%5C%5Cb%5Cnc&protected=1&prune-backups=keep-last%3D3&remove=1&storage=nfs&vmid=100`},
		{func(ctx context.Context, c *pve.Client) {
			_ = c.UpdateConfig(ctx, vm100, pve.ConfigChange{Set: map[string]string{"cores": "2"}, Delete: []string{"tags", "agent"}, Revert: []string{"memory"}, Digest: "d", Force: true})
		}, "PUT qemu/100/config cores=2&delete=tags%2Cagent&digest=d&force=1&revert=memory"},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.StartConfig(ctx, vm100, pve.ConfigChange{Set: map[string]string{"scsi1": "zfs:8"}})
		}, "POST qemu/100/config scsi1=zfs%3A8"},
	})
}

// So it is with what chooses what is read.
func TestParametersOfReads(t *testing.T) {
	when := time.Unix(1764000000, 5)
	checkSent(t, []request{
		{func(ctx context.Context, c *pve.Client) { _, _ = c.GuestConfig(ctx, vm100) }, "GET qemu/100/config "},
		{func(ctx context.Context, c *pve.Client) { _, _ = c.CurrentConfig(ctx, vm100) }, "GET qemu/100/config current=1"},
		{func(ctx context.Context, c *pve.Client) { _, _ = c.SnapshotConfig(ctx, vm100, "s1") }, "GET qemu/100/config snapshot=s1"},
		{func(ctx context.Context, c *pve.Client) { _, _ = c.Content(ctx, "pve1", "zfs", pve.VolumeFilter{}) }, "GET storage/zfs/content "},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.Content(ctx, "pve1", "zfs", pve.VolumeFilter{Content: "images", VMID: 100})
		}, "GET storage/zfs/content content=images&vmid=100"},
		{func(ctx context.Context, c *pve.Client) { _, _ = c.NodeStorages(ctx, "pve1", pve.StorageFilter{}) }, "GET storage "},
		{func(ctx context.Context, c *pve.Client) {
			_, _ = c.NodeStorages(ctx, "pve1", pve.StorageFilter{Content: "backup", Enabled: true})
		}, "GET storage content=backup&enabled=1"},
		{func(ctx context.Context, c *pve.Client) { _, _, _ = c.NodeTasks(ctx, "pve1", pve.TaskFilter{}) }, "GET tasks "},
		{func(ctx context.Context, c *pve.Client) {
			_, _, _ = c.NodeTasks(ctx, "pve1", pve.TaskFilter{Source: "all", VMID: 100, Type: "vzdump", Errors: true, Since: when, Until: when, Limit: 7})
		}, "GET tasks errors=1&limit=7&since=1764000000&source=all&typefilter=vzdump&until=1764000000&vmid=100"},
	})
}
