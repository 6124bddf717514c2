package tool

import (
	"context"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// undone takes back what the steps before one that has failed have made, the last first, as
// far as they can be, and says so. What a task of this change has not made stays.
func (r *change) undone(ctx context.Context, stopped output) output {
	if stopped.changed().Outcome != Failed || r.resumed != nil {
		return stopped
	}
	ctx, cancel := outlive(ctx, undoTime)
	defer cancel()
	failed := r.at
	for r.at--; r.at >= 0; r.at-- {
		if u := r.steps[r.at].undo; u != nil {
			stopped.changed().Message += " " + r.undo(ctx, *u)
		}
	}
	r.at = failed
	return stopped
}

// undo takes back what the step has made, and says what came of it.
func (r *change) undo(ctx context.Context, u undo) string {
	made := r.jobs[r.at].UPID
	if made.IsZero() {
		return u.about + ": left to you, since no task shows who has made it."
	}
	switch same, err := u.unchanged(ctx, r.call, r.state, made); {
	case err != nil:
		return u.about + ": not done, since what is there cannot be seen: " + r.call.Explain(err).What
	case !same:
		return u.about + ": not done, since it was changed meanwhile."
	}
	kept := r.steps[r.at]
	defer func() { r.steps[r.at] = kept }()
	r.steps[r.at] = u.step
	out := r.recorded(ctx, func() output {
		job, err := u.send(r.given.Grant(ctx, u.target), r.call, r.state)
		if err == nil && !job.UPID.IsZero() {
			var status proxmox.TaskStatus
			if status, err = r.call.PVE.Wait(ctx, job.UPID, nil); err == nil && !status.Succeeded() {
				return r.taskFailed(ctx, job, End{status})
			}
		}
		if err != nil {
			return r.failed(ctx, err)
		}
		return r.outcome(r.done(ctx, job, End{}))
	})
	return out.changed().Message
}
