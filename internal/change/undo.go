package change

import (
	"context"
	"slices"
	"strings"

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
			addSentence(failure.answer(), r.undoStep(ctx, *u))
		}
	}
	r.at = failed
	return failure
}

// hasMade reports whether the steps before the one that is taken have made something that is
// taken back if it fails.
func (r *run) hasMade() bool {
	return slices.ContainsFunc(r.steps[:min(r.at, len(r.steps))], func(s step) bool { return s.undo != nil })
}

// withUndoSeen adds to the answer of a change that has failed in another call whether what it
// had made was taken back.
func (r *run) withUndoSeen(ctx context.Context, failure output) output {
	a := failure.answer()
	if a.Outcome != tool.Failed || r.nextNotSent {
		return failure
	}
	for i := r.at - 1; i >= 0; i-- {
		u := r.steps[i].undo
		if u == nil {
			continue
		}
		said, done := r.undoSeen(ctx, u, r.jobs[i].UPID)
		addSentence(a, u.about+": "+said)
		if !done && u.rest != "" {
			a.Next = u.rest
		}
	}
	return failure
}

// undoSeen says what PVE shows of the undo of what a task has made, and whether it was done or
// is under way.
func (r *run) undoSeen(ctx context.Context, u *undo, made proxmox.UPID) (said string, done bool) {
	if made.IsZero() {
		return leftToYou, false
	}
	task, err := r.call.FindTask(ctx, u.guest, u.task, []proxmox.UPID{made}, r.started)
	if err != nil {
		return "whether it was done cannot be seen: " + r.call.Explain(err).What, false
	}
	if task.IsZero() {
		return "not done so far.", false
	}
	status, err := r.call.PVE.TaskStatus(ctx, task)
	switch {
	case err != nil:
		return "begun; how it ended cannot be seen: " + r.call.Explain(err).What, false
	case status.Running():
		return "under way.", true
	case !status.Succeeded():
		reason, _ := r.call.TaskReason(ctx, task, status, maxReasonLines)
		return "failed: " + reason, false
	}
	return "done.", true
}

// leftToYou says why something is not taken back.
const leftToYou = "left to you, since no task shows who has made it."

// addSentence adds a sentence to the message of an answer, which may end without a full stop.
func addSentence(a *Answer, sentence string) {
	if a.Message != "" {
		sentence = strings.TrimSuffix(a.Message, ".") + ". " + sentence
	}
	a.Message = sentence
}

// undoStep takes back what the step has made, and says what came of it.
func (r *run) undoStep(ctx context.Context, u undo) string {
	made := r.jobs[r.at].UPID
	if made.IsZero() {
		return u.about + ": " + leftToYou
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
