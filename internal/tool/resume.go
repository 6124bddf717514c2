package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

const (
	// handOver is how long a process that goes on with a change may not have seen its task,
	// and begin the next step all the same.
	handOver = 15 * time.Second
	// begunBy is how long after the end of a step the next one may be begun by a process that
	// goes on with the change.
	begunBy = 2 * handOver
	// goalTime is how long after the end of its task a change is followed that has not
	// reached its goal.
	goalTime = 10 * time.Minute
)

// detaches reports whether the call ends now that the task was begun, since its caller
// follows the change.
func (r *change) detaches() bool { return r.sealed != "" && r.detachable() }

func (r *change) detachable() bool {
	wait := r.in.wait()
	return r.req.Detach && (wait == nil || *wait > 0)
}

// goesOn reports whether something is to be sent after the step that is taken.
func (r *change) goesOn() bool {
	return slices.ContainsFunc(r.steps[min(r.at+1, len(r.steps)):], func(s step) bool { return s.send != nil })
}

// stays reports whether this process takes the steps that are left after the end of the call.
func (r *change) stays() bool { return r.detachable() || r.host.Stays }

// detach answers at once for a task that was begun. What comes after the task is sent by
// this process, if it lives that long.
func (r *change) detach(ctx context.Context, job Job) output {
	r.detached = true
	return r.running(ctx, job, "")
}

// leave has another goroutine take the steps that are left, after the end of the call.
func (r *change) leave(ctx context.Context) {
	if r.alone {
		return
	}
	r.alone = true
	rest := *r
	go rest.takeRest(context.WithoutCancel(ctx))
}

// takeRest waits for the task of a change whose call was answered, and takes the steps that
// are left. It does not where the task may have ended a while ago: whoever follows the change
// was told then that nothing comes any more.
func (r *change) takeRest(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			r.host.Logger.ErrorContext(ctx, "panic", "tool", r.tool.Name, "cause", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, HandleTime)
	defer cancel()
	r.req.Progress = nil
	r.jobs, r.ends = slices.Clone(r.jobs), slices.Clone(r.ends)
	for job := r.jobs[r.at]; ; job = r.jobs[r.at] {
		var err error
		if r.call, err = newCall(ctx, r.host, r.req); err == nil {
			err = r.waitFor(ctx, job)
		}
		if err != nil {
			r.host.Logger.WarnContext(ctx, "what comes after a task is not sent", "tool", r.tool.Name, "task", job.UPID.String(), "error", err)
			return
		}
		for r.at++; r.at < len(r.steps) && r.steps[r.at].send == nil; r.at++ {
			r.jobs = append(r.jobs, Job{}) // PVE's own business
		}
		if r.at == len(r.steps) {
			return
		}
		out := r.recorded(ctx, func() output {
			next, stopped := r.send(ctx, r.steps[r.at])
			if stopped != nil {
				return stopped
			}
			return r.outcome(Changed{Outcome: Running, UPID: next.UPID.String()})
		})
		if out.changed().Outcome != Running {
			r.host.Logger.WarnContext(ctx, "a change has stopped", "tool", r.tool.Name, "step", r.steps[r.at].about, "outcome", string(out.changed().Outcome), "reason", out.changed().Message)
			return
		}
		if !r.goesOn() {
			return
		}
	}
}

// waitFor waits for the end of a task after which more is sent. An error says why it is not.
func (r *change) waitFor(ctx context.Context, job Job) error {
	if job.UPID.IsZero() {
		return nil
	}
	now := func() time.Time { return r.host.Now().Round(0) } // which goes on while a machine sleeps
	seen := now()
	status, err := r.call.PVE.Wait(ctx, job.UPID, func(proxmox.TaskUpdate) { seen = now() })
	switch {
	case err != nil:
		return err
	case now().Sub(seen) > handOver:
		return fmt.Errorf("its end was not seen in time")
	case !status.Succeeded():
		return fmt.Errorf("it has failed")
	}
	return nil
}

// resume answers for a change that was begun, as far as it is after a wait. It sends nothing.
func (r *change) resume(ctx context.Context, wait time.Duration) output {
	if out := r.restore(ctx); out != nil {
		return out
	}
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if stopped := r.replay(ctx, patience); stopped != nil {
		return r.partly(ctx, stopped)
	}
	return r.reach(ctx, patience)
}

// restore sets the change up as its handle has it. The answer is one where it cannot.
func (r *change) restore(ctx context.Context) output {
	b := r.resumed
	r.plan = Plan{Subject: b.Subject, About: b.About, Later: b.Later}
	r.begun, r.sealed, r.id, r.state = b.Start(), b.Handle, b.ID, r.spec.state()
	first := Job{UPID: b.Task()}
	if err := json.Unmarshal(b.State, r.state); err != nil {
		return r.lostSight(first, err)
	}
	r.steps = r.spec.steps(r.plan, r.state)
	var err error
	if r.call, err = newCall(ctx, r.host, r.req); err != nil {
		return r.unseen(first, err)
	}
	return nil
}

// replay follows the steps that were taken, to the end of the last one. stopped is the answer
// where the change has not come that far.
func (r *change) replay(ctx, patience context.Context) (stopped output) {
	for r.at < len(r.steps) {
		job, stopped := r.find(ctx, patience)
		if stopped == nil {
			stopped = r.end(ctx, patience, job)
		}
		if stopped != nil {
			return stopped
		}
	}
	return nil
}

// find finds the task of a step that this call has not sent: one without a task where it is
// done without, or where PVE has not begun it by itself. stopped is the answer where the step
// was not taken, and the change ends with that.
func (r *change) find(ctx, patience context.Context) (job Job, stopped output) {
	if r.resumed != nil && r.at <= r.resumed.Step {
		job = Job{UPID: r.resumed.Tasks[r.at]}
		r.jobs = append(r.jobs, job)
		return job, nil
	}
	for {
		job, begun, err := r.seek(ctx)
		if err != nil {
			return job, r.unseen(r.lastJob(), err)
		}
		if begun {
			r.jobs = append(r.jobs, job)
			return job, nil
		}
		if !r.resumed.Follows || r.quiet(ctx) {
			return job, r.notBegun()
		}
		select {
		case <-patience.Done():
			return job, r.outcome(Changed{
				Outcome: Running, UPID: r.lastJob().UPID.String(), Handle: r.sealed,
				Message: r.steps[r.at].about + " is about to begin.", Next: "Follow it with pve_task_status: handle and wait.",
			})
		case <-time.After(time.Second):
		}
	}
}

// seek looks in PVE whether a step was begun. An error of the list of tasks is no reason to
// stop where PVE does the step by itself: whether its goal is reached is seen all the same.
func (r *change) seek(ctx context.Context) (job Job, begun bool, err error) {
	s := r.steps[r.at]
	job.UPID, err = r.call.taskOf(ctx, s, r.tasks(), r.begun)
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

// notBegun answers for a change that has stopped before a step.
func (r *change) notBegun() output {
	r.stoppedHere = true
	s := r.steps[r.at]
	next := s.rest
	if _, ok := r.in.(planner); ok && s.target.Method == "" {
		next += fmt.Sprintf(" Or take all steps that are left: %s with this handle as plan_handle.", r.tool.Name)
	}
	return r.outcome(Changed{
		Outcome: Failed, UPID: r.lastJob().UPID.String(), Next: next,
		Message: s.about + " was not begun, since the call that would have begun it did not see the end of the task.",
	})
}

// quiet reports whether the step before ended so long ago that no process goes on any more.
func (r *change) quiet(ctx context.Context) bool {
	last := r.lastJob().UPID
	if last.IsZero() {
		return r.host.Now().Sub(r.begun) > begunBy
	}
	end, ok := r.call.EndOf(ctx, last)
	return ok && r.resumed.since(end) >= begunBy
}

// lastJob is the last one that has a task.
func (r *change) lastJob() Job {
	if known := r.tasks(); len(known) > 0 {
		return Job{UPID: known[len(known)-1]}
	}
	return Job{}
}

// tasks are those that are known of the steps that were begun.
func (r *change) tasks() []proxmox.UPID {
	var out []proxmox.UPID
	for _, j := range r.jobs {
		if !j.UPID.IsZero() {
			out = append(out, j.UPID)
		}
	}
	return out
}

// goOn takes the steps of a change that are left, where no other process does. A step that
// needs consent is not among them, since what was agreed to may be another thing by now.
func (r *change) goOn(ctx context.Context, b *Begun) output {
	r.resumed = b
	if out := r.restore(ctx); out != nil {
		return r.notSent(ctx, out)
	}
	if reason := r.req.refusal(r.host.Policy, policy.Write); reason != "" {
		return r.notSent(ctx, r.failed(ctx, &policy.RefusedError{Reason: reason}))
	}
	patience, cancel := context.WithTimeout(ctx, r.call.Patience(r.in.wait()))
	defer cancel()
	stopped := r.replay(ctx, patience)
	switch {
	case stopped == nil:
		return r.reach(ctx, patience)
	case !r.stoppedHere || r.steps[r.at].target.Method != "":
		return r.partly(ctx, stopped)
	}
	r.resumed = nil
	return r.proceed(ctx)
}

// await waits for the end of a task, or looks at it once where there is no time for that
// and it was not this call that began it.
func (r *change) await(ctx, patience context.Context, job Job, watch *Watcher) (proxmox.TaskStatus, error) {
	if r.resumed == nil || patience.Err() == nil {
		status, err := r.call.PVE.Wait(patience, job.UPID, watch.See)
		if err == nil {
			r.call.Ended(job.UPID)
		}
		return status, err
	}
	status, err := r.call.PVE.TaskStatus(ctx, job.UPID)
	switch {
	case err != nil:
	case !status.Running():
		r.call.Ended(job.UPID)
	default:
		if lines, _, err := r.call.PVE.TaskLogEnds(ctx, job.UPID, LogEnds); err == nil {
			watch.Read(lines)
		}
	}
	return status, err
}

// overdue reports whether a change that is answered for has not reached its goal for so
// long that it is followed no more.
func (r *change) overdue(ctx context.Context, task proxmox.UPID) bool {
	if r.resumed == nil {
		return false
	}
	end, ok := r.call.EndOf(ctx, task)
	return !ok || r.resumed.since(end) > goalTime
}
