package change

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// sendSteps sends and follows the steps that are left, as long as the call may wait once the
// first is sent.
func (r *run) sendSteps(ctx context.Context) output {
	patience, cancel := ctx, context.CancelFunc(func() {})
	defer func() { cancel() }()
	for first := true; ; first = false {
		if out := r.awaitReady(ctx, patience); out != nil {
			return r.withStepsDone(ctx, out)
		}
		out := r.recordStep(ctx, func() output {
			job, stopped := r.sendNext(ctx)
			if stopped != nil || r.detached {
				return stopped
			}
			if first {
				patience, cancel = context.WithTimeout(ctx, r.patience())
			}
			return r.followSteps(ctx, patience, job)
		})
		if out != nil {
			return out
		}
	}
}

// patience is how long the call waits. A call of a fleet waits for its end, if it does not say
// how long, and the fleet's own call waits for those.
func (r *run) patience() time.Duration {
	wait := r.in.wait()
	switch {
	case r.whole == nil:
		return r.call.Patience(wait)
	case wait != nil:
		return time.Duration(*wait) * time.Second
	}
	return tool.HandleTime
}

// awaitReady waits until the step may be sent. The answer is nil if it may.
func (r *run) awaitReady(ctx, patience context.Context) output {
	s := r.steps[r.at]
	if s.ready == nil {
		return nil
	}
	for begun := r.host.Now(); ; {
		waitsFor, err := s.ready(proxmox.ReadAgain(ctx), r.call, r.state)
		if err != nil {
			waitsFor = r.call.Explain(err).What
		}
		waited := r.host.Now().Sub(begun)
		switch {
		case ctx.Err() != nil:
			return r.answerFailed(ctx, ctx.Err())
		case waitsFor == "":
			return nil
		case waited >= ReadyTime:
			return r.outputOf(Answer{
				Outcome: tool.Warnings, UPID: r.lastJob().UPID.String(), Next: s.rest,
				Message: fmt.Sprintf("%s was not begun: for %s it has waited for %s.", s.about, render.Duration(ReadyTime), waitsFor),
			})
		}
		r.call.Report(cluster.Progress{Message: s.about + " waits for " + waitsFor})
		select {
		case <-patience.Done():
			return r.answerWaiting(ctx, waitsFor)
		case <-time.After(2 * time.Second):
		}
	}
}

// sendNext sends the next step. stopped is the answer if the call ends with that.
func (r *run) sendNext(ctx context.Context) (job Job, stopped output) {
	if err := ctx.Err(); err != nil {
		return Job{}, r.withStepsDone(ctx, r.answerFailed(ctx, err)) // it was not sent
	}
	if job, stopped = r.sendStep(ctx, r.steps[r.at]); stopped != nil {
		return Job{}, r.withStepsDone(ctx, r.undoSteps(ctx, stopped))
	}
	if r.detachesNow() {
		return Job{}, r.detach(ctx, job)
	}
	return job, nil
}

// followSteps follows a step that was sent, and those after it that PVE does by itself. It
// returns nil if another one is to be sent.
func (r *run) followSteps(ctx, patience context.Context, job Job) (stopped output) {
	for {
		if stopped = r.completeStep(ctx, patience, job); stopped != nil {
			return r.withStepsDone(ctx, r.undoSteps(ctx, stopped))
		}
		switch {
		case r.at == len(r.steps):
			return r.awaitGoal(ctx, patience)
		case r.steps[r.at].send != nil:
			return nil
		}
		if job, stopped = r.findStep(ctx, patience); stopped != nil {
			return r.withStepsDone(ctx, stopped)
		}
	}
}

// completeStep follows a step to its end, and goes on to the next one if it has succeeded.
func (r *run) completeStep(ctx, patience context.Context, job Job) (stopped output) {
	end, stopped := r.followTask(ctx, patience, job)
	if stopped != nil {
		return stopped
	}
	if !job.UPID.IsZero() {
		r.last = end
	}
	r.ends = append(r.ends, r.stepDone(ctx, job, end))
	if r.at++; r.at < len(r.steps) && r.steps[r.at].send != nil {
		r.call.ForgetGuest(r.steps[r.at].guest) // it may be elsewhere now
	}
	return nil
}

// mainStep returns the index of the step that the whole is for.
func (r *run) mainStep() int {
	for i, s := range r.steps {
		if s.about == r.plan.About {
			return i
		}
	}
	return 0
}

// awaitGoal looks whether the goal of the change is reached, as long as patience lasts, and no
// longer than PVE may need for it after the end of its task.
func (r *run) awaitGoal(ctx, patience context.Context) output {
	a := r.ends[r.mainStep()]
	for _, other := range r.ends {
		if other.Outcome == tool.Warnings && a.Outcome == tool.OK {
			a.Outcome, a.Message, a.ExitStatus, a.Log = tool.Warnings, other.Message, other.ExitStatus, other.Log
		}
	}
	job := r.jobs[r.mainStep()]
	if !job.UPID.IsZero() { // its goal may never be reached
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(patience, goalTime)
		defer cancel()
	}
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		r.reportSeen()
		out, err := r.spec.finish(ctx, r.call, r.state, r.last)
		if !errors.Is(err, ErrNotYet) {
			return r.answerFinished(out, err, a)
		}
		select {
		case <-patience.Done():
			*out.answer() = r.goalNotReached(ctx, *out.answer(), job, err)
			return out
		case <-time.After(pause):
		}
	}
}

// sendStep sends a step. stopped is the answer if the change ends with that.
func (r *run) sendStep(ctx context.Context, s step) (job Job, stopped output) {
	if err := r.claimStep(ctx); err != nil {
		r.isAnothers = true
		return Job{}, r.answerFailed(ctx, err)
	}
	sent := r.host.Now()
	if r.at > 0 {
		ctx = proxmox.ReadOnce(ctx) // what was read before an earlier step does not count
	}
	consent := r.consent
	if s.tidies {
		consent = r.takeAway
	}
	starting, done := outlive(consent.Grant(ctx, s.target), answerTime)
	defer done()
	job, err := s.send(starting, r.call, r.state)
	switch {
	case proxmox.OutcomeUnknown(err):
		return Job{}, r.answerUnknown(ctx, err, sent)
	case err != nil:
		return Job{}, r.answerFailed(ctx, err)
	}
	r.jobs = append(r.jobs, job)
	r.steps = r.spec.steps(r.plan, r.state)
	if r.whole == nil && (!job.UPID.IsZero() || len(r.steps) > 1) {
		r.sealHandle(ctx)
	}
	return job, nil
}

// claimStep takes the right to send a later step, or the first one of a plan, which one process
// has, and once. If several may go on with the change, the store of answers that were used
// decides.
func (r *run) claimStep(ctx context.Context) error {
	if r.at == 0 && r.sealedPlan == nil && r.whole == nil {
		return nil
	}
	first, err := r.host.Used.Claim(ctx, stepID(r.id, r.at), r.host.Now(), r.claimedUntil())
	switch {
	case err != nil:
		return explain.Refusal("See to that store, then look at what was done.", "It is unknown whether another process takes this step, because PVE_MCP_CONSENT_STORE does not answer: %v. It was not sent.", err)
	case !first && r.at == 0 && r.whole != nil:
		return explain.Refusal("pve_list_tasks shows what was done.", "The change was stopped before this guest, or another process sees to it; nothing was sent.")
	case !first && r.at == 0:
		return explain.Refusal("Look whether it was done. If it was not: make a new plan with plan: true.", "The plan was used already; nothing was sent.")
	case !first:
		return explain.Refusal("Look whether it was done. If it was not: "+cmp.Or(r.steps[r.at].rest, "make the call anew."),
			"Another call or process has taken this step; it was not sent again.")
	}
	return nil
}

// claimedUntil returns a time, the same for all who may come to the step, after which nobody
// does: each step makes a handle, which opens for so long, and there is one to spare.
func (r *run) claimedUntil() time.Time {
	begun := r.started.Unix()
	switch {
	case r.whole != nil:
		begun = r.whole.started.Unix()
	case r.at == 0 && r.sealedPlan != nil:
		begun = r.sealedPlan.At
	}
	return time.Unix(begun, 0).Add(time.Duration(r.at+2) * tool.HandleTime)
}

// followTask waits for the end of a task. stopped is the answer if the change ends with that.
func (r *run) followTask(ctx, patience context.Context, job Job) (end End, stopped output) {
	if job.UPID.IsZero() {
		return End{}, nil
	}
	watch := r.call.WatchTask(r.steps[r.at].about)
	status, err := r.awaitTask(ctx, patience, job, watch)
	var out output
	var refusal *proxmox.Error
	gone := errors.As(err, &refusal) && refusal.NoSuchTask()
	over := err != nil && patience.Err() != nil && !gone
	var unseen *proxmox.UnseenError
	missed := errors.As(err, &unseen)
	switch {
	case over && !status.Running() && (r.resumed != nil || missed):
		out = r.answerCannotLook(job, err)
	case over && missed:
		out = r.answerRunning(ctx, job, watch.Summary())
		out.answer().Message += " It could not be looked at last: " + r.call.Explain(unseen.Look).What
	case over, err == nil && status.Running():
		out = r.answerRunning(ctx, job, watch.Summary())
	case err != nil:
		out = r.answerCannotFollow(job, err)
	case !status.Succeeded():
		out = r.answerTaskFailed(ctx, job, End{status})
	default:
		return End{status}, nil
	}
	return End{}, out
}

// withStepsDone adds to the answer what was done before the step with which the change has
// stopped.
func (r *run) withStepsDone(ctx context.Context, stopped output) output {
	if len(r.ends) == 0 {
		return stopped
	}
	a := *stopped.answer()
	before := ""
	for _, done := range r.ends {
		before += done.Message + " "
	}
	a.Message = before + "What comes after it: " + a.Message
	if rest := r.steps[r.at].rest; a.Next == "" && a.Outcome != tool.Running {
		a.Next = rest
	}
	out, err := r.spec.finish(ctx, r.call, r.state, End{})
	if err != nil {
		out = r.spec.output()
	}
	*out.answer() = a
	return out
}

// undoTime is how long taking back may take after the end of the call.
const undoTime = 2 * time.Minute

// answerTime is how long PVE has to answer a write whose caller has cancelled it, so that its
// outcome is known.
const answerTime = 3 * time.Second

// outlive returns a context that ends some time after another one.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return out, func() { stop(); cancel() }
}
