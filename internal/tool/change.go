package tool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"pve-mcp/internal/audit"
	"pve-mcp/internal/explain"
	"pve-mcp/internal/guard"
	"pve-mcp/pve"
)

// Waits is embedded by the In of a change.
type Waits struct {
	Wait *int `json:"wait,omitzero" min:"0"`
}

func (w Waits) wait() *int { return w.Wait }

// Times is embedded by the In of a change that is over in seconds.
type Times struct {
	Timeout *int `json:"timeout,omitzero" min:"1"`
}

func (t Times) wait() *int { return t.Timeout }

// Confirms is embedded by the In of a change that may be destructive.
type Confirms struct {
	Confirm bool `json:"confirm,omitzero"`
}

func (c Confirms) confirmed() bool { return c.Confirm }

// ChangeSpec declares a tool that changes something, in three parts, so that what
// lies between them is the wrapper's business: policy, consent, record, waiting,
// progress. Finish may run in another process than Start.
type ChangeSpec[In any, Out any] struct {
	Name       string
	Title      string
	Doc        string
	Toolset    string // core where it is not set
	Idempotent bool
	Needs      []Need
	// Risk is that of a call by its input alone, write where not set; a plan may raise
	// it. Worst is the worst that it can be, write where not set.
	Risk  func(in In) guard.Risk
	Worst guard.Risk
	// Plan looks up what the call would do, and to what. It only reads. It may complete
	// the input, such as with an id that it has chosen, for what follows. An error
	// explains why the change cannot be made.
	Plan func(ctx context.Context, c *Call, in *In) (Plan, error)
	// Start sends the change. It may complete the input as Plan may.
	Start func(ctx context.Context, c *Call, in *In) (Job, error)
	// Then, if not nil, starts the guest after the task of Start has succeeded, where the
	// plan says so and PVE does not do that by itself. It is sent by the call that waited
	// for that, or not at all.
	Then func(ctx context.Context, c *Call, in *In) (Job, error)
	// Finish says what is true now, after the task has ended. It may answer
	// [ErrNotYet], alone or joined with the reason why it cannot know, where the
	// task was not the whole of it. The outcome that it sets counts where it is
	// [Unknown]: the change is over, and how it ended cannot be known any more.
	Finish func(ctx context.Context, c *Call, in In, end End) (Out, error)
}

// Plan is what a change would do.
type Plan struct {
	// Guest is the guest that is changed, if one is.
	Guest pve.VMID
	// About names action and target, to begin a sentence: "Shutdown of VM 104".
	About string
	// Already says that there is nothing to do, in a sentence; nothing is sent.
	Already string
	// Destructive says that this call is, though its input alone did not tell.
	Destructive bool
	// Consequences are what is lost, for a destructive change.
	Consequences []string
	// Target is the request that a consent is good for.
	Target guard.Target
	// Names are what a human types to consent, where yes is not enough.
	Names []string
	// Starts says that the guest is started after the task, in another one: by PVE itself,
	// or by Then.
	Starts bool
	// Later says what to do after a task whose end the call does not wait for: nothing
	// sends Then afterwards.
	Later string
}

// Job is what was sent: a task, or, without one, a change that is done.
type Job struct {
	UPID pve.UPID
	// Warning says what is not as it was wanted, of a change without a task.
	Warning string
}

// End is how the task ended; its zero value stands for a change without one.
type End struct{ Status pve.TaskStatus }

// Target is the one request to a guest's path, such as /snapshot/*, that a consent is good
// for.
func Target(method string, g pve.GuestRef, rest string) guard.Target {
	return guard.Target{Method: method, Path: "/nodes/*/" + string(g.Kind) + "/*" + rest, VMID: int(g.VMID)}
}

// Flag writes a boolean as PVE takes it.
func Flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// ErrNotYet says that the goal of a change may still be reached.
var ErrNotYet = errors.New("not yet")

// changeIn and changeOut are what the structs embed.
type changeIn interface{ wait() *int }

type changeOut[Out any] interface {
	*Out
	changed() *Changed
}

// Change makes the tool of a spec.
func Change[In changeIn, Out any, P changeOut[Out]](s ChangeSpec[In, Out]) Tool {
	t := Tool{
		Name: s.Name, Title: s.Title, Doc: s.Doc, Toolset: cmp.Or(s.Toolset, Core), Needs: s.Needs,
		Risk: max(s.Worst, guard.Write), Idempotent: s.Idempotent,
		Input: sync.OnceValue(inputSchema[In]), Output: sync.OnceValue(infer[Out]),
	}
	t.riskOf = func(arguments json.RawMessage) guard.Risk {
		var in In
		if err := decode(t.Input(), arguments, &in); err != nil {
			in = *new(In)
		}
		return s.risk(in)
	}
	t.run = func(ctx context.Context, h Host, req Request) Result {
		r := change[In, Out, P]{spec: s, host: h, req: req, tool: t}
		return r.result(r.run(ctx))
	}
	t.resume = func(ctx context.Context, b *Begun, wait time.Duration) Result {
		r := change[In, Out, P]{spec: s, host: b.host, req: b.req, tool: t, resumed: b}
		return r.result(r.resume(ctx, wait))
	}
	return t
}

// risk is that of a call by its input alone.
func (s ChangeSpec[In, Out]) risk(in In) guard.Risk {
	if s.Risk == nil {
		return guard.Write
	}
	return s.Risk(in)
}

// change is one call of a tool that changes something.
type change[In changeIn, Out any, P changeOut[Out]] struct {
	spec ChangeSpec[In, Out]
	tool Tool
	host Host
	req  Request

	in    In
	call  *Call
	plan  Plan
	given guard.Consent
	asks  *Question
	fault Fault

	begun       time.Time
	sealed      string // the handle, once there is a task
	resumed     *Begun // what is answered for, where this is not the call that sent it
	interrupted bool
	detached    bool
}

func (r *change[In, Out, P]) result(out Out) Result {
	res := success(out)
	res.Fault = r.fault
	res.Outcome = P(&out).changed().Outcome
	res.IsError = res.Outcome == Failed || res.Outcome == Unknown
	res.Question = r.asks
	res.Interrupted, res.Detached = r.interrupted, r.detached
	if res.Outcome == Running {
		res.Handle = r.sealed // as long as there is something to follow
	}
	return res
}

func (r *change[In, Out, P]) run(ctx context.Context) (out Out) {
	if err := decode(r.tool.Input(), r.req.Arguments, &r.in); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	risk := r.spec.risk(r.in)
	if reason := r.req.refusal(r.host.Policy, risk); reason != "" {
		return r.notSent(ctx, r.failed(ctx, &guard.RefusedError{Reason: reason}))
	}
	var err error
	if r.call, err = newCall(ctx, r.host, r.req); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	digest := digestOf(r.in)
	if r.plan, err = r.spec.Plan(ctx, r.call, &r.in); err != nil {
		return r.notSent(ctx, r.failed(ctx, err))
	}
	if r.plan.Already != "" {
		out, err := r.spec.Finish(ctx, r.call, r.in, End{})
		return r.finished(out, err, Changed{Outcome: OK, Message: r.plan.Already})
	}
	if r.plan.Destructive {
		risk = max(risk, guard.Destructive)
	}
	if reason := r.refused(ctx, risk); reason != "" {
		return r.notSent(ctx, r.failed(ctx, &guard.RefusedError{Reason: reason}))
	}
	var stopped *Out
	if r.given, stopped = r.consent(ctx, risk, digest); stopped != nil {
		return r.notSent(ctx, *stopped)
	}
	entry, err := r.host.Audit.Begin(ctx, r.record())
	if err != nil {
		return r.failed(ctx, explain.Refusal("See to the audit log (PVE_MCP_AUDIT_LOG), then call again.",
			"Nothing was sent, because it cannot be recorded: %v.", err))
	}
	r.host.Recent.begin(r.plan.Guest, r.host.Now())
	return r.recorded(ctx, entry, func() Out { return r.carryOut(ctx) })
}

// recorded records how something ends that is under way.
func (r *change[In, Out, P]) recorded(ctx context.Context, entry *audit.Entry, do func() Out) (out Out) {
	end := Changed{Outcome: Unknown} // where a bug ends it
	defer func() {
		if err := entry.End(ctx, string(end.Outcome), end.UPID); err != nil {
			P(&out).changed().Message += fmt.Sprintf(" This outcome is missing in the audit log: %v.", err)
		}
		if end.Outcome != Running && end.Outcome != Unknown {
			r.host.Recent.end(r.plan.Guest, r.host.Now())
		}
	}()
	out = do()
	end = *P(&out).changed()
	return out
}

// refused says why the call that is planned is not made: it is worse than its input told
// and than the caller may do, or the rules about guests forbid what a human would be asked
// about. The guard below the client knows the rules for every request; this asks nobody
// in vain.
func (r *change[In, Out, P]) refused(ctx context.Context, risk guard.Risk) string {
	if reason := r.req.refusal(r.host.Policy, risk); reason != "" {
		return reason
	}
	if risk < guard.Destructive || r.host.Guard == nil {
		return ""
	}
	return r.host.Guard.RefuseGuest(ctx, int(r.plan.Guest))
}

func confirmed(in any) bool {
	c, ok := in.(interface{ confirmed() bool })
	return ok && c.confirmed()
}

// carryOut sends the change and follows it as long as the call may wait.
func (r *change[In, Out, P]) carryOut(ctx context.Context) Out {
	if err := ctx.Err(); err != nil {
		return r.failed(ctx, err) // nothing was sent
	}
	r.begun = r.host.Now()
	job, stopped := r.send(ctx, r.spec.Start)
	if stopped != nil {
		return *stopped
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
func (r *change[In, Out, P]) see(ctx, patience context.Context, job Job) Out {
	end, stopped := r.follow(ctx, patience, job)
	if stopped != nil {
		return *stopped
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
			return r.halfDone(ctx, *stopped, ch)
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
		out, err := r.spec.Finish(ctx, r.call, r.in, end)
		if !errors.Is(err, ErrNotYet) {
			return r.finished(out, err, ch)
		}
		select {
		case <-patience.Done():
			*P(&out).changed() = r.notYet(ctx, *P(&out).changed(), job, err)
			return out
		case <-time.After(pause):
		}
	}
}

// send sends a step. stopped is the answer where the change ends with that.
func (r *change[In, Out, P]) send(ctx context.Context, step func(context.Context, *Call, *In) (Job, error)) (job Job, stopped *Out) {
	sent := r.host.Now()
	starting, done := late(r.given.Grant(ctx, r.plan.Target), answerTime)
	defer done()
	job, err := step(starting, r.call, &r.in)
	switch {
	case pve.OutcomeUnknown(err):
		out := r.lost(ctx, err, sent)
		return Job{}, &out
	case err != nil:
		out := r.failed(ctx, err)
		return Job{}, &out
	}
	return job, nil
}

// follow waits for the end of a task. stopped is the answer where the change ends with
// that.
func (r *change[In, Out, P]) follow(ctx, patience context.Context, job Job) (end End, stopped *Out) {
	if job.UPID.IsZero() {
		return End{}, nil
	}
	watch := r.call.Watch(r.plan.About)
	status, err := r.await(ctx, patience, job, watch)
	var out Out
	var refused *pve.Error
	gone := errors.As(err, &refused) && refused.NoSuchTask()
	over := err != nil && patience.Err() != nil && !gone
	switch {
	case over && r.resumed != nil && !status.Running():
		out = r.unseen(job, err)
	case over, err == nil && status.Running():
		out = r.running(job, watch.Says())
	case err != nil:
		out = r.lostSight(job, err)
	case !status.Succeeded():
		out = r.taskFailed(ctx, job, End{status})
	default:
		return End{status}, nil
	}
	return End{}, &out
}

// halfDone reports a change of which the first step is done, and the second is not.
func (r *change[In, Out, P]) halfDone(ctx context.Context, second Out, first Changed) Out {
	ch := *P(&second).changed()
	ch.Message = first.Message + " What comes after it: " + ch.Message
	out, err := r.spec.Finish(ctx, r.call, r.in, End{})
	if err != nil {
		out = *new(Out)
	}
	*P(&out).changed() = ch
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
