package tool

import (
	"context"
	"errors"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// proceed takes the steps that are left, as long as the call may wait once the first is sent.
func (r *change) proceed(ctx context.Context) output {
	patience, cancel := ctx, context.CancelFunc(func() {})
	defer func() { cancel() }()
	for first := true; ; first = false {
		out := r.recorded(ctx, func() output {
			job, stopped := r.submit(ctx)
			if stopped != nil || r.detached {
				return stopped
			}
			if first {
				patience, cancel = context.WithTimeout(ctx, r.call.Patience(r.in.wait()))
			}
			return r.take(ctx, patience, job)
		})
		if out != nil {
			return out
		}
	}
}

// submit sends the next step. stopped is the answer where the call ends with that.
func (r *change) submit(ctx context.Context) (job Job, stopped output) {
	if err := ctx.Err(); err != nil {
		return Job{}, r.partly(ctx, r.failed(ctx, err)) // it was not sent
	}
	if job, stopped = r.send(ctx, r.steps[r.at]); stopped != nil {
		return Job{}, r.partly(ctx, r.undone(ctx, stopped))
	}
	if r.detaches() {
		return Job{}, r.detach(ctx, job)
	}
	return job, nil
}

// take follows a step that was sent, and those after it that PVE does by itself. It returns
// nil where another one is to be sent.
func (r *change) take(ctx, patience context.Context, job Job) (stopped output) {
	for {
		if stopped = r.end(ctx, patience, job); stopped != nil {
			return r.partly(ctx, r.undone(ctx, stopped))
		}
		switch {
		case r.at == len(r.steps):
			return r.reach(ctx, patience)
		case r.steps[r.at].send != nil:
			return nil
		}
		if job, stopped = r.find(ctx, patience); stopped != nil {
			return r.partly(ctx, stopped)
		}
	}
}

// end follows a step to its end, and goes on to the next one where it has succeeded.
func (r *change) end(ctx, patience context.Context, job Job) (stopped output) {
	end, stopped := r.follow(ctx, patience, job)
	if stopped != nil {
		return stopped
	}
	if !job.UPID.IsZero() {
		r.last = end
	}
	r.ends = append(r.ends, r.done(ctx, job, end))
	if r.at++; r.at < len(r.steps) && r.steps[r.at].send != nil {
		delete(r.call.guests, r.steps[r.at].guest) // it may be elsewhere now
	}
	return nil
}

// main is the index of the step that the whole is for.
func (r *change) main() int {
	for i, s := range r.steps {
		if s.about == r.plan.About {
			return i
		}
	}
	return 0
}

// reach looks whether what was to be is so, as long as patience lasts, and no longer than
// PVE may need for it after the end of its task.
func (r *change) reach(ctx, patience context.Context) output {
	ch := r.ends[r.main()]
	for _, other := range r.ends[1:] {
		if other.Outcome == Warnings && ch.Outcome == OK {
			ch.Outcome, ch.Message, ch.ExitStatus, ch.Log = Warnings, other.Message, other.ExitStatus, other.Log
		}
	}
	job := r.jobs[r.main()]
	if !job.UPID.IsZero() { // its goal may never be reached
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(patience, goalTime)
		defer cancel()
	}
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		out, err := r.spec.finish(ctx, r.call, r.state, r.last)
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
func (r *change) send(ctx context.Context, s step) (job Job, stopped output) {
	if err := r.claim(ctx); err != nil {
		return Job{}, r.failed(ctx, err)
	}
	if r.at > 0 {
		ctx = proxmox.ReadOnce(ctx) // what was read before an earlier step does not count
	}
	sent := r.host.Now()
	if r.at > 0 {
		ctx = proxmox.ReadOnce(ctx) // each step is a piece of work
	}
	starting, done := outlive(r.given.Grant(ctx, s.target), answerTime)
	defer done()
	job, err := s.send(starting, r.call, r.state)
	switch {
	case proxmox.OutcomeUnknown(err):
		return Job{}, r.lost(ctx, err, sent)
	case err != nil:
		return Job{}, r.failed(ctx, err)
	}
	r.jobs = append(r.jobs, job)
	r.steps = r.spec.steps(r.plan, r.state)
	if !job.UPID.IsZero() || len(r.steps) > 1 {
		r.seal(ctx)
	}
	return job, nil
}

// claim takes the right to send a later step, which one process has, and once. Where several
// may go on with the change, the store of answers that were used decides.
func (r *change) claim(ctx context.Context) error {
	if r.at == 0 {
		return nil
	}
	now := r.host.Now()
	first, err := r.host.Used.Claim(ctx, stepID(r.id, r.at), now, now.Add(HandleTime))
	switch {
	case err != nil:
		return explain.Refusal("See to that store, then look at what was done.", "Whether another process takes this step cannot be told, because PVE_MCP_CONSENT_STORE does not answer: %v. It was not sent.", err)
	case !first:
		return explain.Refusal("Follow it with pve_task_status.", "Another call takes this step; it was not sent again.")
	}
	return nil
}

// follow waits for the end of a task. stopped is the answer where the change ends with
// that.
func (r *change) follow(ctx, patience context.Context, job Job) (end End, stopped output) {
	if job.UPID.IsZero() {
		return End{}, nil
	}
	watch := r.call.Watch(r.steps[r.at].about)
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
		out = r.running(ctx, job, watch.Says())
		out.changed().Message += " It could not be looked at last: " + r.call.Explain(unseen.Look).What
	case over, err == nil && status.Running():
		out = r.running(ctx, job, watch.Says())
	case err != nil:
		out = r.lostSight(job, err)
	case !status.Succeeded():
		out = r.taskFailed(ctx, job, End{status})
	default:
		return End{status}, nil
	}
	return End{}, out
}

// partly says what was done before a step with which the change has stopped.
func (r *change) partly(ctx context.Context, stopped output) output {
	if len(r.ends) == 0 {
		return stopped
	}
	ch := *stopped.changed()
	before := ""
	for _, done := range r.ends {
		before += done.Message + " "
	}
	ch.Message = before + "What comes after it: " + ch.Message
	if rest := r.steps[r.at].rest; ch.Next == "" && ch.Outcome != Running {
		ch.Next = rest
	}
	out, err := r.spec.finish(ctx, r.call, r.state, End{})
	if err != nil {
		out = r.spec.output()
	}
	*out.changed() = ch
	return out
}

// undoTime is how long taking back may take after the end of the call.
const undoTime = 2 * time.Minute

// answerTime is how long PVE has to answer a write whose caller has cancelled it, so
// that its outcome is known.
const answerTime = 3 * time.Second

// outlive returns a context that ends some time after another one.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return out, func() { stop(); cancel() }
}
