package ha_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What HA or replication does because of a request is followed by a handle, by another process as
// well.
func TestFollowsByHandle(t *testing.T) {
	on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		want(t, w.Call("pve_set_ha", `{"change":"add","resource":"101"}`), tool.OK)
		begun := w.Call("pve_set_ha", `{"change":"update","resource":"101","state":"stopped","confirm":true,"wait":0}`)
		want(t, begun, tool.Running, "pve_task_status: handle and wait")
		look := fmt.Sprintf(`{"handle":%q,"wait":0}`, begun.Fields["handle"])
		want(t, w.As(everyone).Call("pve_task_status", look), "", `"state":"running"`, "HA reports 101 web-2 as")
		time.Sleep(time.Minute)
		want(t, w.As(everyone).Call("pve_task_status", look), "", `"state":"ok"`, "HA reports 101 web-2 as stopped")
	})
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		begun := w.Call("pve_set_ha", `{"change":"replicate","resource":"102","node":"pve3"}`)
		want(t, begun, tool.OK)
		run := w.Call("pve_set_ha", `{"change":"run_replication","resource":"102","wait":0}`)
		want(t, run, tool.Running)
		time.Sleep(5 * time.Minute)
		want(t, w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, run.Fields["handle"])), "", `"state":"ok"`, "has copied 102 db-1 to pve3")
	})
}

// The plan of something new names no values that it had before.
func TestNewHasNoBefore(t *testing.T) {
	on(t, []string{nine}, func(t *testing.T, m *pvesim.Model) {
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		a := w.Call("pve_set_ha", `{"change":"set_rule","name":"apart","affinity":"negative","resources":["103","201"],"plan":true}`)
		want(t, a, tool.Planned, "affinity: negative")
		if strings.Contains(a.Text, "by default") {
			t.Errorf("%s", a.Text)
		}
	})
}

// A replication that is removed comes back as it was, with a new copy if the old one is gone.
func TestReplicationComesBack(t *testing.T) {
	for _, keep := range []string{"", `,"keep":true`} {
		on(t, []string{eight, nine}, func(t *testing.T, m *pvesim.Model) {
			w := sim.New(t, sim.Options{Model: m, Token: everyone})
			made := w.Call("pve_set_ha", `{"change":"replicate","resource":"102","node":"pve3","schedule":"every 30 minutes","rate":"20","comment":"x"}`)
			want(t, made, tool.OK)
			job := strings.TrimSuffix(strings.SplitAfter(made.Text, `"name":"102-`)[1][:1], `"`)
			path := "/cluster/replication/102-" + job
			before := settings(read(w, path))
			a := w.Call("pve_set_ha", `{"change":"remove_replication","name":"102-`+job+`","confirm":true,"wait":45`+keep+`}`)
			for range 20 {
				if a.Outcome != tool.Running {
					break
				}
				time.Sleep(time.Minute)
				seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, a.Fields["handle"]))
				a.Outcome, a.Text = tool.Outcome(fmt.Sprint(seen.Fields["state"])), seen.Text
			}
			want(t, a, tool.OK)
			want(t, undo(t, w, a), tool.OK)
			if diff := cmp.Diff(before, settings(read(w, path))); diff != "" {
				t.Errorf("after the undo (-before +now):\n%s", diff)
			}
		})
	}
}

// settings are those of a job, without its digest.
func settings(job any) any {
	all, _ := job.(map[string]any)
	delete(all, "digest")
	return all
}
