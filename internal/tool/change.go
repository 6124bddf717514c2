package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// changing is the tool that makes the change of a spec.
func changing(t Tool, s spec) Tool {
	t.spec = s
	t.riskOf = func(arguments json.RawMessage) policy.Risk {
		in := s.input()
		if _, err := decode(t.Input(), arguments, in, anyGuest); err != nil {
			in = s.input()
		}
		return s.risk(in)
	}
	t.run = func(ctx context.Context, h Host, req Request) Result {
		r := change{spec: s, host: h, req: req, tool: t, in: s.input()}
		return r.result(r.run(ctx))
	}
	t.resume = func(ctx context.Context, b *Begun, wait time.Duration) Result {
		r := change{spec: s, host: b.host, req: b.req, tool: t, in: s.input(), resumed: b}
		return r.result(r.resume(ctx, wait))
	}
	return t
}

// change is one call of a tool that changes something.
type change struct {
	tool Tool
	spec spec
	host Host
	req  Request

	in    input
	call  *Call
	plan  Plan
	state any // a pointer
	steps []step
	given policy.Consent
	asks  *Question
	fault Fault

	digest     string // of the input
	planned    *planned
	was        asked  // the question whose answer came
	void       string // why that answer does not count
	unanswered bool   // the human was asked, and said nothing

	begun       time.Time
	at          int       // the step that is taken
	jobs        []Job     // of the steps that were begun
	ends        []Changed // of the steps that have succeeded
	last        End       // of the last task that has
	id          string    // of the change, once there is a handle
	sealed      string    // the handle, once something was begun
	resumed     *Begun    // what is answered for, where this is not the call that sent it
	interrupted bool
	detached    bool
	alone       bool // another goroutine takes the steps that are left
	stoppedHere bool // the next step was not begun, and nobody begins it
}

func (r *change) result(out output) Result {
	res := success(out)
	res.Fault = r.fault
	res.Outcome = out.changed().Outcome
	res.IsError = res.Outcome == Failed || res.Outcome == Unknown
	res.Question = r.asks
	res.Interrupted, res.Detached = r.interrupted, r.detached
	if res.Outcome == Running {
		res.Handle = r.sealed // as long as there is something to follow
	}
	return res
}

func (r *change) run(ctx context.Context) (out output) {
	begun, err := r.open(ctx)
	if err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	if begun != nil {
		return r.goOn(ctx, begun)
	}
	if err := r.look(ctx); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	if r.plan.Already != "" {
		out, err := r.spec.finish(ctx, r.call, r.state, End{})
		return r.finished(out, err, Changed{Outcome: OK, Message: r.plan.Already})
	}
	risk := r.spec.risk(r.in)
	if r.plan.Destructive {
		risk = max(risk, policy.Destructive)
	}
	if reason := r.refused(ctx, risk); reason != "" {
		return r.notSent(ctx, r.failed(ctx, &policy.RefusedError{Reason: reason}))
	}
	if err := r.checkPlan(ctx); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	if planning(r.in) {
		return r.answerPlan(ctx, risk)
	}
	if r.plan.Looks {
		risk = policy.Read
	}
	var stopped output
	if r.given, stopped = r.consent(ctx, risk); stopped != nil {
		return r.notSent(ctx, stopped)
	}
	r.call.at = time.Time{}
	r.begun = r.host.Now()
	return r.proceed(ctx)
}

// look reads the arguments and plans the change.
func (r *change) look(ctx context.Context) (err error) {
	if err := r.tool.read(ctx, r.host, &r.req, r.in); err != nil {
		return err
	}
	if reason := r.req.refusal(r.host.Policy, r.spec.risk(r.in)); reason != "" {
		return &policy.RefusedError{Reason: reason}
	}
	if r.call, err = newCall(ctx, r.host, r.req); err != nil {
		return err
	}
	r.digest = digestOf(r.in)
	if err := r.recall(ctx); err != nil {
		return err
	}
	r.plan, r.state, err = r.spec.plan(ctx, r.call, r.in)
	r.steps = r.spec.steps(r.plan, r.state)
	return err
}

// recorded records how something ends that is about to begin. Nothing is done that cannot be
// recorded.
func (r *change) recorded(ctx context.Context, do func() output) (out output) {
	entry, err := r.host.Audit.Begin(ctx, r.record())
	if err != nil {
		return r.failed(ctx, unrecorded(err))
	}
	r.host.Recent.begin(r.recent(), r.host.Now())
	end := Changed{Outcome: Unknown} // where a bug ends it
	defer func() { r.endRecord(ctx, entry, end, out) }()
	out = do()
	switch {
	case out != nil:
		end = *out.changed()
	case len(r.ends) > 0:
		end = r.ends[len(r.ends)-1]
	}
	return out
}

func (r *change) endRecord(ctx context.Context, entry *audit.Entry, end Changed, out output) {
	if err := entry.End(ctx, string(end.Outcome), end.UPID); err != nil && out != nil {
		out.changed().Message += fmt.Sprintf(" This outcome is missing in the audit log: %v.", err)
	}
	if end.Outcome != Running && end.Outcome != Unknown {
		r.host.Recent.end(r.recent(), r.host.Now())
	}
}

// refused says why the call that is planned is not made: it is worse than its input told
// and than the caller may do, or the rules about guests forbid what a human would be asked
// about. The guard below the client knows the rules for every request; this asks nobody
// in vain.
func (r *change) refused(ctx context.Context, risk policy.Risk) string {
	if reason := r.req.refusal(r.host.Policy, risk); reason != "" {
		return reason
	}
	if risk < policy.Destructive || r.host.Guard == nil {
		return ""
	}
	targets := r.targets()
	if targets == nil {
		targets = []policy.Target{{Subject: r.plan.Subject}}
	}
	for _, target := range targets {
		if reason := r.host.Guard.Refuse(ctx, target); reason != "" {
			return reason
		}
	}
	return ""
}

// targets are the requests that need the consent.
func (r *change) targets() []policy.Target {
	var out []policy.Target
	for _, s := range r.steps {
		if s.target.Method != "" {
			out = append(out, s.target)
		}
	}
	return out
}

func confirmed(in any) bool {
	c, ok := in.(interface{ confirmed() bool })
	return ok && c.confirmed()
}
