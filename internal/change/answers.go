package change

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// stepDone reports a step that PVE has carried out.
func (r *run) stepDone(ctx context.Context, job Job, end End) Answer {
	about := r.steps[r.at].about
	a := Answer{Outcome: tool.OK, Message: cmp.Or(r.steps[r.at].taken, about+": done."), UPID: job.UPID.String()}
	if job.Warning != "" {
		a.Outcome, a.Message = tool.Warnings, fmt.Sprintf("%s: done, with a warning: %s", about, job.Warning)
	}
	if n := end.Status.Warnings(); n > 0 {
		a.Outcome, a.ExitStatus = tool.Warnings, end.Status.ExitStatus.Value
		a.Message = fmt.Sprintf("%s: done, with warnings (%d).", about, n)
		_, a.Log = r.call.TaskReason(ctx, job.UPID, end.Status, maxReasonLines)
	}
	if a.Outcome == tool.OK {
		if left := r.call.LinesLeftUndone(ctx, job.UPID); left != nil {
			a.Outcome, a.Log = tool.Warnings, left
			a.Message = fmt.Sprintf("%s: done, and something was left undone: %s", about, left[0])
		}
	}
	return a
}

// answerTaskFailed reports why a task failed and what is true after it.
func (r *run) answerTaskFailed(ctx context.Context, job Job, end End) output {
	reason, log := r.call.TaskReason(ctx, job.UPID, end.Status, maxReasonLines)
	r.interrupted = interruptedRE.MatchString(reason)
	a := Answer{
		Outcome: tool.Failed, Message: r.steps[r.at].about + " failed: " + reason, UPID: job.UPID.String(), Log: log,
		ExitStatus: render.Said(end.Status.ExitStatus.Or("unexpected status"), 600),
	}
	a.Next = r.call.NextAfterFailure(ctx, r.plan.guest(), job.UPID.Node, reason)
	out, err := r.spec.finish(ctx, r.call, r.state, end)
	if err != nil {
		out = r.spec.output()
	}
	if seen := out.answer(); seen.Outcome == tool.Warnings {
		a.Outcome, a.Message, a.Next = tool.Warnings, seen.Message, seen.Next
	}
	*out.answer() = a
	return out
}

// interruptedRE matches the reason of a task that somebody has stopped.
var interruptedRE = lazyregexp.New(`(?:interrupted by signal|received interrupt)$`)

// answerRunning reports a change that goes on after the call.
func (r *run) answerRunning(ctx context.Context, job Job, far string) output {
	if r.resumed == nil && (r.hasStepsToSend() || r.hasMade()) && r.outlivesCall() {
		r.continueInBackground(ctx)
	}
	a := Answer{
		Outcome: tool.Running, UPID: job.UPID.String(), Handle: r.handleFor(job.UPID),
		Message: fmt.Sprintf("%s is under way after %s.", r.steps[r.at].about, render.Duration(r.host.Now().Sub(r.started).Round(time.Second))),
		Next:    "It goes on by itself. Follow it with pve_task_status: upid and wait.",
	}
	if a.Handle != "" {
		a.Next = "It goes on by itself. Follow it with pve_task_status: handle and wait."
	}
	if far != "" {
		a.Message += " So far: " + far
	}
	follows := r.inBackground || r.resumed != nil && r.resumed.Follows
	for _, s := range r.steps[r.at+1:] {
		if s.rest != "" && !follows {
			a.Next += " " + s.rest
			break
		}
	}
	if r.plan.Later != "" {
		a.Next += " " + r.plan.Later
	}
	return r.outputOf(a)
}

// answerWaiting reports a change whose next step waits for something, after the end of the call.
func (r *run) answerWaiting(ctx context.Context, waitsFor string) output {
	if r.resumed == nil && r.outlivesCall() {
		r.continueInBackground(ctx)
	}
	s := r.steps[r.at]
	a := Answer{
		Outcome: tool.Running, UPID: r.lastJob().UPID.String(), Handle: r.handle,
		Message: fmt.Sprintf("%s waits for %s.", s.about, waitsFor),
		Next:    "It goes on by itself. Follow it with pve_task_status: handle and wait.",
	}
	if !r.inBackground && (r.resumed == nil || !r.resumed.Follows) {
		a.Next = s.rest
	}
	return r.outputOf(a)
}

// answerCannotLook reports a change that was begun, and could not be looked at this time.
func (r *run) answerCannotLook(job Job, err error) output {
	why := r.host.Explain.Explain(lookOf(err)).What
	return r.outputOf(Answer{
		Outcome: tool.Running, UPID: job.UPID.String(), Handle: r.handleFor(job.UPID),
		Message: fmt.Sprintf("%s was begun, and how far it is cannot be seen now. %s", r.plan.About, why),
		Next:    "Look again later with pve_task_status.",
	})
}

// lookOf returns why the last look at a task failed, if that is known.
func lookOf(err error) error {
	var unseen *proxmox.UnseenError
	if errors.As(err, &unseen) {
		return unseen.Look
	}
	return err
}

// goalNotReached reports a change whose task has ended before its goal is reached, or before
// that could be seen, in the tool's own words if it has some.
func (r *run) goalNotReached(ctx context.Context, seen Answer, job Job, err error) Answer {
	if r.overdue(ctx, job.UPID) {
		r.handle = ""
	}
	a := Answer{
		Outcome: tool.Running, UPID: job.UPID.String(), Handle: r.handleFor(job.UPID),
		Message: r.plan.About + ": PVE accepted it, and the guest has not reached that state yet.",
		Next:    "It goes on by itself, though its task has ended; look again with pve_guest_status.",
	}
	switch {
	case err != ErrNotYet:
		a.Message = r.plan.About + ": PVE accepted it, and whether it is done cannot be seen. " + r.host.Explain.Explain(err).What
	case seen.Message != "":
		a.Message, a.Next = seen.Message, seen.Next
	}
	return a
}

// answerCannotFollow reports a task that was begun and cannot be followed.
func (r *run) answerCannotFollow(job Job, err error) output {
	e := r.host.Explain.Explain(err)
	return r.outputOf(Answer{
		Outcome: tool.Unknown, UPID: job.UPID.String(), Next: "Look with pve_task_status at how the task ends.",
		Message: fmt.Sprintf("%s was started, and its progress cannot be read: %s", r.plan.About, e.What),
	})
}

// answerFinished reports a change that is over. It keeps the outcome if only the last look at
// the state failed.
func (r *run) answerFinished(out output, err error, a Answer) output {
	seen := out.answer()
	switch {
	case err != nil:
		out = r.spec.output()
		a.Message += " The current state could not be read: " + r.host.Explain.Explain(err).What
	case seen.outweighs(a):
		a.Outcome, a.Message, a.Next = seen.Outcome, seen.Message, seen.Next
	case seen.Message != "" && a.Outcome == tool.OK:
		a.Message, a.Next = seen.Message, seen.Next
	}
	*out.answer() = a
	return out
}

// answerFailed reports a change that was not made.
func (r *run) answerFailed(ctx context.Context, err error) output {
	e := r.host.Explain.Explain(err)
	if r.call != nil {
		e = r.call.ExplainRefusal(ctx, r.plan.guest(), err)
	}
	r.fault = tool.FaultOf(err)
	return r.outputOf(Answer{Outcome: tool.Failed, Message: e.What, Next: e.Next})
}

// lookTime bounds the look at what became of a change whose outcome is unknown.
const lookTime = 10 * time.Second

// answerUnknown reports a change that was sent at a time and not answered, and what can be
// seen of it.
func (r *run) answerUnknown(ctx context.Context, err error, sent time.Time) output {
	e := r.host.Explain.Explain(err)
	a := Answer{Outcome: tool.Unknown, Message: e.What, Next: e.Next}
	if r.plan.guest() != 0 {
		looking, done := context.WithTimeout(ctx, lookTime)
		defer done()
		a.Found = append([]string{"sent at " + render.Time(sent) + " by this machine's clock"}, r.call.StateAndTasks(looking, r.plan.guest())...)
	}
	return r.outputOf(a)
}

// outputOf returns an output that has an answer, and nothing else.
func (r *run) outputOf(a Answer) output {
	out := r.spec.output()
	*out.answer() = a
	return out
}

// maxReasonLines is how many lines of a log are shown that give the reason.
const maxReasonLines = 5
