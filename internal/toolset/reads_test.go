package toolset_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// asking makes a call of a client that asks its human, who agrees when asked. It calls
// answered before the call with the answer, and returns the result of each call.
func asking(w *sim.World, tl tool.Tool, args string, answered func()) (results []tool.Result) {
	w.Helper()
	given := map[string]any{}
	if err := json.Unmarshal([]byte(args), &given); err != nil {
		w.Fatal(err)
	}
	delete(given, "confirm")
	req := tool.Request{Arguments: json.RawMessage(written(given)), Caller: "test", CanAsk: true}
	a := tl.Call(w.Context(), w.Host, req)
	if a.Question == nil {
		return []tool.Result{a}
	}
	_, names, _ := strings.Cut(a.Question.Message, "To go on, type ")
	name, _, _ := strings.Cut(strings.TrimSuffix(names, "."), " or ")
	req.State = a.Question.State
	req.Reply = &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true, tool.NameField: name}}
	answered()
	return []tool.Result{a, tl.Call(w.Context(), w.Host, req)}
}

// reads are those since the last write.
type reads struct {
	*testing.T
	mu    sync.Mutex
	seen  map[string]bool // guarded by mu
	model pvesim.Model
}

// note fails the test for a read that was there before. A task is looked at until it has
// ended, a guest under HA until it is as it was to be, and an agent is asked until it answers.
func (r *reads) note(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what := req.URL.RequestURI()
	if req.Method != http.MethodGet || r.seen == nil {
		r.seen = map[string]bool{}
	}
	if r.seen[what] && !strings.Contains(what, "/tasks/UPID") && !strings.Contains(what, "/agent/") && !r.isUnderHA(what) {
		r.Errorf("again GET %s", what)
	}
	r.seen[what] = req.Method == http.MethodGet
}

// isUnderHA reports whether a read is of the state of a guest under HA.
func (r *reads) isUnderHA(what string) bool {
	return slices.ContainsFunc(r.model.Guests, func(g pvesim.Guest) bool {
		return g.HA != "" && strings.HasSuffix(what, fmt.Sprintf("/%d/status/current", g.VMID))
	})
}

func (r *reads) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.seen)
}

// What a call has read, it does not read again: neither before its first write, nor, to see
// what that has done, after it.
func TestReadsAreNotRepeated(t *testing.T) {
	t.Parallel()
	rules := func(text string) policy.Rules {
		r, err := policy.ParseRules(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, p := range []policy.Policy{
		{Exec: true},
		{Exec: true, Confirm: policy.Human},
		{Exec: true, Protect: rules("999, tag:untouchable, pool:nobody")},
	} {
		for _, tl := range toolset.All() {
			for _, e := range tl.Examples {
				if !e.Works(pvesim.Cluster().PVE) {
					continue
				}
				t.Run(fmt.Sprintf("%s %s under %v", tl.Name, e.Arguments, p), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						reads := &reads{T: t, model: pvesim.Cluster()}
						w := sim.New(t, sim.Options{
							Token: "root@pam!full", Policy: p, Model: withPool(pvesim.Cluster(), "nobody"),
							Before: func(_ *sim.World, req *http.Request) { reads.note(req) },
						})
						args := w.Arguments(e)
						reads.forget()
						for _, a := range asking(w, tl, args, reads.forget) {
							if a.IsError && !strings.Contains(a.Text, "may concern any guest, and PVE_MCP_PROTECT is set") {
								t.Errorf("%s", a.Text)
							}
						}
					})
				})
			}
		}
	}
}

// withPool adds an empty pool.
func withPool(m pvesim.Model, name string) *pvesim.Model {
	m.Pools = append(m.Pools, pvesim.Pool{ID: name})
	return &m
}

// A deletion that a human has consented to costs no more than this, question and all.
func TestConsentedDeletion(t *testing.T) {
	const most = 18
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: "root@pam!full"})
		tl, _ := toolset.Named("pve_delete_guest")
		answers := asking(w, tl, `{"vmid":204}`, func() {})
		if len(answers) != 2 || answers[1].Outcome != tool.OK {
			t.Fatalf("%+v", answers)
		}
		if sent := sim.WithoutTasks(w.Sent()); len(sent) > most {
			t.Errorf("%d requests, want at most %d:\n%s", len(sent), most, strings.Join(sent, "\n"))
		}
	})
}
