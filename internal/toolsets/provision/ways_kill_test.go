package provision_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// killed is a world whose process dies after so many writes, with another process beside it. The
// answer to the last of them comes too late, unless it is the first.
func killed(t *testing.T, m *pvesim.Model, lives int) (w, other *sim.World) {
	t.Helper()
	w = sim.New(t, sim.Options{Model: m, Token: everyone, Wire: sim.Killed(lives, lives > 1)})
	w.Host.Stays = true
	other = w.As(everyone)
	other.Host.Stays, other.Host.Recent = true, &cluster.RecentChanges{}
	return w, other
}

// A process that makes a guest is killed after each of its requests. Another one says what was
// done and what was not, sends nothing by itself, and ends the work when it is asked to: no
// request is sent twice, and the guest is the one that was wanted.
func TestKilledAtEveryStep(t *testing.T) {
	one, most := 0, effort.Of(5, 2, 1)
	eachWay(t, func(t *testing.T, way way, version string) {
		all := writesOf(t, way, version)
		for lives := 1; lives < len(all); lives++ {
			if one++; one%most != 0 {
				continue
			}
			t.Run(fmt.Sprintf("after %d", lives), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, other := killed(t, sources(version), lives)
					defer time.Sleep(2 * tool.HandleTime) // the killed process ends
					before := contentsOf(t, w)
					handle := way.begin(w)
					seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":45}`, handle))
					if !strings.Contains(seen.Text, "not begun") || len(writes(w)) != lives {
						t.Errorf("%v were sent: %s", writes(w), seen.Text)
					}
					a := finish(other, way.tool, fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
					if a.Outcome != tool.OK {
						t.Fatalf("%s\n%s", seen.Text, a.Text)
					}
					way.checkMade(t, w, before, a)
					var want []string
					for _, one := range all {
						want = append(want, one.match)
					}
					if sent := writes(w); !slices.Equal(sent, want) {
						t.Errorf("sent %v, want %v", sent, want)
					}
				})
			})
		}
	})
}

// begin begins to make a guest, and waits until nobody goes on with it.
func (way way) begin(w *sim.World) (handle string) {
	w.Helper()
	begun := w.Call(way.tool, way.args+`,"wait":0}`)
	handle, _ = begun.Fields["handle"].(string)
	if begun.Outcome != tool.Running || handle == "" {
		w.Fatalf("%s", begun.Text)
	}
	time.Sleep(time.Hour)
	return handle
}

// writes are the requests of everybody that could change something.
func writes(w *sim.World) []string {
	var out []string
	for _, r := range w.Sim.Requests() {
		if r.Method != http.MethodGet {
			out = append(out, matching(r))
		}
	}
	return out
}

// What a killed process has made is taken back by the one that goes on, if that fails.
func TestKilledAndFailed(t *testing.T) {
	one, most := 0, effort.Of(5, 2, 1)
	eachWay(t, func(t *testing.T, way way, version string) {
		all := writesOf(t, way, version)
		last := slices.IndexFunc(all, func(one sent) bool { return strings.HasSuffix(one.match, "/status/start") })
		for lives := 1; lives <= last; lives++ {
			if one++; one%most != 0 {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				m := sources(version)
				m.Faults = append(m.Faults, pvesim.Fault{Match: all[last].match, TaskFails: "no room"})
				w, other := killed(t, m, lives)
				defer time.Sleep(2 * tool.HandleTime)
				before := contentsOf(t, w)
				handle := way.begin(w)
				a := finish(other, way.tool, fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
				if a.Outcome != tool.Failed {
					t.Errorf("%s", a.Text)
				}
				guests, volumes := contentsOf(t, w).sinceThen(t, before)
				if len(guests) > 0 && !strings.Contains(a.Text, "pve_delete_guest with vmid "+guests[0]) || !slices.Equal(volumes, nonEmpty(way.downloads)) {
					t.Errorf("after %d: %v, %v are left: %s", lives, guests, volumes, a.Text)
				}
			})
		}
	})
}

// While an image is fetched, somebody else takes the id that was chosen, so that the guest gets
// another one; and then the process is killed. The process that goes on with the first handle
// finds the guest, and touches no other.
func TestKilledWithAnotherID(t *testing.T) {
	eachWay(t, func(t *testing.T, way way, version string) {
		all := writesOf(t, way, version)
		for lives := 2; lives < len(all); lives++ {
			synctest.Test(t, func(t *testing.T) {
				w, other := killed(t, sources(version), lives)
				defer time.Sleep(2 * tool.HandleTime)
				begun := w.Call(way.tool, way.args+`,"wait":0}`)
				id := 110
				if a := other.Call("pve_create_vm", `{"name":"made","vmid":110,"node":"pve1","storage":"nfs","disks":["1G"],"start":false,"wait":45}`); a.Outcome != tool.OK {
					id = 0 // it was made already
				}
				time.Sleep(time.Hour)
				before := contentsOf(t, other)
				a := finish(other, way.tool, fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, begun.Fields["handle"]))
				if a.Outcome != tool.OK {
					t.Errorf("after %d: %s", lives, a.Text)
				}
				now := contentsOf(t, other)
				if id != 0 && (now.Guests["110"] != before.Guests["110"] || now.Guests["111"] == "" || now.Guests["112"] != "") || id == 0 && now.Guests["111"] != "" {
					t.Errorf("after %d: %v", lives, now.Guests)
				}
			})
		}
	})
}

// Two processes that go on with one handle at once, with one store for what was used, take each
// step that is left once.
func TestTwoGoOn(t *testing.T) {
	one, most := 0, effort.Of(5, 3, 1)
	eachWay(t, func(t *testing.T, way way, version string) {
		all := writesOf(t, way, version)
		for lives := 1; lives < len(all); lives++ {
			if one++; one%most != 0 {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				w, other := killed(t, sources(version), lives)
				third := w.As(everyone)
				third.Host.Stays, third.Host.Used = true, other.Host.Used
				defer time.Sleep(2 * tool.HandleTime)
				args := fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, way.begin(w))
				answers := make(chan sim.Answer)
				for _, process := range []*sim.World{other, third} {
					go func() { answers <- finish(process, way.tool, args) }()
				}
				a, b := <-answers, <-answers
				time.Sleep(time.Hour)
				if a.Outcome != tool.OK && b.Outcome != tool.OK {
					t.Errorf("after %d: %s\n%s", lives, a.Text, b.Text)
				}
				var want []string
				for _, one := range all {
					want = append(want, one.match)
				}
				if sent := writes(w); !slices.Equal(sent, want) {
					t.Errorf("after %d: sent %v, want %v: %s\n%s", lives, sent, want, a.Text, b.Text)
				}
			})
		}
	})
}
