package change_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

const clonePlan = `{"vmid":900,"name":"web-9","plan":true}`

// plan makes a plan, which sends nothing, and returns its handle.
func plan(t *testing.T, w *sim.World, name, args string) string {
	t.Helper()
	a := w.Call(name, args)
	handle, _ := a.Fields["plan_handle"].(string)
	if a.Outcome != tool.Planned || a.IsError || handle == "" || !strings.Contains(a.Text, "Nothing done yet.") || len(sim.Writes(w.Sent())) > 0 {
		t.Fatalf("%s", a.Text)
	}
	return handle
}

// carryOut calls a tool with the handle of a plan and more arguments.
func carryOut(w *sim.World, name, handle, more string) sim.Answer {
	w.Helper()
	return w.Call(name, fmt.Sprintf(`{"plan_handle":%q%s}`, handle, more))
}

// planTest is a test with a plan, on a cluster of its own.
type planTest struct {
	name string
	do   func(t *testing.T, w *sim.World)
}

func (tt planTest) run(t *testing.T) {
	t.Run(tt.name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { tt.do(t, sim.New(t, sim.Options{})) })
	})
}

// The handle of a plan does exactly what the plan says, or nothing.
func TestPlans(t *testing.T) {
	for _, tt := range []planTest{
		{"done", func(t *testing.T, w *sim.World) {
			h := plan(t, w, "pve_clone_guest", clonePlan)
			if a := carryOut(w, "pve_clone_guest", h, `,"vmid":900`); a.Outcome != tool.OK || a.Fields["name"] != "web-9" {
				t.Errorf("%s", a.Text)
			}
			if a := carryOut(w, "pve_clone_guest", h, ""); a.Outcome != tool.Failed || !strings.Contains(a.Text, "the plan no longer holds") { // 110 is taken now
				t.Errorf("again: %s", a.Text)
			}
		}},
		{"with consent", func(t *testing.T, w *sim.World) {
			h := plan(t, w, "pve_delete_guest", `{"vmid":"sandbox","plan":true}`)
			asked := carryOut(w, "pve_delete_guest", h, "")
			next, _ := asked.Fields["next"].(string)
			_, again, _ := strings.Cut(next, ": pve_delete_guest ")
			if asked.Outcome != tool.NeedsConfirmation || again != fmt.Sprintf(`{"confirm":true,"plan_handle":%q}`, h) {
				t.Errorf("%s", asked.Text)
			}
			if a := w.Call("pve_delete_guest", again); a.Outcome != tool.OK {
				t.Errorf("%s", a.Text)
			}
		}},
		{"changed meanwhile", func(t *testing.T, w *sim.World) {
			h := plan(t, w, "pve_migrate_guest", `{"vmid":105,"target":"pve1","plan":true}`)
			w.Call("pve_update_guest_config", `{"vmid":105,"set":{"description":"new"}}`)
			w.Sent()
			a := carryOut(w, "pve_migrate_guest", h, "")
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "the plan no longer holds") || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%s", a.Text)
			}
		}},
		{"original changed meanwhile", func(t *testing.T, w *sim.World) {
			h := plan(t, w, "pve_clone_guest", `{"vmid":105,"plan":true}`)
			w.Call("pve_resize_disk", `{"vmid":105,"disk":"scsi0","size":"+1G"}`)
			w.Sent()
			a := carryOut(w, "pve_clone_guest", h, "")
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "the plan no longer holds") || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%s", a.Text)
			}
		}},
	} {
		tt.run(t)
	}
}

// A plan is carried out by the call for which it was made.
func TestPlansOfOtherCalls(t *testing.T) {
	for _, tt := range []planTest{
		{"another argument", func(t *testing.T, w *sim.World) {
			a := carryOut(w, "pve_clone_guest", plan(t, w, "pve_clone_guest", clonePlan), `,"name":"other"`)
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, `The argument \"name\" is not that of the plan`) {
				t.Errorf("%s", a.Text)
			}
		}},
		{"another tool", func(t *testing.T, w *sim.World) {
			a := carryOut(w, "pve_delete_guest", plan(t, w, "pve_clone_guest", clonePlan), "")
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "is of the tool pve_clone_guest") {
				t.Errorf("%s", a.Text)
			}
		}},
		{"another caller", func(t *testing.T, w *sim.World) {
			h := plan(t, w, "pve_clone_guest", clonePlan)
			res := tool.Request{Arguments: fmt.Appendf(nil, `{"plan_handle":%q}`, h), Owner: "somebody"}
			tl, _ := toolset.Named("pve_clone_guest")
			if a := tl.Call(t.Context(), w.Host, res); a.Outcome != tool.Failed || !strings.Contains(a.Text, "another caller") {
				t.Errorf("%s", a.Text)
			}
		}},
		{"another cluster", func(t *testing.T, w *sim.World) {
			h := plan(t, w, "pve_clone_guest", clonePlan)
			w.Host.Cluster = "elsewhere"
			if a := carryOut(w, "pve_clone_guest", h, ""); a.Outcome != tool.Failed || !strings.Contains(a.Text, "on the cluster") {
				t.Errorf("%s", a.Text)
			}
		}},
		{"no handle", func(t *testing.T, w *sim.World) {
			if a := carryOut(w, "pve_clone_guest", "abc", ""); a.Outcome != tool.Failed || !strings.Contains(a.Text, `The argument \"plan_handle\" is not valid`) {
				t.Errorf("%s", a.Text)
			}
		}},
	} {
		tt.run(t)
	}
}

// A handle of a change is good for its cluster alone.
func TestHandleOfAnotherCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		begun := w.Call("pve_guest_power", `{"vmid":103,"action":"shutdown","wait":0}`)
		w.Host.Cluster = "elsewhere"
		if a := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, begun.Fields["handle"])); !a.IsError || !strings.Contains(a.Text, "it is of the cluster") {
			t.Errorf("%s", a.Text)
		}
	})
}

// What another process would not know of a change must not be declared.
func TestStateThatWouldBeLost(t *testing.T) {
	type lossy struct {
		copyIn
		hidden bool
	}
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "lossy.hidden would be lost") {
			t.Errorf("%v", p)
		}
	}()
	_ = lossy{hidden: true}.hidden
	change.New(change.Spec[copyIn, lossy, powerOut]{Name: "lossy"})
}
