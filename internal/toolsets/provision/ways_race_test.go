package provision_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Twenty guests are made at once by four servers, in several ways, and none is given an id: each
// gets one of its own, and no call touches the guest of another, even if some fail.
func TestRaceOfServers(t *testing.T) {
	calls := []struct{ tool, args string }{
		{"pve_create_vm", `{"name":"r%d","node":"pve3","disks":["1G"],"start":false,"wait":45}`},
		{"pve_create_vm", `{"name":"r%d","source":"` + ubuntuImage + `","user_data":"` + ownData + `","wait":45}`},
		{"pve_create_vm", `{"name":"r%d","source":"901","wait":45}`},
		{"pve_create_container", `{"name":"r%d","template":"rocky 9","wait":45}`},
		{"pve_clone_guest", `{"vmid":900,"name":"r%d","start":true,"wait":45}`},
	}
	for _, tt := range []struct {
		name  string
		fault pvesim.Fault
		lost  int
	}{
		{"all succeed", pvesim.Fault{}, 0},
		{"some do not start", pvesim.Fault{Match: "POST /nodes/*/qemu/*/status/start", TaskFails: "no room", Max: 3}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := sources("9.2.0")
				if tt.lost > 0 {
					m.Faults = append(m.Faults, tt.fault)
				}
				w := sim.New(t, sim.Options{Model: m, Token: everyone})
				defer settle()
				before := contentsOf(t, w)
				const racers = 20
				answers := make([]sim.Answer, racers)
				var wg sync.WaitGroup
				for server := range 4 {
					host := w.As(everyone)
					host.Host.Stays, host.Host.Recent = true, &cluster.RecentChanges{}
					for i := server; i < racers; i += 4 {
						call := calls[i/4]
						wg.Go(func() { answers[i] = finish(host, call.tool, fmt.Sprintf(call.args, i)) })
					}
				}
				wg.Wait()
				settle()
				checkRace(t, w, before, answers, tt.lost)
			})
		})
	}
}

// checkRace checks that each answer is about a guest of its own, and that there is no other.
func checkRace(t *testing.T, w *sim.World, before contents, answers []sim.Answer, lost int) {
	t.Helper()
	guests, volumes := contentsOf(t, w).sinceThen(t, before)
	var made []string
	for i, a := range answers {
		if a.Outcome == tool.Failed {
			lost--
			if strings.Contains(a.Text, "pve_delete_guest") && a.Fields["newid"] == nil {
				t.Errorf("%d is left: %s", i, a.Text)
			}
			if id, ok := a.Fields["newid"]; ok { // a clone that somebody has asked for stays
				made = append(made, fmt.Sprint(id))
			}
			continue
		}
		name := fmt.Sprintf("r%d", i)
		id := fmt.Sprint(guestNamed(t, w, name).VMID)
		if a.Outcome != tool.OK || a.Fields["guest"] != id+" "+name && fmt.Sprint(a.Fields["newid"]) != id {
			t.Errorf("%s is %s: %s", name, id, a.Text)
		}
		made = append(made, id)
	}
	slices.Sort(made)
	slices.Sort(guests)
	if lost != 0 || !slices.Equal(guests, made) {
		t.Errorf("there are %v, and made were %v; %d more should have failed", guests, made, lost)
	}
	if i := slices.IndexFunc(volumes, func(v string) bool { return strings.Contains(v, "seed-") }); i >= 0 {
		t.Errorf("%s is left", volumes[i])
	}
}
