package guests_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// notes are those of an answer, one a line.
func notes(a sim.Answer) string {
	var out []string
	list, _ := a.Fields["notes"].([]any)
	for _, n := range list {
		out = append(out, n.(string))
	}
	return strings.Join(out, "\n")
}

// changedBehind returns a world with slow broadcasts in which another process has made calls, one a line.
func changedBehind(t *testing.T, calls string) *sim.World {
	m := pvesim.Cluster()
	m.Lag = time.Hour
	w := sim.New(t, sim.Options{Model: &m})
	other := w.As("root@pam!full")
	other.Host.Recent = &cluster.RecentChanges{}
	for call := range strings.Lines(calls) {
		name, args, _ := strings.Cut(strings.TrimSpace(call), " ")
		if a := other.Call(name, args); a.IsError {
			t.Fatalf("%s: %s", call, a.Text)
		}
	}
	return w
}

const (
	clones = `pve_clone_guest {"vmid":900,"newid":500,"name":"scratch"}`
	reuses = `pve_delete_guest {"vmid":105,"confirm":true}
		pve_clone_guest {"vmid":900,"newid":105,"name":"scratch"}`
)

// A guest that somebody else has made is found by its name, though PVE's list has none of
// it yet, or still that of the guest which had its id before.
func TestNamesOfNewGuests(t *testing.T) {
	for _, tt := range []struct{ calls, args, want, notes string }{
		{clones, `{"name":"scratch"}`, "500", ""},
		{clones, `{"name":"scratch","status":"stopped"}`, "500", ""},
		{clones, `{"name":"scratch","status":"running"}`, "", "guests that others made or renamed in the last 20 s may not be found by name yet"},
		{clones, `{"status":"stopped","type":"qemu","node":"pve1"}`, "500 900", ""},
		{clones, `{"sort":"name","limit":5,"offset":13}`, "204 500 901 100 101", ""},
		{reuses, `{"name":"scratch"}`, "", "guests that others made or renamed in the last 20 s may not be found by name yet"},
		{reuses, `{"name":"build"}`, "", "guests that others made or renamed in the last 20 s may not be found by name yet"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := changedBehind(t, tt.calls)
				a := w.Call("pve_list_guests", tt.args)
				if got := ids(a); got != tt.want || notes(a) != tt.notes {
					t.Errorf("%q, want %q, with the notes %q: %s", got, tt.want, tt.notes, a.Text)
				}
			})
		})
	}
}

// The names of guests that nobody tells of are not silently missing: how many they are, and
// which. No more than some are asked for.
func TestUnknownNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Cluster()
		m.Nodes[2].Offline, m.Nodes[2].Silent = true, time.Hour
		w := sim.New(t, sim.Options{Model: &m})
		want := "the names of 6 guests are not known, because their node is offline or has not reported them yet; they are %s: 103, 105, 107, 202, 204 and 910"
		for args, where := range map[string]string{`{"name":"web"}`: "left out", `{"sort":"name"}`: "last"} {
			a := w.Call("pve_list_guests", args)
			if want := fmt.Sprintf(want, where); !strings.Contains(notes(a), want) {
				t.Errorf("%s: notes %q, want %q", args, notes(a), want)
			}
		}
		if got := ids(w.Call("pve_list_guests", `{"sort":"name","offset":12}`)); got != "103 105 107 202 204 910" {
			t.Errorf("at the end of the list by name: %s", got)
		}
		if n := notes(w.Call("pve_list_guests", `{"tag":"prod"}`)); strings.Contains(n, "names") {
			t.Errorf("where no name matters: %s", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := changedBehind(t, strings.Repeat(`pve_clone_guest {"vmid":900,"name":"scratch"}`+"\n", 13))
		w.Sent()
		a := w.Call("pve_list_guests", `{"name":"scratch"}`)
		if a.Fields["total"] != 10.0 || !strings.Contains(notes(a), "of 13 guests that match or are new 10 were looked at") || !strings.Contains(notes(a), "the names of 3 guests are not known") {
			t.Errorf("13 new guests: %s", a.Text)
		}
		if sent := w.Sent(); len(sent) != 12 {
			t.Errorf("requests %v", sent)
		}
	})
}

// A refusal names the guest that has an id now.
func TestNameOfAGuestWhoseIDIsTaken(t *testing.T) {
	for calls, args := range map[string]string{clones: `{"vmid":900,"newid":500}`, reuses: `{"vmid":900,"newid":105}`} {
		synctest.Test(t, func(t *testing.T) {
			if a := changedBehind(t, calls).Call("pve_clone_guest", args); !strings.Contains(a.Text, " is that of scratch on pve1; nothing was sent.") {
				t.Errorf("%s: %s", args, a.Text)
			}
		})
	}
}

// What is looked for and cannot be found is said, and what there is.
func TestFiltersThatCannotMatch(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for args, want := range map[string]string{
		`{"tag":"production"}`:          `there is no tag "production" that this token may see; there are ci, db, legacy, monitoring, prod, web and windows`,
		`{"pool":"Web"}`:                `there is no pool "Web" that this token may see; there are `,
		`{"name":"10.10.1.11"}`:         "10.10.1.11 is an address, and name is compared with names; pve_guest_status shows the addresses of a guest that runs",
		`{"name":"10.10.1."}`:           "10.10.1. is an address",
		`{"name":"fd00:10::11/64"}`:     "is an address",
		`{"name":"BC:24:11:00:00:01"}`:  "BC:24:11:00:00:01 is a MAC, and name is compared with names; pve_guest_config shows the MACs of a guest",
		`{"tag":"prod","name":"db-99"}`: "guests that others made or renamed",
		`{"pool":"web","tag":"db"}`:     "",
	} {
		a := w.Call("pve_list_guests", args)
		if got := notes(a); a.IsError || a.Fields["total"] != 0.0 || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: notes %q, want %q", args, got, want)
		}
	}
	if a := w.Call("pve_list_guests", `{"node":"pve9"}`); !a.IsError || a.Text != `There is no node "pve9". The nodes are pve1, pve2 and pve3.` {
		t.Errorf("an unknown node: %s", a.Text)
	}
}

// A guest that was changed is asked itself until every list shows it as it is, and no longer.
func TestOwnChangesAreLookedAt(t *testing.T) {
	for after, want := range map[time.Duration]bool{15 * time.Second: true, 25 * time.Second: false} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: "root@pam!full"})
				if a := w.Call("pve_guest_power", `{"vmid":102,"action":"stop"}`); a.Outcome != tool.OK {
					t.Fatal(a.Text)
				}
				time.Sleep(after)
				w.Sent()
				a := w.Call("pve_list_guests", `{}`)
				if looked := slices.Contains(w.Sent(), "GET /nodes/{node}/qemu/{vmid}/status/current"); looked != want {
					t.Errorf("the guest was looked at: %v, want %v: %s", looked, want, a.Text)
				}
			})
		})
	}
}
