package replicas

import (
	"net/http"
	"sync"
	"testing"
)

// Six answers at once, each to another process, roll a guest back once: where the processes
// share a store, and where only the one that has asked takes an answer.
func TestOneAnswerOneRollback(t *testing.T) {
	binary := build(t)
	for name, more := range map[string][]string{
		"a folder": {"PVE_MCP_CONSENT_STORE=" + t.TempDir()},
		"no store": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, binary, []string{"a", "b", "c", "d", "e", "f"}, more...)
			w.http = http.DefaultClient
			rollback := call("pve_rollback_snapshot", map[string]any{"vmid": 102, "snapname": "after-upgrade", "wait": 0})
			asked := w.askAt("http://"+w.replicas["a"].addr, "tools/call", rollback)
			if asked.result["resultType"] != "input_required" {
				t.Fatalf("the human is not asked: %s", asked.body)
			}
			outcomes := make(chan any, len(w.replicas))
			var all sync.WaitGroup
			for _, r := range w.replicas {
				all.Go(func() {
					outcomes <- content(w.askAt("http://"+r.addr, "tools/call", answer(rollback, asked.result)).result)["outcome"]
				})
			}
			all.Wait()
			close(outcomes)
			seen := map[any]int{}
			for outcome := range outcomes {
				seen[outcome]++
			}
			// One that comes late meets the guest that is being rolled back.
			if seen["running"] != 1 || seen["needs_confirmation"]+seen["failed"] != len(w.replicas)-1 || w.beginnings("pve_rollback_snapshot") != 1 {
				t.Errorf("outcomes %v, of %d that began", seen, w.beginnings("pve_rollback_snapshot"))
			}
		})
	}
}
