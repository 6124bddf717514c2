package tool

import (
	"context"
	"encoding/json"
	"math"
	"runtime/debug"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// handOver is how long a process that goes on with a change may not have seen its task,
	// and begin the second step all the same.
	handOver = 15 * time.Second
	// begunBy is how long after the end of the first step the second one may be begun by a
	// process that goes on with it.
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

// seal makes the handle of the change that has become a task.
func (r *change) seal(ctx context.Context, task proxmox.UPID) {
	ctx, done := late(ctx, answerTime) // a call that is cancelled needs it, too
	defer done()
	h := handle{
		Owner: r.req.Owner, Tool: r.tool.Name, In: encode(r.in), About: r.plan.About, Guest: r.plan.guest(), UPID: task,
		Starts: r.plan.Starts, Later: r.plan.Later, Follows: r.detachable() && r.goesOn(),
		Apart: int64(math.Floor(r.host.Now().Sub(task.Start).Seconds())),
	}
	if f, ok := any(r.in).(finds); ok {
		h.Found = encode(f.found())
	}
	keys, err := r.host.keys(ctx)
	if err == nil {
		r.sealed, err = keys.Seal(handlePurpose, h, r.host.Now().Add(HandleTime))
	}
	if err != nil { // the UPID does, for the task alone
		r.host.Logger.ErrorContext(ctx, "no handle", "tool", r.tool.Name, "error", err)
	}
}

// shownHandle is the handle for a model: where the change is more than a task.
func (r *change) shownHandle(task proxmox.UPID) string {
	if r.plan.Starts || pve.EndsEarly(task) {
		return r.sealed
	}
	return ""
}

// goesOn reports whether something is to be sent after the task.
func (r *change) goesOn() bool { return r.plan.Starts && r.steps.then != nil }

// detach answers at once for a task that was begun. What comes after the task is sent by
// this process, if it lives that long.
func (r *change) detach(ctx context.Context, job Job) output {
	if r.goesOn() {
		after := *r
		go after.goOn(context.WithoutCancel(ctx), job)
	}
	r.detached = true
	return r.running(job, "")
}

// goOn waits for the task of a change whose call was answered, and sends what comes after
// it. It does not where the task may have ended a while ago: whoever follows the change
// was told then that nothing comes any more.
func (r *change) goOn(ctx context.Context, job Job) {
	defer func() {
		if p := recover(); p != nil {
			r.host.Logger.ErrorContext(ctx, "panic", "tool", r.tool.Name, "cause", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, HandleTime)
	defer cancel()
	r.req.Progress = nil
	var err error
	if r.call, err = newCall(ctx, r.host, r.req); err != nil {
		r.host.Logger.WarnContext(ctx, "what comes after a task is not sent", "tool", r.tool.Name, "task", job.UPID.String(), "error", err)
		return
	}
	now := func() time.Time { return r.host.Now().Round(0) } // which goes on while a machine sleeps
	seen := now()
	status, err := r.call.PVE.Wait(ctx, job.UPID, func(proxmox.TaskUpdate) { seen = now() })
	away := now().Sub(seen) > handOver
	switch {
	case err != nil || away:
		r.host.Logger.WarnContext(ctx, "what comes after a task is not sent: its end was not seen in time", "tool", r.tool.Name, "task", job.UPID.String(), "error", err)
		return
	case !status.Succeeded():
		return
	}
	entry, err := r.host.Audit.Begin(ctx, r.record())
	if err != nil {
		r.host.Logger.ErrorContext(ctx, "not sent, because it cannot be recorded", "tool", r.tool.Name, "error", err)
		return
	}
	r.recorded(ctx, entry, func() output {
		next, stopped := r.send(ctx, r.steps.then)
		if stopped != nil {
			return stopped
		}
		return r.running(next, "")
	})
}

// resume answers for a change that was begun, as far as it is after a wait.
func (r *change) resume(ctx context.Context, wait time.Duration) output {
	b := r.resumed
	r.plan = Plan{Subject: policy.Guest(b.Guest), About: b.About, Starts: b.Starts, Later: b.Later}
	r.begun, r.sealed = b.Start(), b.Handle
	job := Job{UPID: b.UPID}
	if err := json.Unmarshal(b.In, r.in); err != nil {
		return r.lostSight(job, err)
	}
	if f, ok := any(r.in).(finds); ok && b.Found != nil {
		if err := json.Unmarshal(b.Found, f.found()); err != nil {
			return r.lostSight(job, err)
		}
	}
	var err error
	if r.call, err = newCall(ctx, r.host, r.req); err != nil {
		return r.unseen(job, err)
	}
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return r.see(ctx, patience, job)
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

// second returns the task in which the guest is started after the first one. stopped is
// the answer where there is none and the change ends with that.
func (r *change) second(ctx context.Context, first Job) (next Job, stopped output) {
	if r.resumed == nil && r.steps.then != nil {
		return r.send(ctx, r.steps.then)
	}
	upid, err := r.call.startedAfter(ctx, r.plan.guest(), first.UPID)
	if err != nil || !upid.IsZero() || r.steps.then == nil {
		return Job{UPID: upid}, nil // whether the guest runs is seen all the same
	}
	if r.resumed.Follows {
		if end, ok := r.call.EndOf(ctx, first.UPID); !ok || r.resumed.since(end) < begunBy {
			return Job{}, r.outcome(Changed{
				Outcome: Running, UPID: first.UPID.String(), Handle: r.sealed,
				Message: "the start is about to begin.", Next: "Follow it with pve_task_status: handle and wait.",
			})
		}
	}
	return Job{}, r.outcome(Changed{
		Outcome: Failed, UPID: first.UPID.String(), Next: r.plan.Later,
		Message: "the start was not begun, since the call that would have begun it did not see the end of the task.",
	})
}
