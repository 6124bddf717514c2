package change

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// undoSteps takes back what was made by the steps before one that has failed, the last first,
// as far as it can be taken back, and adds that to the answer. What no task of this change
// has made stays.
func (r *run) undoSteps(ctx context.Context, failure output) output {
	if failure.answer().Outcome != tool.Failed || r.resumed != nil {
		return failure
	}
	ctx, cancel := outlive(ctx, undoTime)
	defer cancel()
	failed := r.at
	for r.at--; r.at >= 0; r.at-- {
		if u := r.steps[r.at].undo; u != nil {
			failure.answer().Message += " " + r.undoStep(ctx, *u)
		}
	}
	r.at = failed
	return failure
}

// undoStep takes back what the step has made, and says what came of it.
func (r *run) undoStep(ctx context.Context, u undo) string {
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
	out := r.recordStep(ctx, func() output {
		job, err := u.send(r.consent.Grant(ctx, u.target), r.call, r.state)
		if err == nil && !job.UPID.IsZero() {
			var status proxmox.TaskStatus
			if status, err = r.call.PVE.Wait(ctx, job.UPID, nil); err == nil && !status.Succeeded() {
				return r.answerTaskFailed(ctx, job, End{status})
			}
		}
		if err != nil {
			return r.answerFailed(ctx, err)
		}
		return r.outputOf(r.stepDone(ctx, job, End{}))
	})
	return out.answer().Message
}
