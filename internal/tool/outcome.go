package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Outcome says how a change ended.
type Outcome string

// The outcomes of a change.
const (
	OK                Outcome = "ok"
	Warnings          Outcome = "warnings"           // done, and PVE warned
	Failed            Outcome = "failed"             // refused, or tried without success
	Running           Outcome = "running"            // begun, and not over yet
	NeedsConfirmation Outcome = "needs_confirmation" // nothing was sent
	Declined          Outcome = "declined"           // by the human; nothing was sent
	Unknown           Outcome = "unknown"            // sent, and the answer was lost
	Planned           Outcome = "planned"            // nothing was sent, and nothing was to be
)

// Outcomes are all outcomes.
func Outcomes() []Outcome {
	return []Outcome{OK, Warnings, Failed, Running, NeedsConfirmation, Declined, Unknown, Planned}
}

// Changed is the part of a change's result that the wrapper fills. Every Out of a
// [ChangeSpec] embeds it, before all else: hosts fold an answer, and show how it begins.
type Changed struct {
	Message      string   `json:"message" jsonschema:"what happened"`
	Outcome      Outcome  `json:"outcome"`
	Next         string   `json:"next,omitzero" jsonschema:"what to do now"`
	UPID         string   `json:"upid,omitzero" jsonschema:"the task"`
	Handle       string   `json:"handle,omitzero" jsonschema:"the task with what comes after it, for pve_task_status"`
	ExitStatus   string   `json:"exit_status,omitzero" jsonschema:"the task's exit status"`
	Log          []string `json:"log,omitzero" jsonschema:"the lines of its log that say why"`
	Found        []string `json:"found,omitzero" jsonschema:"where the outcome is unknown: what is true now, and what was done lately"`
	Steps        []string `json:"steps,omitzero" jsonschema:"of a plan, in their order"`
	PlanHandle   string   `json:"plan_handle,omitzero" jsonschema:"with which the same tool does exactly this plan"`
	Consequences []string `json:"consequences,omitzero" jsonschema:"what it would do"`
}

func (c *Changed) changed() *Changed { return c }

// Tell says how a change ended by what is seen of it now.
func (c *Changed) Tell(outcome Outcome, next, format string, args ...any) {
	c.Outcome, c.Message, c.Next = outcome, fmt.Sprintf(format, args...), next
}

// outweighs reports whether what was seen is no success, and no better than what PVE has
// said.
func (c *Changed) outweighs(said Changed) bool {
	ends := []Outcome{OK, Warnings, Failed, Unknown}
	seen := slices.Index(ends, c.Outcome)
	return seen > 0 && seen >= slices.Index(ends, said.Outcome)
}

// done is what the wrapper says of a change that PVE has carried out.
func (r *change) done(ctx context.Context, job Job, end End) Changed {
	about := r.steps[r.at].about
	ch := Changed{Outcome: OK, Message: about + ": done.", UPID: job.UPID.String()}
	if job.Warning != "" {
		ch.Outcome, ch.Message = Warnings, fmt.Sprintf("%s: done, with a warning: %s", about, job.Warning)
	}
	if n := end.Status.Warnings(); n > 0 {
		ch.Outcome, ch.ExitStatus = Warnings, end.Status.ExitStatus.Value
		ch.Message = fmt.Sprintf("%s: done, with warnings (%d).", about, n)
		_, ch.Log = r.call.Why(ctx, job.UPID, end.Status, linesOfWhy)
	}
	if ch.Outcome == OK {
		if left := r.call.Undone(ctx, job.UPID); left != nil {
			ch.Outcome, ch.Log = Warnings, left
			ch.Message = fmt.Sprintf("%s: done, and something was left undone: %s", about, left[0])
		}
	}
	return ch
}

// taskFailed reports why a task failed and what is true after it.
func (r *change) taskFailed(ctx context.Context, job Job, end End) output {
	reason, log := r.call.Why(ctx, job.UPID, end.Status, linesOfWhy)
	r.interrupted = interruptedRE.MatchString(reason)
	ch := Changed{
		Outcome: Failed, Message: r.steps[r.at].about + " failed: " + reason, UPID: job.UPID.String(), Log: log,
		ExitStatus: render.Said(end.Status.ExitStatus.Or("unexpected status"), 600),
	}
	ch.Next = explain.Hint(reason)
	if busyRE.MatchString(reason) {
		ch.Next = r.call.busy(ctx, r.plan.guest(), reason).Next
	}
	if lock, ok := pve.LockIn(reason); ok {
		ch.Next = r.call.locked(ctx, &explain.LockedError{Guest: pve.GuestRef{VMID: r.plan.guest(), Node: job.UPID.Node}, Lock: lock, Message: reason}).Next
	}
	out, err := r.spec.finish(ctx, r.call, r.state, end)
	if err != nil {
		out = r.spec.output()
	}
	if own := out.changed(); own.Outcome == Warnings {
		ch.Outcome, ch.Message, ch.Next = Warnings, own.Message, own.Next
	}
	*out.changed() = ch
	return out
}

// interruptedRE matches why a task failed that somebody has stopped.
var interruptedRE = lazyregexp.New(`(?:interrupted by signal|received interrupt)$`)

// running reports a change that goes on after the call.
func (r *change) running(ctx context.Context, job Job, far string) output {
	if r.resumed == nil && r.goesOn() && r.stays() {
		r.leave(ctx)
	}
	ch := Changed{
		Outcome: Running, UPID: job.UPID.String(), Handle: r.shownHandle(job.UPID),
		Message: fmt.Sprintf("%s is under way after %s.", r.steps[r.at].about, render.Duration(r.host.Now().Sub(r.begun).Round(time.Second))),
		Next:    "It goes on by itself. Follow it with pve_task_status: upid and wait.",
	}
	if ch.Handle != "" {
		ch.Next = "It goes on by itself. Follow it with pve_task_status: handle and wait."
	}
	if far != "" {
		ch.Message += " So far: " + far
	}
	follows := r.alone || r.resumed != nil && r.resumed.Follows
	for _, s := range r.steps[r.at+1:] {
		if s.rest != "" && !follows {
			ch.Next += " " + s.rest
			break
		}
	}
	if r.plan.Later != "" {
		ch.Next += " " + r.plan.Later
	}
	return r.outcome(ch)
}

// unseen reports a change that was begun, and could not be looked at this time.
func (r *change) unseen(job Job, err error) output {
	why := r.host.Explain.Explain(lookOf(err)).What
	return r.outcome(Changed{
		Outcome: Running, UPID: job.UPID.String(), Handle: r.shownHandle(job.UPID),
		Message: fmt.Sprintf("%s was begun, and how far it is cannot be seen now. %s", r.plan.About, why),
		Next:    "Look again later with pve_task_status.",
	})
}

// lookOf is why the last look at a task failed, where that is known.
func lookOf(err error) error {
	var unseen *proxmox.UnseenError
	if errors.As(err, &unseen) {
		return unseen.Look
	}
	return err
}

// notYet reports a change whose task has ended before its goal is reached, or before
// that could be seen, in the tool's own words where it has some.
func (r *change) notYet(ctx context.Context, own Changed, job Job, err error) Changed {
	if r.overdue(ctx, job.UPID) {
		r.sealed = ""
	}
	ch := Changed{
		Outcome: Running, UPID: job.UPID.String(), Handle: r.shownHandle(job.UPID),
		Message: r.plan.About + ": PVE accepted it, and the guest has not reached that state yet.",
		Next:    "It goes on by itself, though its task has ended; look again with pve_guest_status.",
	}
	switch {
	case err != ErrNotYet:
		ch.Message = r.plan.About + ": PVE accepted it, and whether it is done cannot be seen. " + r.host.Explain.Explain(err).What
	case own.Message != "":
		ch.Message, ch.Next = own.Message, own.Next
	}
	return ch
}

// lostSight reports a task that was begun and cannot be followed.
func (r *change) lostSight(job Job, err error) output {
	e := r.host.Explain.Explain(err)
	return r.outcome(Changed{
		Outcome: Unknown, UPID: job.UPID.String(), Next: "Look with pve_task_status at how the task ends.",
		Message: fmt.Sprintf("%s was started, and its progress cannot be read: %s", r.plan.About, e.What),
	})
}

// finished keeps the outcome where only the last look at the state failed.
func (r *change) finished(out output, err error, ch Changed) output {
	own := out.changed()
	switch {
	case err != nil:
		out = r.spec.output()
		ch.Message += " The current state could not be read: " + r.host.Explain.Explain(err).What
	case own.outweighs(ch):
		ch.Outcome, ch.Message, ch.Next = own.Outcome, own.Message, own.Next
	case own.Message != "" && ch.Outcome == OK:
		ch.Message, ch.Next = own.Message, own.Next
	}
	*out.changed() = ch
	return out
}

// failed reports a change that was not made.
func (r *change) failed(ctx context.Context, err error) output {
	e := r.host.Explain.Explain(err)
	if r.call != nil {
		e = r.call.refused(ctx, r.plan.guest(), err)
	}
	r.fault = faultOf(err)
	return r.outcome(Changed{Outcome: Failed, Message: e.What, Next: e.Next})
}

// lookTime bounds the look at what became of a change whose outcome is unknown.
const lookTime = 10 * time.Second

// lost reports a change that was sent at a time and not answered, and what there is to
// be seen of it.
func (r *change) lost(ctx context.Context, err error, sent time.Time) output {
	e := r.host.Explain.Explain(err)
	ch := Changed{Outcome: Unknown, Message: e.What, Next: e.Next}
	if r.plan.guest() != 0 {
		looking, done := context.WithTimeout(ctx, lookTime)
		defer done()
		ch.Found = append([]string{"sent at " + render.Time(sent) + " by this machine's clock"}, r.call.traces(looking, r.plan.guest())...)
	}
	return r.outcome(ch)
}

func (r *change) outcome(ch Changed) output {
	out := r.spec.output()
	*out.changed() = ch
	return out
}

// linesOfWhy is how many lines of a log are shown that say why.
const linesOfWhy = 5
