package change_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// stopAndStart is a tool that stops a guest, and starts it after a while.
func stopAndStart(after time.Duration) tool.Tool {
	begun := time.Now()
	return change.New(change.Spec[copyIn, copyIn, powerOut]{
		Name: "restart", Title: "Restart", Doc: "Stops a VM, and starts it later.",
		Plan: func(_ context.Context, _ *tool.Call, in copyIn) (change.Plan, copyIn, error) {
			return change.Plan{About: "Stop"}, in, nil
		},
		Steps: func(in copyIn) []change.Step[copyIn] {
			return []change.Step[copyIn]{
				{About: "Stop", Guest: in.VMID, Task: "stop", Send: powerOf("stop")},
				{About: "Start", Guest: in.VMID, Task: "start", Send: powerOf("start"), Rest: "Start it.",
					Ready: func(context.Context, *tool.Call, copyIn) (string, error) {
						if time.Since(begun) < after {
							return "the hour", nil
						}
						return "", nil
					}},
			}
		},
		Finish: func(context.Context, *tool.Call, copyIn, change.End) (powerOut, error) { return powerOut{}, nil },
	})
}

// A step that waits for something is sent when that has come: in the call, or after it as long
// as the process lives. The answer says what was not sent.
func TestReady(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration
		wait   int
		stays  bool
		says   string // of the call
		later  string // of its handle, after an hour
		writes int
	}{
		{"in the call", 20 * time.Second, 45, true, `"outcome":"ok"`, "", 2},
		{"after the call", 5 * time.Minute, 30, true, "Start waits for the hour.", `"state":"ok"`, 2},
		{"after a call that does not wait", 5 * time.Minute, 0, true, "Stop is under way", `"state":"ok"`, 2},
		{"never", time.Hour, 0, true, "Stop is under way", "Start was not begun: for 15m it has waited for the hour", 1},
		{"the process has ended", 5 * time.Minute, 30, false, `"next":"Start it.`, "Start was not begun: what it waits for", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{})
				restart := stopAndStart(tt.after)
				w.Host.Stays = tt.stays
				w.Host.Named = func(string) (tool.Tool, bool) { return restart, true }
				a := w.Run(restart, fmt.Sprintf(`{"vmid":100,"wait":%d}`, tt.wait))
				if !strings.Contains(a.Text, tt.says) {
					t.Errorf("%s", a.Text)
				}
				if tt.later != "" {
					time.Sleep(50 * time.Minute)
					if seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, a.Fields["handle"])); !strings.Contains(seen.Text, tt.later) {
						t.Errorf("later: %s", seen.Text)
					}
				}
				if writes := sim.Writes(w.Sent()); len(writes) != tt.writes {
					t.Errorf("sent %v", writes)
				}
			})
		})
	}
}

// The progress of a change of several steps goes up from the first to the last.
func TestProgressOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		var seen []cluster.Progress
		req := tool.Request{Arguments: []byte(`{"vmid":100,"wait":45}`), Progress: func(p cluster.Progress) { seen = append(seen, p) }}
		if a := stopAndStart(20*time.Second).Call(t.Context(), w.Host, req); a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		last := cluster.Progress{Done: -1}
		for _, p := range seen {
			if p.Done <= last.Done || p.Total != 0 && p.Total != 200 {
				t.Errorf("%+v after %+v", p, last)
			}
			last = p
		}
		if last.Done < 100 {
			t.Errorf("the last is %+v", last)
		}
	})
}
