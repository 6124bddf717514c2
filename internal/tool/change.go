package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// changing is the tool that takes the steps.
func changing(t Tool, s steps) Tool {
	t.riskOf = func(arguments json.RawMessage) policy.Risk {
		in := s.input()
		if _, err := decode(t.Input(), arguments, in); err != nil {
			in = s.input()
		}
		return s.risk(in)
	}
	t.run = func(ctx context.Context, h Host, req Request) Result {
		r := change{steps: s, host: h, req: req, tool: t, in: s.input()}
		return r.result(r.run(ctx))
	}
	t.resume = func(ctx context.Context, b *Begun, wait time.Duration) Result {
		r := change{steps: s, host: b.host, req: b.req, tool: t, in: s.input(), resumed: b}
		return r.result(r.resume(ctx, wait))
	}
	return t
}

// change is one call of a tool that changes something.
type change struct {
	tool  Tool
	steps steps
	host  Host
	req   Request

	in    input
	call  *Call
	plan  Plan
	given policy.Consent
	asks  *Question
	fault Fault

	was        asked  // the question whose answer came
	void       string // why that answer does not count
	unanswered bool   // the human was asked, and said nothing

	begun       time.Time
	sealed      string // the handle, once there is a task
	resumed     *Begun // what is answered for, where this is not the call that sent it
	interrupted bool
	detached    bool
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
	if err := r.tool.read(ctx, r.host, &r.req, r.in); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	risk := r.steps.risk(r.in)
	if reason := r.req.refusal(r.host.Policy, risk); reason != "" {
		return r.notSent(ctx, r.failed(ctx, &policy.RefusedError{Reason: reason}))
	}
	var err error
	if r.call, err = newCall(ctx, r.host, r.req); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	digest := digestOf(r.in)
	if err := r.recall(ctx, digest); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	if r.plan, err = r.steps.plan(ctx, r.call, r.in); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	if r.plan.Already != "" {
		out, err := r.steps.finish(ctx, r.call, r.in, End{})
		return r.finished(out, err, Changed{Outcome: OK, Message: r.plan.Already})
	}
	if r.plan.Destructive {
		risk = max(risk, policy.Destructive)
	}
	if reason := r.refused(ctx, risk); reason != "" {
		return r.notSent(ctx, r.failed(ctx, &policy.RefusedError{Reason: reason}))
	}
	var stopped output
	if r.plan.Looks {
		risk = policy.Read
	}
	if r.given, stopped = r.consent(ctx, risk, digest); stopped != nil {
		return r.notSent(ctx, stopped)
	}
	r.call.at = time.Time{}
	entry, err := r.host.Audit.Begin(ctx, r.record())
	if err != nil {
		return r.failed(ctx, unrecorded(err))
	}
	r.host.Recent.begin(r.plan.guest(), r.host.Now())
	return r.recorded(ctx, entry, func() output { return r.carryOut(ctx) })
}

// recorded records how something ends that is under way.
func (r *change) recorded(ctx context.Context, entry *audit.Entry, do func() output) (out output) {
	end := Changed{Outcome: Unknown} // where a bug ends it
	defer func() {
		if err := entry.End(ctx, string(end.Outcome), end.UPID); err != nil && out != nil {
			out.changed().Message += fmt.Sprintf(" This outcome is missing in the audit log: %v.", err)
		}
		if end.Outcome != Running && end.Outcome != Unknown {
			r.host.Recent.end(r.plan.guest(), r.host.Now())
		}
	}()
	out = do()
	end = *out.changed()
	return out
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
	target := r.plan.Target
	target.Subject = r.plan.Subject
	return r.host.Guard.Refuse(ctx, target)
}

func confirmed(in any) bool {
	c, ok := in.(interface{ confirmed() bool })
	return ok && c.confirmed()
}

// carryOut sends the change and follows it as long as the call may wait.
func (r *change) carryOut(ctx context.Context) output {
	if err := ctx.Err(); err != nil {
		return r.failed(ctx, err) // nothing was sent
	}
	r.begun = r.host.Now()
	job, stopped := r.send(ctx, r.steps.start)
	if stopped != nil {
		return stopped
	}
	if !job.UPID.IsZero() {
		r.seal(ctx, job.UPID)
	}
	if r.detaches() {
		return r.detach(ctx, job)
	}
	patience, cancel := context.WithTimeout(ctx, r.call.Patience(r.in.wait()))
	defer cancel()
	return r.see(ctx, patience, job)
}

// see follows a change to its end, as long as patience lasts.
func (r *change) see(ctx, patience context.Context, job Job) output {
	end, stopped := r.follow(ctx, patience, job)
	if stopped != nil {
		return stopped
	}
	ch := r.done(ctx, job, end)
	if r.plan.Starts {
		about := r.plan.About
		r.plan.About = "the start"
		next, stopped := r.second(ctx, job)
		if stopped == nil && !next.UPID.IsZero() {
			end, stopped = r.follow(ctx, patience, next)
		}
		if stopped != nil {
			return r.halfDone(ctx, stopped, ch)
		}
		r.plan.About = about
		if after := r.done(ctx, next, end); after.Outcome == Warnings {
			ch.Outcome, ch.Message, ch.ExitStatus, ch.Log = Warnings, after.Message, after.ExitStatus, after.Log
		}
	}
	if !job.UPID.IsZero() { // its goal may never be reached
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(patience, goalTime)
		defer cancel()
	}
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		out, err := r.steps.finish(ctx, r.call, r.in, end)
		if !errors.Is(err, ErrNotYet) {
			return r.finished(out, err, ch)
		}
		select {
		case <-patience.Done():
			*out.changed() = r.notYet(ctx, *out.changed(), job, err)
			return out
		case <-time.After(pause):
		}
	}
}

// send sends a step. stopped is the answer where the change ends with that.
func (r *change) send(ctx context.Context, do step) (job Job, stopped output) {
	sent := r.host.Now()
	starting, done := late(r.given.Grant(ctx, r.plan.Target), answerTime)
	defer done()
	job, err := do(starting, r.call, r.in)
	switch {
	case proxmox.OutcomeUnknown(err):
		return Job{}, r.lost(ctx, err, sent)
	case err != nil:
		return Job{}, r.failed(ctx, err)
	}
	return job, nil
}

// follow waits for the end of a task. stopped is the answer where the change ends with
// that.
func (r *change) follow(ctx, patience context.Context, job Job) (end End, stopped output) {
	if job.UPID.IsZero() {
		return End{}, nil
	}
	watch := r.call.Watch(r.plan.About)
	status, err := r.await(ctx, patience, job, watch)
	var out output
	var refused *proxmox.Error
	gone := errors.As(err, &refused) && refused.NoSuchTask()
	over := err != nil && patience.Err() != nil && !gone
	var unseen *proxmox.UnseenError
	missed := errors.As(err, &unseen)
	switch {
	case over && !status.Running() && (r.resumed != nil || missed):
		out = r.unseen(job, err)
	case over && missed:
		out = r.running(job, watch.Says())
		out.changed().Message += " It could not be looked at last: " + r.call.Explain(unseen.Look).What
	case over, err == nil && status.Running():
		out = r.running(job, watch.Says())
	case err != nil:
		out = r.lostSight(job, err)
	case !status.Succeeded():
		out = r.taskFailed(ctx, job, End{status})
	default:
		return End{status}, nil
	}
	return End{}, out
}

// halfDone reports a change of which the first step is done, and the second is not.
func (r *change) halfDone(ctx context.Context, second output, first Changed) output {
	ch := *second.changed()
	ch.Message = first.Message + " What comes after it: " + ch.Message
	out, err := r.steps.finish(ctx, r.call, r.in, End{})
	if err != nil {
		out = r.steps.output()
	}
	*out.changed() = ch
	return out
}

// answerTime is how long PVE has to answer a write whose caller has cancelled it, so
// that its outcome is known.
const answerTime = 3 * time.Second

// late returns a context that ends some time after another one.
func late(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return out, func() { stop(); cancel() }
}
