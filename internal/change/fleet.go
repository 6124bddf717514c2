package change

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Fleet is a change of many guests. It consists of calls of other tools, each of which is
// planned, sent, recorded and followed as it would be alone, under the consent of the whole.
type Fleet struct {
	Items []Item // in the order in which they are begun
	// Parallel is how many guests are worked on at a time, at least one.
	Parallel int
	// OnePerNode says that no node works on two of them at a time.
	OnePerNode bool
	// StopOnError says that none is begun after one has failed.
	StopOnError bool
}

// Item is one guest of a [Fleet], and the calls that are made for it, one after another.
type Item struct {
	Guest pve.VMID
	Node  string // that works on it
	Name  string // for people, such as 101 web-2
	Calls []PlannedCall
}

// PlannedCall is a call of a tool that changes one guest.
type PlannedCall struct {
	Tool      string
	Arguments json.RawMessage
	// Task is how the type of its task ends, such as start for qmstart, vzstart and hastart; ""
	// if there may be none.
	Task string
	// Anew says that it is planned again when its turn comes, since the calls before it change
	// what it is about.
	Anew bool
	// Untraced says that PVE does not tell how it has ended: only the process that makes it
	// knows. If it has a Task, PVE at least has that of a call that was begun.
	Untraced bool
	// Note says for people what is particular about this call, such as the snapshot that goes.
	Note string
	// Plan is what it would do. Risk is that of this call.
	Plan Plan
	Risk policy.Risk

	targets []policy.Target
	made    *run // that planned it
}

// Part is how the part of a fleet about one guest has ended, or how far it is.
type Part struct {
	Guest   pve.VMID
	Name    string
	Outcome tool.Outcome // "" if it was not begun
	Message string
	Next    string
	UPID    string // of its last task
	Log     []string
	// Details are what the Out of its last call says beside its [Answer], in a method
	// Details() any; nil if it has none, or if another process has made the call.
	Details any
}

// PlanCall plans a call of a tool that changes one guest, for a [Fleet]. It only reads, and may
// be called by several goroutines, each with a call of its own ([tool.Call.Fork]). The error
// says why the change cannot be made.
func PlanCall(ctx context.Context, c *tool.Call, p PlannedCall) (PlannedCall, error) {
	if off := c.Host().Off; off != nil && off(p.Tool) == tool.LeftOut {
		return p, explain.Refusal("Take -"+p.Tool+" out of PVE_MCP_TOOLS to allow it.", "The tool %s would do it, and %s.", p.Tool, tool.LeftOut)
	}
	r, err := newPart(c.Host(), c.Request(), p)
	if err != nil {
		return p, err
	}
	r.call = c
	if err := r.planPart(ctx); err != nil {
		return p, err
	}
	p.Plan, p.Risk, p.targets, p.made = r.plan, r.riskOf(), r.targets(), r
	if reason := r.refusal(ctx, p.Risk); reason != "" {
		return p, &policy.RefusedError{Reason: reason}
	}
	return p, nil
}

// newPart is the run of a call of a fleet, before it is planned.
func newPart(h tool.Host, req tool.Request, p PlannedCall) (*run, error) {
	t, ok := h.Named(p.Tool)
	s, isChange := t.Runner.(*spec)
	if !ok || !isChange {
		return nil, explain.Refusal("Choose a configuration that has it.", "The tool %s is not part of this server.", p.Tool)
	}
	req.Arguments, req.Reply, req.State, req.Detach = p.Arguments, nil, "", false
	return s.newRun(t, h, req), nil
}

// planPart plans a call of a fleet.
func (r *run) planPart(ctx context.Context) (err error) {
	if err := r.tool.ReadArguments(ctx, r.host, &r.req, r.in); err != nil {
		return err
	}
	if r.plan, r.state, err = r.spec.plan(ctx, r.call, r.in); err != nil {
		return err
	}
	r.steps = r.spec.steps(r.plan, r.state)
	return nil
}

// targets are the requests of a fleet that need the consent.
func (f *Fleet) targets() []policy.Target {
	var out []policy.Target
	for _, i := range f.Items {
		for _, c := range i.Calls {
			out = slices.Concat(out, c.targets)
		}
	}
	return out
}

// worst is the worst risk of a call, of a change that is no fleet the least.
func (f *Fleet) worst() policy.Risk {
	worst := policy.Read
	if f == nil {
		return worst
	}
	for _, i := range f.Items {
		for _, c := range i.Calls {
			worst = max(worst, c.Risk)
		}
	}
	return worst
}

// untraced reports whether PVE does not tell how some of the calls have ended.
func (f *Fleet) untraced() bool {
	return slices.ContainsFunc(f.Items, func(i Item) bool {
		return slices.ContainsFunc(i.Calls, func(c PlannedCall) bool { return c.Untraced })
	})
}

// abouts are what the calls of the fleet would do, in their order.
func (f *Fleet) abouts() []string {
	var out []string
	for _, i := range f.Items {
		for _, c := range i.Calls {
			out = append(out, c.Plan.About)
		}
	}
	return out
}
