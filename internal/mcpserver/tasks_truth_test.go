package mcpserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

var upidRE = regexp.MustCompile(`(/tasks/UPID:[^:]+:)[0-9A-F]{8}`)

// A task that cannot be looked at goes on, as far as is known; only when PVE does not know
// it, nothing more will be.
func TestTaskThatCannotBeSeen(t *testing.T) {
	lost := func(_ *sim.World, r *http.Request) {
		r.URL.Path, r.URL.RawPath = upidRE.ReplaceAllString(r.URL.Path, "${1}00000001"), ""
	}
	for _, tt := range []struct {
		name         string
		refuses      int
		before       func(*sim.World, *http.Request)
		offline      bool
		status, says string
	}{
		{"PVE does not answer", 596, nil, false, "working", "was begun, and how far it is cannot be seen now"},
		{"PVE refuses", 403, nil, false, "working", "was begun, and how far it is cannot be seen now"},
		{"there is no client", 0, nil, true, "working", "was begun, and how far it is cannot be seen now"},
		{"PVE has forgotten it", 0, lost, false, "completed", `"outcome":"unknown"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := pvesim.Cluster()
				if tt.refuses != 0 {
					m.Faults = []pvesim.Fault{{Match: "GET /nodes/*/tasks/**", Status: tt.refuses, Message: "no"}}
				}
				c := wired(sim.New(t, sim.Options{Model: &m, Before: tt.before}))
				defer c.close()
				id := c.begin("pve_create_snapshot", `{"vmid":102,"snapname":"now"}`)["taskId"]
				if tt.offline {
					w := c.As("ops@pve!mcp")
					w.Host.Client = func(context.Context) (*pve.Client, error) { return nil, errors.New("no client") }
					c = wired(w)
					defer c.close()
				}
				if task := c.get(id); task["status"] != tt.status || !strings.Contains(fmt.Sprint(task), tt.says) {
					t.Errorf("%v", task)
				}
			})
		})
	}
}

// As long as a server goes on with a change, no answer says what to do next, even if the
// call did not wait for it.
func TestWhoSendsTheNextStep(t *testing.T) {
	const clone, later = `{"vmid":900,"newid":333,"full":true,"start":true%s}`, "Then start the clone"
	synctest.Test(t, func(t *testing.T) {
		c := wired(sim.New(t, sim.Options{}))
		defer c.close()
		id := c.begin("pve_clone_guest", fmt.Sprintf(clone, ""))["taskId"]
		seen := fmt.Sprint(c.call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, id))["structuredContent"])
		if !strings.Contains(seen, "outcome:running") || strings.Contains(seen, later) {
			t.Errorf("as a task: %s", seen)
		}
		c.settle(id)
	})
	synctest.Test(t, func(t *testing.T) {
		c := wired(sim.New(t, sim.Options{}))
		defer c.close()
		begun := c.call("pve_clone_guest", fmt.Sprintf(clone, `,"wait":0`))["structuredContent"].(object)
		if begun["outcome"] != "running" || strings.Contains(fmt.Sprint(begun["next"]), later) {
			t.Errorf("not waited for: %v", begun)
		}
		c.call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":45}`, begun["upid"]))
		ended := fmt.Sprint(c.call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":45}`, begun["handle"]))["structuredContent"])
		if !strings.Contains(ended, "outcome:ok") || !strings.Contains(ended, "status:running") {
			t.Errorf("at its end: %s", ended)
		}
	})
}

// The start may be on its way as long as PVE does not list the clone among what has ended.
func TestNextStepWhileTheEndIsNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unlisted := func(_ *sim.World, r *http.Request) {
			if q := r.URL.Query(); q.Has("until") {
				q.Set("limit", "0") // PVE lists nothing then
				r.URL.RawQuery = q.Encode()
			}
		}
		c := wired(sim.New(t, sim.Options{Before: unlisted}))
		defer c.close()
		id := c.begin("pve_clone_guest", `{"vmid":900,"newid":333,"full":true,"start":true}`)["taskId"]
		task := c.get(id)
		for ; task["status"] == "working"; task = c.get(id) {
			time.Sleep(100 * time.Millisecond)
		}
		if text := fmt.Sprint(task["result"]); !strings.Contains(text, `"outcome":"ok"`) || !strings.Contains(text, `"status":"running"`) {
			t.Errorf("%s", text)
		}
		time.Sleep(time.Minute) // until the process that began it has seen its end, too
	})
}

// What was begun is not lost with the handle.
func TestTaskWithoutAHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		w.Host.Named = nil
		c := wired(w)
		defer c.close()
		res := c.call("pve_guest_power", `{"vmid":102,"action":"shutdown"}`)
		if begun, _ := res["structuredContent"].(object); begun["outcome"] != "running" || begun["upid"] == nil {
			t.Errorf("%v", res)
		}
	})
}

// A process that did not see a task for long sends no next step: a client that follows
// the change got the answer meanwhile that nothing more comes.
func TestNextStepAfterATaskOutOfSight(t *testing.T) {
	for hangs, want := range map[time.Duration]bool{10 * time.Second: true, 20 * time.Second: false} {
		t.Run(hangs.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, hung := time.Now(), false
				outOfSight := func(_ *sim.World, r *http.Request) {
					if !hung && strings.HasSuffix(r.URL.Path, "/status") && strings.Contains(r.URL.Path, "/tasks/") && time.Since(begun) > 10*time.Second {
						hung = true
						time.Sleep(hangs)
					}
				}
				w := sim.New(t, sim.Options{Before: outOfSight})
				c := wired(w)
				defer c.close()
				c.begin("pve_clone_guest", `{"vmid":900,"newid":333,"full":true,"start":true}`)
				time.Sleep(time.Minute)
				if sent := slices.Contains(sim.Writes(w.Sent()), "POST /nodes/{node}/qemu/{vmid}/status/start"); !hung || sent != want {
					t.Errorf("hung: %v; the start was sent: %v, want %v", hung, sent, want)
				}
			})
		})
	}
}
