// Package sim puts the tools on a simulated cluster, for tests.
package sim

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// World is a simulated cluster with the tools on it. Within a synctest bubble its
// time is the bubble's.
type World struct {
	*testing.T
	Model pvesim.Model
	Sim   *pvesim.Sim
	Host  tool.Host

	token string
	seen  int        // requests that were reported by Sent
	node  *live.Node // of a live run, in the place of the simulator
	ctx   context.Context
}

// Context returns the context of the world's calls.
func (w *World) Context() context.Context {
	if w.ctx != nil {
		return w.ctx
	}
	return w.T.Context()
}

// Options change what a world is like.
type Options struct {
	Model  *pvesim.Model // nil for the preset cluster
	Token  string        // "" for the demo's
	Policy policy.Policy
	// Wire, if not nil, lies between the client and the simulator.
	Wire func(http.RoundTripper) http.RoundTripper
	// Waiting, if not nil, is that of the world's client.
	Waiting func(change int)
	// Before, if not nil, is called before each request of the world's client.
	Before func(*World, *http.Request)
}

// New brings a world to life.
func New(t *testing.T, o Options) *World {
	t.Helper()
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	if o.Model == nil {
		m := pvesim.Cluster()
		o.Model = &m
	}
	if o.Token == "" {
		o.Token = demo.TokenID
	}
	sim, err := pvesim.NewSim(*o.Model, pvesim.Options{Clock: pvesim.Scaled(1)})
	if err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Model: *o.Model, Sim: sim, token: o.Token}
	wire := sim.Transport()
	if o.Wire != nil {
		wire = o.Wire(wire)
	}
	if o.Before != nil {
		wire = before{wire, func(req *http.Request) { o.Before(w, req) }}
	}
	client := demo.Options(sim.URL(), wire, o.Model.Token(o.Token))
	client.Waiting = o.Waiting
	w.Host, err = demo.Connect(client, o.Policy)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// before calls something before each request.
type before struct {
	http.RoundTripper
	do func(*http.Request)
}

func (b before) RoundTrip(req *http.Request) (*http.Response, error) {
	b.do(req)
	return b.RoundTripper.RoundTrip(req)
}

// As returns the world as seen with another token.
func (w *World) As(token string) *World {
	w.Helper()
	host, err := demo.Host(w.Sim.URL(), w.Sim.Transport(), w.Model.Token(token), w.Host.Policy)
	if err != nil {
		w.Fatal(err)
	}
	host.Recent = w.Host.Recent
	other := *w
	other.Host, other.token = host, token
	return &other
}

// Record returns a log for the world's host.
func (w *World) Record(o audit.Options) *audit.Log {
	w.Helper()
	l, err := audit.New(o)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

// Answer is the answer to a call, decoded.
type Answer struct {
	tool.Result
	Fields   map[string]any // of the structured answer
	Progress []cluster.Progress
}

// Call calls a tool of the catalog with arguments in JSON.
func (w *World) Call(name, args string) Answer {
	w.Helper()
	t, ok := toolset.Named(name)
	if !ok {
		w.Fatalf("no tool %s", name)
	}
	return w.Run(t, args)
}

// Run calls a tool with arguments in JSON.
func (w *World) Run(t tool.Tool, args string) Answer {
	w.Helper()
	a := Answer{}
	a.Result = t.Call(w.Context(), w.Host, tool.Request{
		Arguments: json.RawMessage(args), Caller: "test",
		Progress: func(p cluster.Progress) { a.Progress = append(a.Progress, p) },
	})
	if a.Structured == nil {
		return a
	}
	if err := json.Unmarshal(a.Structured, &a.Fields); err != nil {
		w.Fatalf("%s: %v: %s", t.Name, err, a.Structured)
	}
	if a.Text != string(a.Structured) {
		w.Errorf("%s: the text is not the structured answer: %s", t.Name, a.Text)
	}
	schema, err := t.Output().Resolve(nil)
	if err != nil {
		w.Fatal(err)
	}
	if err := schema.Validate(a.Fields); err != nil {
		w.Errorf("%s: the answer does not fit its schema: %v: %s", t.Name, err, a.Structured)
	}
	return a
}

// Sent returns the requests of the world's token that reached the simulator since the
// last call of Sent, each as METHOD and endpoint: of a live run, those that could change
// something.
func (w *World) Sent() []string {
	if w.node != nil {
		return w.node.Sent()
	}
	all := w.Sim.Requests()
	var out []string
	for _, r := range all[w.seen:] {
		if r.User == w.token {
			out = append(out, r.Method+" "+r.Endpoint)
		}
	}
	w.seen = len(all)
	return out
}

// Writes returns those of the requests that could change something.
func Writes(sent []string) []string {
	return slices.DeleteFunc(slices.Clone(sent), func(s string) bool { return strings.HasPrefix(s, "GET ") })
}

// objects are what a privilege is held on, by the first element of an ACL path.
var objects = map[string]tool.Object{
	"": tool.OnRoot, "vms": tool.OnGuest, "nodes": tool.OnNode, "storage": tool.OnStorage, "pool": tool.OnPool, "sdn": tool.OnBridge,
}

// Checked returns the privileges that PVE has asked for to let requests in, and those by
// which it has filtered their answers, since the last call of Sent, each as [tool.Need]
// writes it. A new guest is a guest.
func (w *World) Checked() (required, filtered map[string]bool) {
	required, filtered = map[string]bool{}, map[string]bool{}
	for _, r := range w.Sim.Requests()[w.seen:] {
		for _, c := range r.Checks {
			needs := c.Privs
			if c.Any {
				needs = []string{strings.Join(c.Privs, " or ")}
			}
			for _, need := range needs {
				need += " on " + string(objects[strings.Split(c.Path, "/")[1]])
				required[need] = required[need] || c.Held // an alternative may be held instead
			}
		}
		for _, f := range r.Filters {
			priv, path, _ := strings.Cut(f, " on /")
			filtered[priv+" on "+string(objects[path])] = true
		}
	}
	return required, filtered
}

// Needs returns the privileges that a tool says to need with a major version of PVE.
func Needs(t tool.Tool, major int) map[string]bool {
	out := map[string]bool{}
	for _, n := range t.Needs {
		if !n.Holds(major) {
			continue
		}
		if n.On == tool.OnNewGuest {
			n.On = tool.OnGuest
		}
		out[n.String()] = true
	}
	return out
}
