package pvesim_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Fifty clients at once each make a guest of their own and look at everything: each gets
// what it asked for.
func TestManyClients(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	var running sync.WaitGroup
	for i := range 50 {
		running.Go(func() {
			c := *w
			c.node = fmt.Sprintf("pve%d", i%3+1)
			c.story(strings.NewReplacer("NODE", c.node, "ID", fmt.Sprint(1000+i)).Replace(`
				POST /nodes/NODE/qemu?vmid=ID&name=vm-ID&scsi0=local-zfs:1&memory=64 => OK
				POST /nodes/NODE/qemu?vmid=ID => 500 unable to create VM ID - VM ID already exists on node 'NODE'
				POST /nodes/NODE/qemu/ID/status/start                => OK
				GET /nodes/NODE/qemu/ID/status/current#status        => running
				PUT /nodes/NODE/qemu/ID/config?description=of+ID     => null
				POST /nodes/NODE/qemu/ID/snapshot?snapname=one       => OK
				GET /cluster/status#cluster#nodes                    => 3
				PUT /nodes/NODE/qemu/ID/config?name=other            => null
				POST /nodes/NODE/qemu/ID/snapshot/one/rollback       => OK
				GET /nodes/NODE/qemu/ID/config#name                  => vm-ID
				DELETE /nodes/NODE/qemu/ID/snapshot/one              => OK
			`))
			for _, path := range []string{"/cluster/resources", "/cluster/tasks", "/nodes/NODE/qemu", "/nodes/NODE/storage", "/nodes/pve1/qemu/100/rrddata"} {
				path = strings.NewReplacer("NODE", c.node, "ID", fmt.Sprint(1000+i)).Replace(path)
				form := url.Values{}
				if strings.HasSuffix(path, "rrddata") {
					form.Set("timeframe", "hour")
				}
				if r := c.do("GET", path, form); r.Status != 200 {
					t.Errorf("%s: %d %s", path, r.Status, r.Reason)
				}
			}
		})
	}
	running.Wait()
	var got []string
	for _, g := range w.do("GET", "/cluster/resources", nil).Body.Data.([]any) {
		if id, _ := g.(map[string]any)["vmid"].(float64); id >= 1000 {
			got = append(got, fmt.Sprint(id))
		}
	}
	if len(got) != 50 || len(slices.Compact(got)) != 50 {
		t.Errorf("%d guests were made: %v", len(got), got)
	}
	seen := map[any]bool{}
	for _, task := range w.do("GET", "/nodes/pve1/tasks", url.Values{"limit": {"1000"}}).Body.Data.([]any) {
		upid := task.(map[string]any)["upid"]
		if seen[upid] {
			t.Errorf("two tasks are %v", upid)
		}
		seen[upid] = true
	}
}
