package change

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// respondLater answers for a change that was begun, as far as it has come after a wait. It
// sends nothing.
func (r *run) respondLater(ctx context.Context, wait time.Duration) output {
	if out := r.restore(ctx); out != nil {
		return out
	}
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if r.plan.Fleet != nil {
		return r.fleetLater(ctx, patience)
	}
	if stopped := r.replaySteps(ctx, patience); stopped != nil {
		return r.withStepsDone(ctx, r.withUndoSeen(ctx, stopped))
	}
	return r.awaitGoal(ctx, patience)
}

// restore sets the change up from its handle. It returns the answer if it cannot.
func (r *run) restore(ctx context.Context) output {
	h := r.resumed
	r.plan = Plan{Subject: h.Subject, About: h.About, Later: h.Later}
	r.started, r.handle, r.id, r.state = h.Start(), h.Text, h.ID, r.spec.state()
	first := Job{UPID: h.Task()}
	if err := json.Unmarshal(h.State, r.state); err != nil {
		return r.answerCannotFollow(first, err)
	}
	var err error
	if r.call, err = tool.NewCall(ctx, r.host, r.req); err != nil {
		return r.answerCannotLook(first, err)
	}
	r.call.SetID(r.id)
	if h.Fleet != nil {
		return r.restoreFleet(ctx)
	}
	r.steps = r.spec.steps(r.plan, r.state)
	return nil
}

// replaySteps follows the steps that were taken, to the end of the last one. stopped is the
// answer if the change has not come that far.
func (r *run) replaySteps(ctx, patience context.Context) (stopped output) {
	for r.at < len(r.steps) {
		job, stopped := r.findStep(ctx, patience)
		if stopped == nil {
			stopped = r.completeStep(ctx, patience, job)
		}
		if stopped != nil {
			return stopped
		}
	}
	return nil
}

// findStep finds the task of a step that this call has not sent. The job has no task if the
// step needs none, or if PVE has not begun it by itself. stopped is the answer if the step was
// not taken, and the change ends with that.
func (r *run) findStep(ctx, patience context.Context) (job Job, stopped output) {
	if r.resumed != nil && r.at <= r.resumed.Step {
		job = Job{UPID: r.resumed.Tasks[r.at]}
		r.jobs = append(r.jobs, job)
		return job, nil
	}
	for {
		job, begun, err := r.lookUpStep(ctx)
		if err != nil {
			return job, r.answerCannotLook(r.lastJob(), err)
		}
		if begun {
			r.jobs = append(r.jobs, job)
			return job, nil
		}
		if how, known := r.call.StoppedStep(stepID(r.id, r.at)); known {
			return job, r.answerStopped(how)
		}
		if !r.resumed.Follows || r.isAbandoned(ctx) {
			return job, r.answerNotBegun()
		}
		select {
		case <-patience.Done():
			return job, r.answerToCome(ctx)
		case <-time.After(time.Second):
		}
	}
}

// answerToCome answers for a change whose next step another call is about to take.
func (r *run) answerToCome(ctx context.Context) output {
	if ready := r.steps[r.at].ready; ready != nil {
		if waitsFor, err := ready(ctx, r.call, r.state); err == nil && waitsFor != "" {
			return r.answerWaiting(ctx, waitsFor)
		}
	}
	return r.outputOf(Answer{
		Outcome: tool.Running, UPID: r.lastJob().UPID.String(), Handle: r.handle,
		Message: r.steps[r.at].about + " is about to begin.", Next: "Follow it with pve_task_status: handle and wait.",
	})
}

// lookUpStep looks in PVE whether a step was begun. If PVE does the step by itself, an error of
// the list of tasks is no reason to stop: whether the goal is reached is seen all the same.
func (r *run) lookUpStep(ctx context.Context) (job Job, begun bool, err error) {
	if find := r.steps[r.at].find; find != nil {
		mayBeMine, err := find(proxmox.ReadAgain(ctx), r.call, r.state)
		if err != nil || !mayBeMine {
			return job, false, err
		}
		r.steps = r.spec.steps(r.plan, r.state)
	}
	s := r.steps[r.at]
	if s.guest != 0 && s.task != "" {
		job.UPID, err = r.call.FindTask(ctx, s.guest, s.task, r.tasks(), r.started)
	}
	switch {
	case s.send == nil:
		return job, true, nil
	case err != nil || !job.UPID.IsZero():
		return job, err == nil, err
	case s.done == nil:
		return job, false, nil
	}
	begun, err = s.done(ctx, r.call, r.state)
	return job, begun, err
}

// answerNotBegun answers for a change that has stopped before a step.
func (r *run) answerNotBegun() output {
	r.nextNotSent = true
	s := r.steps[r.at]
	next := s.rest
	if _, ok := r.in.(planner); ok && !s.needsConsent() {
		next += fmt.Sprintf(" Or take all steps that are left: %s with this handle as plan_handle.", r.tool.Name)
	}
	a := Answer{
		Outcome: tool.Failed, UPID: r.lastJob().UPID.String(), Next: next,
		Message: s.about + " was not begun, since the call that would have begun it did not see the end of the task.",
	}
	if s.tidies {
		a.Outcome = tool.Warnings
	}
	if s.ready != nil {
		a.Outcome, a.Message = tool.Warnings, s.about+" was not begun: what it waits for has not come in time, or the process that waited has ended."
	}
	return r.outputOf(a)
}

// answerStopped answers for a change that this process has stopped at a step, after its call.
func (r *run) answerStopped(how cluster.StoppedStep) output {
	if tool.Outcome(how.Outcome) == tool.Warnings { // what it waits for has not come
		out := r.answerNotBegun()
		out.answer().Message = how.Message
		return out
	}
	return r.outputOf(Answer{
		Outcome: tool.Outcome(how.Outcome), UPID: r.lastJob().UPID.String(), Next: strings.TrimSpace(how.Next + " " + r.steps[r.at].rest),
		Message: r.steps[r.at].about + ": " + strings.TrimPrefix(how.Message, r.steps[r.at].about+": "),
	})
}

// isAbandoned reports whether the step before ended so long ago that no process sends the next
// one.
func (r *run) isAbandoned(ctx context.Context) bool {
	last, within := r.lastJob().UPID, sentWithin
	for i := r.at; i >= 0 && (i == r.at || r.jobs[i].UPID.IsZero()); i-- { // since that task
		if r.steps[i].ready != nil {
			within += ReadyTime
		}
	}
	if last.IsZero() {
		return r.host.Now().Sub(r.started) > within
	}
	end, ok := r.call.TaskEnd(ctx, last)
	return ok && r.resumed.since(end) >= within
}

// lastJob returns the last job that has a task.
func (r *run) lastJob() Job {
	if known := r.tasks(); len(known) > 0 {
		return Job{UPID: known[len(known)-1]}
	}
	return Job{}
}

// tasks returns the tasks that are known of the steps that were begun.
func (r *run) tasks() []proxmox.UPID {
	var out []proxmox.UPID
	for _, j := range r.jobs {
		if !j.UPID.IsZero() {
			out = append(out, j.UPID)
		}
	}
	return out
}

// takeStepsLeft takes the steps of a change that are left, if no other process does. It does
// not take a step that needs consent, since the subject may have changed since it was given.
func (r *run) takeStepsLeft(ctx context.Context, h *Handle) output {
	r.resumed = h
	if out := r.restore(ctx); out != nil {
		return r.recordNotSent(ctx, out)
	}
	if reason := r.req.Refusal(r.host.Policy, policy.Write); reason != "" {
		return r.recordNotSent(ctx, r.answerFailed(ctx, &policy.RefusedError{Reason: reason}))
	}
	if r.plan.Fleet != nil {
		return r.takePartsLeft(ctx)
	}
	patience, cancel := context.WithTimeout(ctx, r.call.Patience(r.in.wait()))
	defer cancel()
	stopped := r.replaySteps(ctx, patience)
	switch {
	case stopped == nil:
		return r.awaitGoal(ctx, patience)
	case !r.nextNotSent || r.steps[r.at].needsConsent():
		return r.withStepsDone(ctx, stopped)
	}
	r.resumed = nil
	_, r.takeAway = r.host.Policy.Decide(policy.Ask{Risk: policy.Write})
	return r.sendSteps(ctx)
}

// awaitTask waits for the end of a task. If there is no time for that, and another call has
// begun the task, it looks at it once.
func (r *run) awaitTask(ctx, patience context.Context, job Job, watch *cluster.TaskWatch) (proxmox.TaskStatus, error) {
	if r.resumed == nil || patience.Err() == nil {
		status, err := r.call.PVE.Wait(patience, job.UPID, func(u proxmox.TaskUpdate) {
			r.reportSeen()
			watch.Update(u)
		})
		if err == nil {
			r.call.NoteTaskEnd(job.UPID)
		}
		return status, err
	}
	status, err := r.call.PVE.TaskStatus(ctx, job.UPID)
	switch {
	case err != nil:
	case !status.Running():
		r.call.NoteTaskEnd(job.UPID)
	default:
		if lines, _, err := r.call.PVE.TaskLogEnds(ctx, job.UPID, cluster.LogEnds); err == nil {
			watch.ReadLog(lines)
		}
	}
	return status, err
}

// overdue reports whether a change that another call has begun has not reached its goal for so
// long that it is followed no more. One without a task says itself when that is.
func (r *run) overdue(ctx context.Context, task proxmox.UPID) bool {
	if r.resumed == nil || task.IsZero() {
		return false
	}
	end, ok := r.call.TaskEnd(ctx, task)
	return !ok || r.resumed.since(end) > goalTime
}
