package pvesim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Nothing that a token which sees everything reads of a healthy cluster is a reason to worry.
func TestHealthy(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			w := newWorld(t, pvesim.Healthy(7, nodes, 40, 20)).as("see@pve!mcp")
			w.clock.Advance(time.Minute)
			w.guestsAreSafe()
			for i := range nodes {
				node := fmt.Sprintf("/nodes/pve%d", i+1)
				status := w.get(node + "/status")
				if memory := status["memory"].(map[string]any); memory["used"].(float64) > 0.8*memory["total"].(float64) || status["cpu"].(float64) > 0.8 {
					t.Errorf("%s is loaded: %v", node, status)
				}
				w.story(`
					GET ` + node + `/subscription#status                   => active
					GET ` + node + `/disks/list#/dev/nvme0n1#health         => PASSED
					GET ` + node + `/apt/update                             => []
					GET ` + node + `/tasks?errors=1                         => []
					GET ` + node + `/services#pvestatd#state                => running
				`)
			}
			for _, row := range w.data("/cluster/resources?type=storage").([]any) {
				if st := row.(map[string]any); st["status"] != "available" || st["disk"].(float64) > 0.8*st["maxdisk"].(float64) {
					t.Errorf("a storage: %v", st)
				}
			}
			for _, row := range w.data("/access/users?full=1").([]any) {
				tokens, _ := row.(map[string]any)["tokens"].([]any)
				for _, row := range tokens {
					if token := row.(map[string]any); token["expire"] == 0.0 || token["privsep"] != 1.0 {
						t.Errorf("a token: %v", token)
					}
				}
			}
		})
	}
}

// guestsAreSafe checks that each guest has a verified backup of last night.
func (w *world) guestsAreSafe() {
	w.Helper()
	saved := map[any]bool{}
	for _, row := range w.data("/nodes/pve1/storage/pbs/content?content=backup").([]any) {
		b := row.(map[string]any)
		age := w.clock.Now().Sub(time.Unix(int64(b["ctime"].(float64)), 0))
		if v, _ := b["verification"].(map[string]any); v["state"] == "ok" && age > 0 && age < 24*time.Hour {
			saved[b["vmid"]] = true
		}
	}
	guests := w.data("/cluster/resources?type=vm").([]any)
	for _, row := range guests {
		if g := row.(map[string]any); !saved[g["vmid"]] || g["lock"] != nil || g["status"] == "unknown" {
			w.Errorf("a guest: %v, saved %v", g, saved[g["vmid"]])
		}
	}
	if len(guests) != 60 {
		w.Errorf("there are %d guests", len(guests))
	}
	w.story(`GET /cluster/backup-info/not-backed-up => []`)
}

// The largest cluster, brought to life with its backups.
func BenchmarkBuildHealthy(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pvesim.NewSim(pvesim.Healthy(1, 30, 7_000, 3_000), pvesim.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
