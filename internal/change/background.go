package change

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

const (
	// handOver is how long ago a process that goes on with a change may have seen its task
	// last, and send the next step all the same.
	handOver = 15 * time.Second
	// sentWithin is how long after the end of a step a process that goes on with the change
	// may send the next one.
	sentWithin = 2 * handOver
	// goalTime is how long a change that has not reached its goal is followed after the end
	// of its task.
	goalTime = 10 * time.Minute
)

// detachesNow reports whether the call ends now that the task was begun, since its caller
// follows the change.
func (r *run) detachesNow() bool { return r.handle != "" && r.mayDetach() }

func (r *run) mayDetach() bool {
	wait := r.in.wait()
	return r.req.Detach && (wait == nil || *wait > 0)
}

// hasStepsToSend reports whether something is to be sent after the step that is taken.
func (r *run) hasStepsToSend() bool {
	return slices.ContainsFunc(r.steps[min(r.at+1, len(r.steps)):], func(s step) bool { return s.send != nil })
}

// outlivesCall reports whether this process sends the steps that are left after the call.
func (r *run) outlivesCall() bool { return r.mayDetach() || r.host.Stays }

// detach answers at once for a task that was begun. This process sends what comes after the
// task, if it lives that long.
func (r *run) detach(ctx context.Context, job Job) output {
	r.detached = true
	return r.answerRunning(ctx, job, "")
}

// continueInBackground starts another goroutine, which sends the steps that are left after the
// end of the call.
func (r *run) continueInBackground(ctx context.Context) {
	if r.inBackground {
		return
	}
	r.inBackground = true
	rest := *r
	go rest.sendStepsLeft(context.WithoutCancel(ctx))
}

// sendStepsLeft waits for the task of a change whose call was answered, and sends the steps
// that are left. It sends nothing if the task may have ended a while ago: an answer may have
// said since then that nothing comes any more. If a step fails, what those before it have made
// is taken back.
func (r *run) sendStepsLeft(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			r.host.Logger.ErrorContext(ctx, "panic", "tool", r.tool.Name, "cause", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, tool.HandleTime)
	defer cancel()
	r.req.Progress = nil
	r.jobs, r.ends = slices.Clone(r.jobs), slices.Clone(r.ends)
	for {
		if err := r.waitForStep(ctx); err != nil {
			r.host.Logger.WarnContext(ctx, "what comes after a task is not sent", "tool", r.tool.Name, "task", r.lastJob().UPID.String(), "error", err)
			if errors.Is(err, errTaskFailed) {
				r.undoLater(ctx, r.outputOf(Answer{Outcome: tool.Failed}))
			}
			return
		}
		if r.at == len(r.steps) {
			return
		}
		out := r.awaitReady(ctx, ctx)
		if out == nil {
			out = r.recordStep(ctx, func() output {
				next, stopped := r.sendStep(ctx, r.steps[r.at])
				if stopped != nil {
					return stopped
				}
				return r.outputOf(Answer{Outcome: tool.Running, UPID: next.UPID.String()})
			})
		}
		if out.answer().Outcome != tool.Running {
			a := out.answer()
			r.host.Logger.WarnContext(ctx, "a change has stopped", "tool", r.tool.Name, "step", r.steps[r.at].about, "outcome", string(a.Outcome), "reason", a.Message)
			r.call.NoteStoppedStep(stepID(r.id, r.at), cluster.StoppedStep{Outcome: string(a.Outcome), Message: a.Message, Next: a.Next}, tool.HandleTime)
			r.undoLater(ctx, out)
			return
		}
		if !r.hasStepsToSend() && !r.hasMade() {
			return
		}
	}
}

// waitForStep waits for the end of the step that was sent last, if none has been sent since,
// and goes on to the next one that is to be sent.
func (r *run) waitForStep(ctx context.Context) (err error) {
	if r.call, err = tool.NewCall(ctx, r.host, r.req); err != nil {
		return err
	}
	if r.at < len(r.jobs) {
		if err := r.waitForTask(ctx, r.jobs[r.at]); err != nil {
			return err
		}
		r.at++
	}
	for r.at < len(r.steps) && r.steps[r.at].send == nil {
		r.jobs = append(r.jobs, Job{}) // PVE's own business
		r.at++
	}
	return nil
}

// undoLater is [run.undoSteps] after the call, of which the log tells.
func (r *run) undoLater(ctx context.Context, failure output) {
	failure.answer().Message = ""
	if done := r.undoSteps(ctx, failure).answer().Message; done != "" {
		r.host.Logger.WarnContext(ctx, "a change was taken back", "tool", r.tool.Name, "done", done)
	}
}

// errTaskFailed says that nothing comes after a task, because it has failed.
var errTaskFailed = errors.New("it has failed")

// waitForTask waits for the end of a task after which more is sent. The error says why nothing
// is sent.
func (r *run) waitForTask(ctx context.Context, job Job) error {
	if job.UPID.IsZero() {
		return nil
	}
	seen := r.wallTime()
	status, err := r.call.PVE.Wait(ctx, job.UPID, func(proxmox.TaskUpdate) { seen = r.wallTime() })
	switch {
	case err != nil:
		return err
	case r.wallTime().Sub(seen) > handOver:
		return fmt.Errorf("its end was not seen in time")
	case !status.Succeeded():
		return errTaskFailed
	}
	return nil
}
