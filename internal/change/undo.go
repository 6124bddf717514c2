package change

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// undoSteps takes back what was made by the steps before one that has failed, the last first,
// as far as it can be taken back, and adds that to the answer. What no task of this change
// has made stays. What is left is named with the call that removes it.
func (r *run) undoSteps(ctx context.Context, failure output) output {
	a := failure.answer()
	switch {
	case r.resumed != nil || r.isAnothers || a.Outcome != tool.Failed && a.Outcome != tool.Unknown:
		return failure
	case r.steps[r.at].tidies:
		if a.Next = r.steps[r.at].rest; a.Outcome == tool.Failed {
			a.Outcome = tool.Warnings
		}
		return failure
	case a.Outcome == tool.Unknown:
		r.nameLeft(a, r.made())
		return failure
	}
	ctx, cancel := outlive(ctx, undoTime)
	defer cancel()
	failed, undone := r.at, false
	var left []*undo
	for r.at--; r.at >= 0; r.at-- {
		u := r.steps[r.at].undo
		if u == nil {
			continue
		}
		if !u.kept {
			said, done := r.undoStep(ctx, *u)
			addSentence(a, said)
			if undone = undone || done; done {
				continue
			}
		}
		left = append(left, u)
	}
	r.at = failed
	if undone && a.Next == "" {
		a.Next = anew
	}
	r.nameLeft(a, left)
	return failure
}

// anew is what to do after a change that was taken back.
const anew = "Make the call anew when the reason is gone."

// made returns what takes back what the steps before the one that is taken have made, the last
// first.
func (r *run) made() []*undo {
	var out []*undo
	for i := min(r.at, len(r.steps)) - 1; i >= 0; i-- {
		if u := r.steps[i].undo; u != nil {
			out = append(out, u)
		}
	}
	return out
}

// nameLeft adds to an answer the calls that remove what is left, and what a step of which the
// outcome is unknown may have made.
func (r *run) nameLeft(a *Answer, left []*undo) {
	s := r.steps[r.at]
	if a.Next == "" && len(left) > 0 {
		a.Next = s.rest
	}
	if a.Outcome == tool.Unknown && s.undo != nil {
		a.Next = strings.TrimSpace(a.Next + " If it was made: " + s.undo.rest)
	}
	for i, u := range left {
		if i == 0 {
			a.Next += " What is left:"
		}
		a.Next = strings.TrimSpace(a.Next + " " + u.rest)
	}
}

// hasMade reports whether the steps before the one that is taken have made something that is
// taken back if it fails.
func (r *run) hasMade() bool {
	return slices.ContainsFunc(r.made(), func(u *undo) bool { return !u.kept })
}

// withUndoSeen adds to the answer of a change that has stopped in another call what it has made
// and whether that was taken back.
func (r *run) withUndoSeen(ctx context.Context, stopped output) output {
	a := stopped.answer()
	if a.Outcome == tool.OK || a.Outcome == tool.Running {
		return stopped
	}
	if r.steps[r.at].tidies {
		a.Outcome = tool.Warnings
		a.Next = cmp.Or(a.Next, r.steps[r.at].rest)
		return stopped
	}
	var left []*undo
	var said []string
	undone, some, goesOn := false, false, false
	for i := r.at - 1; i >= 0; i-- {
		u := r.steps[i].undo
		switch {
		case u == nil:
			continue
		case !u.kept:
			is, done := r.undoSeen(ctx, u, r.jobs[i].UPID)
			said = append(said, u.about+": "+is)
			goesOn = goesOn || is == underWay
			undone = done && (undone || !some)
			if some = true; done {
				continue
			}
		}
		left = append(left, u)
	}
	switch {
	case undone && r.nextNotSent:
		a.Message, a.Next = r.steps[r.at].about+" was refused or given up, and what was made was taken back; the log of the server says why.", anew
	case undone:
		a.Next = anew
	case goesOn:
		a.Next = "Look again with pve_task_status how the removal ends."
	}
	if undone || goesOn || !r.nextNotSent {
		for _, sentence := range said {
			addSentence(a, sentence)
		}
	}
	r.nameLeft(a, left)
	return stopped
}

// undoSeen says what PVE shows of the undo of what a task has made, and whether it was done.
func (r *run) undoSeen(ctx context.Context, u *undo, made proxmox.UPID) (said string, done bool) {
	if made.IsZero() {
		return leftToYou, false
	}
	if u.guest == 0 { // the task would not say which volume it is about
		switch still, err := u.unchanged(ctx, r.call, r.state, made); {
		case err != nil:
			return "whether it was done cannot be seen: " + r.call.Explain(err).What, false
		case still:
			return "not done so far.", false
		}
		return "done.", true
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
		return underWay, false
	case !status.Succeeded():
		reason, _ := r.call.TaskReason(ctx, task, status, maxReasonLines)
		return "failed: " + reason, false
	}
	return "done.", true
}

// underWay says that something is just being taken back.
const underWay = "under way."

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
func (r *run) undoStep(ctx context.Context, u undo) (said string, done bool) {
	made := r.jobs[r.at].UPID
	if made.IsZero() {
		return u.about + ": " + leftToYou, false
	}
	switch same, err := u.unchanged(ctx, r.call, r.state, made); {
	case err != nil:
		return u.about + ": not done, since what is there cannot be seen: " + r.call.Explain(err).What, false
	case !same:
		return u.about + ": not done, since it was changed meanwhile.", false
	}
	kept := r.steps[r.at]
	defer func() { r.steps[r.at] = kept }()
	r.steps[r.at] = u.step
	out := r.recordStep(ctx, func() output {
		job, err := u.send(r.takeAway.Grant(ctx, u.target), r.call, r.state)
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
	a := out.answer()
	if a.Outcome == tool.OK || a.Outcome == tool.Warnings {
		return a.Message, true
	}
	return u.about + ": " + a.Message, false
}
