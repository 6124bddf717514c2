package sim

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Story is a call of a tool and what comes of it.
type Story struct {
	Name    string
	On      Scratch // makes it one that can run anywhere, with placeholders in its texts
	Bases   Bases   // what the storage of the scratch guest has to do with templates, if it matters
	Options         // of the world
	First   string  // calls that come before, one in a line: tool and arguments
	Fault   pvesim.Fault
	Args    string

	Outcome tool.Outcome // of a tool that reads: OK or Failed
	Says    []string     // parts of the answer
	Lacks   []string     // what is no part of it
	Writes  []string     // all requests that could change something
	Sent    int          // requests but looks at tasks, by the preset cluster; 0 is not compared
}

// Tell tells stories of a tool, each in a world of its own: a simulated one or, in a live
// run, what is a real node's for those that can run anywhere.
func Tell(t *testing.T, name string, stories []Story) {
	t.Helper()
	if live.Wanted() {
		tellLive(t, name, stories)
		return
	}
	for _, s := range stories {
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.simulate(t, name) })
		})
	}
}

// simulate tells a story in a simulated world.
func (s Story) simulate(t *testing.T, name string) {
	s.Policy.Exec = !s.Policy.ReadOnly
	values := simulated()
	if s.On != "" {
		m := pvesim.Cluster()
		if s.Model != nil {
			m = *s.Model
		}
		if s.Bases == FreesBases {
			values["storage"] = addBtrfs(&m)
		}
		s.On.simulate(&m, values["storage"])
		s.Model = &m
	}
	s.tell(New(t, s.Options), name, values)
}

// tell runs a story in a world, with the values of its placeholders.
func (s Story) tell(w *World, name string, values map[string]string) {
	w.Helper()
	answers := map[string]any{} // to the calls of First
	fill := func(text string) string {
		if s.On == "" {
			return text
		}
		return filler{w.T, values, answers}.fill(text)
	}
	for call := range strings.Lines(s.First) {
		first, args, _ := strings.Cut(strings.TrimSpace(fill(call)), " ")
		a := w.Call(first, args)
		if a.IsError {
			w.Fatalf("%s: %s", call, a.Text)
		}
		maps.Copy(answers, a.Fields)
	}
	w.Sent()
	if s.Fault != (pvesim.Fault{}) {
		if err := w.Sim.Fault(s.Fault); err != nil {
			w.Fatal(err)
		}
	}
	a := w.Call(name, fill(s.Args))
	if got := a.result(); got != s.Outcome {
		w.Errorf("outcome %q, want %q: %s", got, s.Outcome, a.Text)
	}
	if a.Outcome != "" && a.IsError != (a.Outcome == tool.Failed || a.Outcome == tool.Unknown) {
		w.Errorf("outcome %q, and whether it is an error: %v", a.Outcome, a.IsError)
	}
	for _, part := range s.Says {
		if part = fill(part); !strings.Contains(a.Text, part) {
			w.Errorf("no %s in %s", part, a.Text)
		}
	}
	for _, part := range s.Lacks {
		if part = fill(part); strings.Contains(a.Text, part) {
			w.Errorf("%s in %s", part, a.Text)
		}
	}
	sent := w.Sent()
	if diff := cmp.Diff(s.Writes, Writes(sent)); diff != "" && len(s.Writes)+len(Writes(sent)) > 0 {
		w.Errorf("requests that could change something (-want +got):\n%s", diff)
	}
	if all := WithoutTasks(sent); s.Sent != 0 && w.Sim != nil && len(all) != s.Sent {
		w.Errorf("%d requests, want %d: %v", len(all), s.Sent, all)
	}
}

// result is the outcome, of a tool that reads whether it was able to.
func (a Answer) result() tool.Outcome {
	switch {
	case a.Outcome != "":
		return a.Outcome
	case a.IsError:
		return tool.Failed
	}
	return tool.OK
}

// WithoutTasks leaves out the looks at tasks, which are as many as these take.
func WithoutTasks(sent []string) []string {
	return slices.DeleteFunc(slices.Clone(sent), func(s string) bool { return strings.Contains(s, "/tasks/{upid}/") })
}

// Cluster returns the preset cluster, changed.
func Cluster(changes ...func(*pvesim.Model)) *pvesim.Model { return edit(pvesim.Cluster(), changes) }

// Lab returns the preset single node, changed.
func Lab(changes ...func(*pvesim.Model)) *pvesim.Model { return edit(pvesim.Lab(), changes) }

func edit(m pvesim.Model, changes []func(*pvesim.Model)) *pvesim.Model {
	for _, change := range changes {
		change(&m)
	}
	return &m
}

// Guest changes a guest of a model.
func Guest(vmid int, change func(g *pvesim.Guest)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		i := slices.IndexFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID == vmid })
		change(&m.Guests[i])
	}
}

// Set gives keys of a guest's configuration other values, "" for none: "cores=2".
func Set(vmid int, settings ...string) func(*pvesim.Model) {
	return Guest(vmid, func(g *pvesim.Guest) {
		for _, s := range settings {
			key, value, _ := strings.Cut(s, "=")
			if g.Config[key] = value; value == "" {
				delete(g.Config, key)
			}
		}
	})
}

// Snapshot gives a guest a snapshot after those that it has.
func Snapshot(vmid int, name string) func(*pvesim.Model) {
	return Guest(vmid, func(g *pvesim.Guest) {
		g.Snapshots = append(g.Snapshots, pvesim.Snapshot{Name: name, Parent: g.Config["parent"], Age: time.Hour, Config: maps.Clone(g.Config)})
		g.Config["parent"] = name
	})
}

// Version changes the version of all nodes.
func Version(version string) func(*pvesim.Model) {
	return func(m *pvesim.Model) { m.PVE = version }
}

// Offline makes a node go down.
func Offline(node string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Nodes {
			m.Nodes[i].Offline = m.Nodes[i].Offline || m.Nodes[i].Name == node
		}
	}
}

// Grant gives the token none@pve!mcp, which has nothing, a role on a path.
func Grant(path, role string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for _, who := range []string{"none@pve", "none@pve!mcp"} {
			m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: who, Role: role})
		}
	}
}

// Meanwhile has somebody else call a tool, which must succeed, just before the first request
// of a method whose path ends so.
func Meanwhile(method, path, call string) func(*World, *http.Request) {
	called := false
	return func(w *World, req *http.Request) {
		if called || req.Method != method || !strings.HasSuffix(req.URL.Path, path) {
			return
		}
		called = true
		name, args, _ := strings.Cut(call, " ")
		if a := w.As("root@pam!full").Call(name, args); a.IsError || a.Outcome == tool.Running {
			w.Errorf("%s: %s", call, a.Text)
		}
	}
}

// Moves has somebody move a guest, whose disks are on shared storage, just before the
// first request of a method whose path ends so.
func Moves(vmid int, target, method, path string) func(*World, *http.Request) {
	return Meanwhile(method, path, fmt.Sprintf(`pve_migrate_guest {"vmid":%d,"target":%q,"wait":45}`, vmid, target))
}

// Answers is a wire on which looks at a path are answered with data in the place of PVE,
// for what the simulator has none of.
func Answers(path, data string) func(http.RoundTripper) http.RoundTripper {
	return func(rt http.RoundTripper) http.RoundTripper { return answers{rt, path, data} }
}

type answers struct {
	http.RoundTripper
	path, data string
}

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || !strings.HasSuffix(req.URL.Path, a.path) {
		return a.RoundTripper.RoundTrip(req)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"data":` + a.data + `}`)),
	}, nil
}
