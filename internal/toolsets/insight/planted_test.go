package insight_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// auditAnswer is what the tests read of an answer.
type auditAnswer struct {
	Message  string
	Findings []struct {
		ID, Severity, What, Evidence string
		On                           []string
		Count                        int
		Fix                          map[string]any
	}
	Blind []struct {
		Check, Missing string
		On             []string
	}
	Well []string
}

func auditOf(t *testing.T, w *sim.World, args string) auditAnswer {
	t.Helper()
	a := w.Call("pve_audit", args)
	if a.IsError {
		t.Fatal(a.Text)
	}
	var out auditAnswer
	if err := json.Unmarshal(a.Structured, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// haves are what tokens can know beside guests.
var haves = map[string][]string{
	fullToken:     {"guest", "root", "node", "store", "access", "backup", "agent", "modify", "any"},
	operatorToken: {"guest", "root", "node", "store", "access", "backup", "agent", "any"},
	auditorToken:  {"guest", "root", "node", "store", "access", "agent", "any"},
	poolToken:     {"guest", "agent", "any"},
}

func newPlanter(m *pvesim.Model, seed uint64, token string) *planter {
	return &planter{Model: m, r: rand.New(rand.NewPCG(seed, 1)), used: map[string]bool{}, wants: map[string]bool{}, deep: map[string]bool{}, sees: func(need string, g *pvesim.Guest) bool {
		if token == poolToken && g != nil && g.VMID%2 == 1 {
			return false
		}
		if need == "agent" && token == auditorToken && m.PVE[0] == '8' { // its role asks agents from 9 on
			return false
		}
		return slices.Contains(haves[token], need)
	}}
}

// check audits a cluster with a token, and compares the findings with those that were planted.
func (p *planter) check(t *testing.T, token string) {
	t.Helper()
	w := sim.New(t, sim.Options{Model: p.Model, Token: token})
	got := auditOf(t, w, `{"smart":true,"limit":200}`)
	found := map[string]bool{}
	for _, f := range got.Findings {
		for _, on := range f.On {
			found[f.ID+" "+on] = true
		}
		if f.Count > len(f.On) {
			t.Errorf("%s: %d, of which the test sees %v", f.ID, f.Count, f.On)
		}
		checkFix(t, f.ID, f.Fix)
	}
	for want := range p.wants {
		if !found[want] {
			t.Errorf("not found: %s", want)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(found)) {
		if !p.wants[f] {
			t.Errorf("found, and not planted: %s", f)
		}
	}
	for _, check := range p.blind {
		if !slices.ContainsFunc(got.Blind, func(b struct {
			Check, Missing string
			On             []string
		}) bool {
			return strings.Contains(b.Check, check)
		}) {
			t.Errorf("%q is no blind spot: %+v", check, got.Blind)
		}
	}
	if t.Failed() {
		t.Logf("%+v", got)
	}
}

// checkFix checks that a fix is a command, or a call of a tool that there is with arguments that
// it takes.
func checkFix(t *testing.T, id string, fix map[string]any) {
	t.Helper()
	if fix["command"] != nil && fix["where"] != nil {
		return
	}
	called, _ := fix["tool"].(string)
	tl, ok := toolset.Named(called)
	if !ok {
		t.Errorf("%s: the fix is %v", id, fix)
		return
	}
	schema, err := tl.Input().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(fix["arguments"]); err != nil {
		t.Errorf("%s: %s %v: %v", id, called, fix["arguments"], err)
	}
}

var versions = []string{"8.4.1", "9.0.11"}

// Nothing is found in a cluster that is well.
func TestHealthy(t *testing.T) {
	for _, nodes := range []int{1, 3, 30} {
		for _, version := range versions {
			for token := range haves {
				t.Run(fmt.Sprint(nodes, " nodes of ", version, " ", token), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := healthy(uint64(nodes), nodes, version)
						newPlanter(&m, 1, token).check(t, token)
					})
				})
			}
		}
	}
}

// Each fault is found where it was planted, and nothing else.
func TestPlanted(t *testing.T) {
	names := map[string]bool{}
	for i, f := range faults() {
		if names[f.name] {
			t.Errorf("%s is there twice", f.name)
		}
		names[f.name] = true
		for j, nodes := range []int{1, 3, 30} {
			if nodes < f.nodes || nodes == 30 && !effort.Of(false, i%4 == 0, true) || !effort.Of(i%8 == 0, true, true) {
				continue
			}
			for token := range haves {
				if token != fullToken && nodes != 3 {
					continue
				}
				t.Run(fmt.Sprint(f.name, ", ", nodes, " nodes, ", token), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := healthy(uint64(i), nodes, versions[(i+j)%2])
						p := newPlanter(&m, uint64(i), token)
						f.plant(p)
						p.check(t, token)
					})
				})
			}
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d faults", len(names))
	}
}

// Two faults at once are both found.
func TestPlantedPairs(t *testing.T) {
	all := slices.DeleteFunc(faults(), func(f fault) bool { return f.hides })
	r := rand.New(rand.NewPCG(7, 7))
	for range effort.Of(10, 60, 3000) {
		a, b, seed := all[r.IntN(len(all))], all[r.IntN(len(all))], r.Uint64()
		if a.name == b.name || a.clashes != "" && a.clashes == b.clashes {
			continue
		}
		t.Run(fmt.Sprint(a.name, " and ", b.name, ", seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := healthy(seed, 3, versions[seed%2])
				p := newPlanter(&m, seed, fullToken)
				a.plant(p)
				b.plant(p)
				p.check(t, fullToken)
			})
		})
	}
}

// A version is past its end of life from the day after its last month.
func TestEndOfLife(t *testing.T) {
	for at, want := range map[string]bool{"2026-08-31": false, "2026-09-01": true} {
		m := healthy(1, 1, "8.4.1")
		w := sim.New(t, sim.Options{Model: &m, Token: fullToken})
		day, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		w.Host.Now = func() time.Time { return day }
		found := false
		for _, f := range auditOf(t, w, `{"focus":["updates"]}`).Findings {
			found = found || f.ID == "node.end-of-life"
		}
		if found != want {
			t.Errorf("on %s: %v", at, found)
		}
	}
}

// A deep look lists the volumes of storages without backups, too.
func TestDeepVolumes(t *testing.T) {
	for i, f := range faults() {
		m := healthy(uint64(i), 3, versions[i%2])
		p := newPlanter(&m, uint64(i), fullToken)
		if f.plant(p); len(p.deep) == 0 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				found := map[string]bool{}
				for _, f := range auditOf(t, sim.New(t, sim.Options{Model: p.Model, Token: fullToken}), `{"deep":true}`).Findings {
					for _, on := range f.On {
						found[f.ID+" "+on] = true
					}
				}
				if !maps.Equal(found, p.deep) {
					t.Errorf("found %v, want %v", found, p.deep)
				}
			})
		})
	}
}

// The command that has a disk backed up keeps the disk's other options.
func TestIncludeKeepsOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := healthy(1, 1, "9.0.11")
		p := newPlanter(&m, 1, fullToken)
		vm, ct := p.vm(), p.ct()
		vm.Config["scsi1"] = fmt.Sprintf("ceph:vm-%d-disk-1,backup=0,iothread=1,size=8G", vm.VMID)
		ct.Config["mp0"] = fmt.Sprintf("ceph:vm-%d-disk-1,mp=/data,size=8G", ct.VMID)
		ct.Config["mp1"] = "/srv,mp=/srv"
		w := sim.New(t, sim.Options{Model: &m, Token: fullToken})
		text := w.Call("pve_audit", `{"detail":"backup.disk-excluded"}`).Text
		for _, want := range []string{
			fmt.Sprintf("qm set %d --scsi1 ceph:vm-%d-disk-1,iothread=1,size=8G,backup=1", vm.VMID, vm.VMID),
			fmt.Sprintf("pct set %d --mp0 ceph:vm-%d-disk-1,mp=/data,size=8G,backup=1", ct.VMID, ct.VMID), "back up /srv by other means",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %s", want, text)
			}
		}
	})
}
