package provision_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// sent is a request that a way sends, so that a fault can meet it.
type sent struct {
	match string // as of a fault
	skip  int    // how many like it come first
	task  bool   // it begins a task
}

var placeholder = regexp.MustCompile(`\{[^}]+\}`)

// writesOf returns the requests by which a way makes its guest.
func writesOf(t *testing.T, way way, version string) []sent {
	t.Helper()
	var out []sent
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sources(version), Token: everyone})
		defer settle()
		w.Host.Stays = true
		if a := finish(w, way.tool, way.args+`,"wait":45}`); a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		like := map[string]int{}
		for _, r := range w.Sim.Requests() {
			if r.Method == http.MethodGet {
				continue
			}
			match := matching(r)
			out = append(out, sent{match, like[match], !(r.Method == http.MethodPut && strings.HasSuffix(r.Endpoint, "/config"))})
			like[match]++
		}
	})
	return out
}

// matching is what a fault matches that a request meets.
func matching(r pvesim.Record) string {
	return r.Method + " " + strings.Replace(placeholder.ReplaceAllString(r.Endpoint, "*"), "/content/*", "/content/**", 1)
}

// faults are the ways in which a request goes wrong.
var faults = []struct {
	name    string
	fault   pvesim.Fault
	task    bool           // it is about the task
	outcome []tool.Outcome // that an answer may have
}{
	{"is refused", pvesim.Fault{Status: http.StatusInternalServerError, Message: "no"}, false, []tool.Outcome{tool.Failed, tool.Warnings}},
	{"fails at once", pvesim.Fault{TaskFails: "no"}, true, []tool.Outcome{tool.Failed, tool.Warnings}},
	{"fails halfway", pvesim.Fault{TaskFails: "no", FailsAt: 50}, true, []tool.Outcome{tool.Failed, tool.Warnings}},
	{"is done, and its answer is lost", pvesim.Fault{Drop: true}, false, []tool.Outcome{tool.Unknown, tool.Failed, tool.Warnings}},
	{"is lost", pvesim.Fault{Status: http.StatusBadGateway, Proxy: true}, false, []tool.Outcome{tool.Unknown, tool.Failed, tool.Warnings}},
	{"has warnings", pvesim.Fault{TaskWarns: "mind this"}, true, []tool.Outcome{tool.Warnings}},
}

// Whatever goes wrong at whichever step: nothing is left over, or what is left is named in the
// answer with the call that removes it; and it is never said to be right.
func TestFaultsAtEveryStep(t *testing.T) {
	one := 0
	most := effort.Of(53, 29, 1) // one in so many is tried
	eachWay(t, func(t *testing.T, way way, version string) {
		for i, at := range writesOf(t, way, version) {
			for _, f := range faults {
				for n := range 4 {
					if f.task && !at.task {
						continue
					}
					if one++; one%most != 0 {
						continue
					}
					wait, keep := 45*(n%2), n > 1
					t.Run(fmt.Sprintf("%d %s %s, wait %d, keep %v", i, at.match, f.name, wait, keep), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							fault := f.fault
							fault.Match, fault.Skip, fault.Max = at.match, at.skip, 1
							way.checkFault(t, version, wait, keep, f.outcome, fault)
						})
					})
				}
			}
		}
	})
}

// If the taking back goes wrong, too, what is left is named.
func TestFaultsOfTheUndo(t *testing.T) {
	one := 0
	most := effort.Of(29, 9, 1)
	eachWay(t, func(t *testing.T, way way, version string) {
		kind := "qemu"
		if way.tool == "pve_create_container" {
			kind = "lxc"
		}
		undone := []string{"DELETE /nodes/*/" + kind + "/*"}
		if strings.Contains(way.name, "data") || strings.Contains(way.args, debianImage) {
			undone = append(undone, "DELETE /nodes/*/storage/*/content/**")
		}
		failing := pvesim.Fault{Match: "POST /nodes/*/" + kind + "/*/status/start", TaskFails: "no room", Max: 1}
		for _, match := range undone {
			for _, f := range faults[:5] {
				for _, wait := range []int{45, 0} {
					if one++; way.stopped || one%most != 0 {
						continue
					}
					t.Run(fmt.Sprintf("%s %s, wait %d", match, f.name, wait), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							fault := f.fault
							fault.Match, fault.Max = match, 1
							way.checkFault(t, version, wait, false, []tool.Outcome{tool.Failed}, failing, fault)
						})
					})
				}
			}
		}
	})
}

// An id that somebody else takes just before is not touched: with an id of the caller's the call
// is refused, and what was made for it before is taken back; without one the next is taken.
func TestIDTakenMeanwhile(t *testing.T) {
	eachWay(t, func(t *testing.T, way way, version string) {
		for _, given := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				path := "/qemu"
				switch {
				case strings.Contains(way.name, "clone"):
					path = "/clone"
				case way.tool == "pve_create_container":
					path = "/lxc"
				}
				other := sim.Meanwhile(http.MethodPost, path, `pve_create_vm {"name":"other","vmid":110,"node":"pve3","storage":"nfs","disks":["1G"],"start":false,"wait":45}`)
				w := sim.New(t, sim.Options{Model: sources(version), Token: everyone, Before: other})
				w.Host.Stays = true
				args := way.args + `,"wait":45}`
				if given {
					args = way.args + `,"vmid":110,"wait":45}`
				}
				before := contentsOf(t, w)
				a := finish(w, way.tool, args)
				settle()
				guests, volumes := contentsOf(t, w).sinceThen(t, before)
				guestNamed(t, w, "other")
				switch {
				case given && (a.Outcome != tool.Failed || !slices.Equal(guests, []string{"110"}) || !slices.Equal(leftOver(volumes, "-110-"), nonEmpty(way.downloads))):
					t.Errorf("%v, %v: %s", guests, volumes, a.Text)
				case !given && (a.Outcome != tool.OK || !slices.Equal(guests, []string{"110", "111"}) || !strings.Contains(a.Text, "110 was taken meanwhile")):
					t.Errorf("%v, %v: %s", guests, volumes, a.Text)
				}
			})
		}
	})
}

// leftOver are the volumes that do not have a part in their name.
func leftOver(volumes []string, part string) []string {
	return slices.DeleteFunc(slices.Clone(volumes), func(v string) bool { return strings.Contains(v, part) && !strings.Contains(v, "seed") })
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// checkFault makes a guest while a fault is there, and looks at what is left.
func (way way) checkFault(t *testing.T, version string, wait int, keep bool, outcomes []tool.Outcome, faults ...pvesim.Fault) {
	t.Helper()
	m := sources(version)
	m.Faults = append(m.Faults, faults...)
	fault := faults[len(faults)-1]
	w := sim.New(t, sim.Options{Model: m, Token: everyone})
	w.Host.Stays = true
	before := contentsOf(t, w)
	a := finish(w, way.tool, fmt.Sprintf(`%s,"wait":%d,"keep":%v}`, way.args, wait, keep))
	settle()
	if w.Sim.Fired()[len(m.Faults)-1] != 1 {
		t.Fatalf("the fault did not happen: %s", a.Text)
	}
	switch isOK := a.Outcome == tool.OK; {
	case isOK && fault.Drop:
		way.checkMade(t, w, before, a) // that it was done was found out later
	case isOK && fault.TaskWarns != "" && !strings.Contains(fault.Match, "/qemu") && !strings.Contains(fault.Match, "/lxc"):
		// PVE does not tell of which file a task was
	case !slices.Contains(outcomes, a.Outcome):
		t.Errorf("it is %s: %s", a.Outcome, a.Text)
	}
	guests, volumes := contentsOf(t, w).sinceThen(t, before)
	deletes := 0
	for _, r := range w.Sim.Requests() {
		if r.Method == http.MethodDelete && strings.Contains(r.Endpoint, "{vmid}") {
			deletes++
		}
	}
	if keep && deletes > 0 {
		t.Errorf("it is not kept: %s", a.Text)
	}
	var of []string
	made := a.Outcome == tool.OK || a.Outcome == tool.Warnings
	for _, g := range guests {
		if !made && (!strings.Contains(a.Text, "pve_delete_guest") || !strings.Contains(a.Text, g)) {
			t.Errorf("guest %s is left, and not named: %s", g, a.Text)
		}
		of = slices.AppendSeq(of, maps.Values(guestNamed(t, w, "made").Config))
	}
	for _, v := range volumes {
		isFile := strings.Contains(v, ":iso/") || strings.Contains(v, ":import/") || strings.Contains(v, ":vztmpl/")
		if v == way.downloads && made {
			continue // it was asked for
		}
		if !isFile && slices.ContainsFunc(of, func(value string) bool { return strings.HasPrefix(value, v) }) {
			continue // deleted with its guest
		}
		if !strings.Contains(a.Text, "pve_delete_volume") || !strings.Contains(a.Text, v) {
			t.Errorf("%s is left, and not named: %s", v, a.Text)
		}
	}
}

// A look that fails, once or for a while, before or after the first request that makes
// something, spoils no answer: nothing that is left goes unnamed, and nothing is said to be right
// that is not.
func TestFaultsOfLooks(t *testing.T) {
	one := 0
	most := effort.Of(97, 61, 1)
	eachWay(t, func(t *testing.T, way way, version string) {
		for _, at := range looksOf(t, way, version) {
			for n, f := range []pvesim.Fault{
				{Status: http.StatusInternalServerError, Message: "no", Max: 1}, {Status: http.StatusInternalServerError, Message: "no", Max: 40},
				{Status: 595, Message: "No route to host", Max: 1}, {Drop: true, Max: 40},
			} {
				for _, wait := range []int{45, 0} {
					if one++; one%most != 0 {
						continue
					}
					t.Run(fmt.Sprintf("%s after %d, %d, wait %d", at.match, at.skip, n, wait), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							f.Match, f.Skip = at.match, at.skip
							way.checkLook(t, version, wait, f)
						})
					})
				}
			}
		}
	})
}

// looksOf returns the looks that a way takes, each endpoint the first time and the first time
// after something was made.
func looksOf(t *testing.T, way way, version string) []sent {
	t.Helper()
	var out []sent
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: sources(version), Token: everyone})
		defer settle()
		w.Host.Stays = true
		finish(w, way.tool, way.args+`,"wait":45}`)
		like, seen, wrote := map[string]int{}, map[string]bool{}, false
		for _, r := range w.Sim.Requests() {
			wrote = wrote || r.Method != http.MethodGet
			match := matching(r)
			if key := fmt.Sprint(match, wrote); r.Method == http.MethodGet && !seen[key] {
				seen[key] = true
				out = append(out, sent{match: match, skip: like[match]})
			}
			like[match]++
		}
	})
	return out
}

// checkLook makes a guest while a look fails, and looks itself at what there is.
func (way way) checkLook(t *testing.T, version string, wait int, fault pvesim.Fault) {
	t.Helper()
	m := sources(version)
	m.Faults = append(m.Faults, fault)
	w := sim.New(t, sim.Options{Model: m, Token: everyone})
	w.Host.Stays = true
	before := contentsOf(t, w)
	a := finish(w, way.tool, fmt.Sprintf(`%s,"wait":%d}`, way.args, wait))
	settle()
	guests, volumes := contentsOf(t, w).sinceThen(t, before)
	running := a.Outcome == tool.Running // it may be, and is not known to have ended
	switch {
	case a.Outcome == tool.OK:
		if len(guests) != 1 || guestNamed(t, w, "made").Running == way.stopped {
			t.Errorf("it is not right: %s", a.Text)
		}
	case len(guests) > 0 && !running && !strings.Contains(a.Text, "pve_delete_guest"):
		t.Errorf("%v are left, and not named: %s", guests, a.Text)
	}
	for _, v := range volumes {
		if strings.Contains(v, "seed-") && !strings.Contains(a.Text, v) && !running {
			t.Errorf("%s is left, and not named: %s", v, a.Text)
		}
	}
}
