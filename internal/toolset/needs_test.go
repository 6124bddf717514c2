package toolset_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What a tool says it needs is what PVE asks for when it is called.
func TestNeeds(t *testing.T) {
	t.Parallel()
	for major, version := range map[int]string{8: "8.4.1", 9: "9.2.0"} {
		for _, tl := range toolset.All() {
			t.Run(version+" "+tl.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := pvesim.Cluster()
					m.PVE = version
					m.Roles = map[string][]string{"Fetcher": {"Sys.AccessNetwork", "Datastore.AllocateTemplate"}}
					m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: demo.TokenID, Role: "Fetcher"}, pvesim.ACL{Path: "/", Who: "ops@pve", Role: "Fetcher"})
					groupForRule(&m)
					required, filtered := checkedBy(t, m, tl)
					said := sim.Needs(tl, major)
					for need := range said { // what a list leaves out for lack of it is one, too
						required[need] = required[need] || filtered[need]
					}
					maps.DeleteFunc(required, func(need string, met bool) bool { return !met || implied(need, said) })
					if diff := cmp.Diff(said, required); diff != "" {
						t.Errorf("(-said +checked):\n%s", diff)
					}
				})
			})
		}
	}
}

// groupForRule gives a cluster before PVE 9 a group of HA in the place of the preset's rule.
func groupForRule(m *pvesim.Model) {
	if m.PVE < "9" {
		m.HAGroups = []pvesim.HASection{{ID: "db-2-home", Type: "group", Options: map[string]string{"nodes": "pve3:2,pve2:1"}}}
		sim.Guest(103, func(g *pvesim.Guest) { g.HAOptions = map[string]string{"group": "db-2-home"} })(m)
	}
}

// checkedBy returns the privileges that PVE asks for to let the examples of a tool in, and
// those by which it filters what they read. The demo's token makes the calls, if it may make
// all: it lacks Datastore.Allocate, which implies every other privilege on storages. If the
// tool does more for an administrator, one calls it, too.
func checkedBy(t *testing.T, m pvesim.Model, tl tool.Tool) (required, filtered map[string]bool) {
	t.Helper()
	if len(tl.Examples) == 0 {
		t.Fatal("no example")
	}
	const root = "root@pam!full"
	required, filtered, refused := checkedAs(t, m, tl, demo.TokenID)
	if refused != "" {
		if required, filtered, refused = checkedAs(t, m, tl, root); refused != "" {
			t.Error(refused)
		}
		return required, filtered
	}
	for _, n := range tl.Needs {
		if n.Admin && n.Without != "" { // nobody else holds it, and the call is not refused for lack of it
			byRoot, _, _ := checkedAs(t, m, tl, root)
			required[n.String()] = required[n.String()] || byRoot[n.String()]
		}
	}
	return required, filtered
}

// checkedAs is [checkedBy] for the calls of one token, and says which of them is refused.
func checkedAs(t *testing.T, m pvesim.Model, tl tool.Tool, token string) (required, filtered map[string]bool, refused string) {
	w := sim.New(t, sim.Options{Model: &m, Token: token, Policy: policy.Policy{Exec: true}})
	required, filtered = map[string]bool{}, map[string]bool{}
	for _, e := range tl.Examples {
		if !e.Works(m.PVE) {
			continue
		}
		args := w.Arguments(e)
		if a := w.Run(tl, args); a.IsError && refused == "" {
			refused = args + ": " + a.Text
		}
		r, f := w.Checked()
		maps.Copy(required, r)
		maps.Copy(filtered, f)
	}
	return required, filtered, refused
}

// implied reports whether a need with alternatives is met by one of them that is said to
// be needed anyway.
func implied(need string, said map[string]bool) bool {
	privs, on, _ := strings.Cut(need, " on ")
	alternatives := strings.Split(privs, " or ")
	return !said[need] && slices.ContainsFunc(alternatives, func(p string) bool { return said[p+" on "+on] })
}
