package change

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// restoreFleet sets the fleet up from its handle. It returns the answer if it cannot.
func (r *run) restoreFleet(ctx context.Context) output {
	list, err := r.call.List(ctx, "")
	if err != nil {
		return r.answerCannotLook(Job{}, err)
	}
	r.plan.Fleet = r.resumed.Fleet.open(list.Resources())
	return nil
}

// partSeen is what PVE shows of a part that another call has begun.
type partSeen struct {
	Part
	tasks   []proxmox.UPID
	toBegin bool // what comes next was not begun
}

// fleetLater answers for a fleet that was begun, as far as it has come after a wait. It sends
// nothing.
func (r *run) fleetLater(ctx, patience context.Context) output {
	for {
		parts, stopped := r.lookAtParts(ctx)
		out := r.answerParts(ctx, parts, stopped)
		if out.answer().Outcome != tool.Running {
			return out
		}
		select {
		case <-patience.Done():
			return out
		case <-time.After(2 * time.Second):
		}
	}
}

// progress is how far a fleet is.
type progress struct {
	parts   []Part
	stopped string // why none is begun any more
}

// lookAtParts looks up in PVE how far each part is, if this process does not know it. Stopped
// says why none is begun any more.
func (r *run) lookAtParts(ctx context.Context) (parts []Part, stopped string) {
	if is, ok := tool.Remembered[progress](r.call, r.id); ok {
		return slices.Clone(is.parts), is.stopped
	}
	ctx = proxmox.ReadAgain(ctx)
	seen := r.seeParts(ctx)
	switch {
	case r.isWorkedOn(ctx):
		leaveOpen(seen)
	case !r.isFleetAbandoned(ctx, seen):
	case r.plan.Fleet.untraced() && !r.isShared():
		stopped = "whether anybody still begins them, only the process that was to do it knows: PVE_MCP_CONSENT_STORE is not set"
	default:
		stopped = "nobody begins them any more: the process that would have done it has ended, or it has stopped at an error"
	}
	if stopped != "" {
		r.seeAlreadySo(ctx, seen)
	}
	for _, p := range seen {
		if p.toBegin && stopped != "" && p.tasks != nil {
			p.leave(1)
		}
		parts = append(parts, p.Part)
	}
	return parts, stopped
}

// leaveOpen says of the parts that were begun, in a fleet on which another process works, that
// they may yet go on.
func leaveOpen(seen []partSeen) {
	for i := range seen {
		if p := &seen[i]; p.Outcome == tool.Unknown {
			p.Outcome, p.Next = tool.Running, ""
			p.Message = "It was begun, and only the process that does it knows how far it is."
		}
	}
}

// seeAlreadySo finds the guests, of those that were not begun, for which nothing was to do when
// their turn came: what was wanted had come about by itself.
func (r *run) seeAlreadySo(ctx context.Context, seen []partSeen) {
	var at []int
	for i, p := range seen {
		if p.Outcome == "" {
			at = append(at, i)
		}
	}
	items := r.plan.Fleet.Items
	got, _, _ := cluster.Ask(r.call.View, at, func(i int) string { return items[i].Name }, func(i int) (string, error) {
		return r.alreadySo(ctx, r.call.Fork(r.req), items[i]), nil
	})
	for _, g := range got {
		if p := &seen[g.From]; g.Value != "" {
			p.Outcome, p.Message, p.toBegin = tool.OK, g.Value, false
		}
	}
}

// alreadySo says that there is nothing to do for a guest, "" if there is.
func (r *run) alreadySo(ctx context.Context, c *tool.Call, one Item) (said string) {
	for _, call := range one.Calls {
		part, err := newPart(r.host, r.req, call)
		if err != nil || call.Untraced {
			return ""
		}
		part.call = c
		if err := part.planPart(ctx); err != nil || part.plan.Already == "" {
			return ""
		}
		said = part.plan.Already
	}
	return said
}

// seeParts looks at all parts, several at a time.
func (r *run) seeParts(ctx context.Context) []partSeen {
	items := r.plan.Fleet.Items
	out, at := make([]partSeen, len(items)), make([]int, len(items))
	for i, one := range items {
		at[i] = i
		out[i].Part = Part{Guest: one.Guest, Name: one.Name, Outcome: tool.Running, Message: "It could not be looked at."}
	}
	got, _, err := cluster.Ask(r.call.View, at, func(i int) string { return items[i].Name }, func(i int) (partSeen, error) {
		return r.seePart(ctx, r.call.Fork(r.req), items[i])
	})
	if err != nil {
		return out
	}
	for _, g := range got {
		out[g.From] = g.Value
	}
	return out
}

// seePart looks for the tasks of a part. A call without a task was made if all is as it was to be.
func (r *run) seePart(ctx context.Context, c *tool.Call, one Item) (p partSeen, err error) {
	p.Part = Part{Guest: one.Guest, Name: one.Name, Outcome: tool.OK}
	for k, call := range one.Calls {
		see := r.seeCall
		if call.Untraced {
			see = r.seeUntraced
		}
		a, begun, err := see(ctx, c, one, k, &p.tasks)
		if err != nil {
			return p, err
		}
		if !begun {
			p.toBegin = true
			if p.tasks == nil {
				p.Part = Part{Guest: one.Guest, Name: one.Name}
			} else {
				p.Outcome = tool.Running
			}
			return p, nil
		}
		if p.add(a); p.hasFailed() || p.Outcome == tool.Running {
			return p, nil
		}
	}
	return p, nil
}

func (r *run) seeCall(ctx context.Context, c *tool.Call, one Item, k int, known *[]proxmox.UPID) (a Answer, begun bool, err error) {
	call := one.Calls[k]
	if call.Task == "" {
		a, err := r.seeGoal(ctx, c, call, End{})
		return a, a.Outcome == tool.OK, err
	}
	upid, err := c.FindTask(ctx, one.Guest, call.Task, *known, r.started, one.Node)
	if err != nil || upid.IsZero() {
		return Answer{}, false, err
	}
	*known = append(*known, upid)
	status, err := c.PVE.TaskStatus(ctx, upid)
	if err != nil {
		return Answer{}, true, err
	}
	a = Answer{Outcome: tool.OutcomeOf(status), UPID: upid.String()}
	switch a.Outcome {
	case tool.OK:
		if pve.EndsEarly(upid) {
			a, err = r.seeGoal(ctx, c, call, End{status})
			return a, true, err
		}
		a.Message = "Its task has ended: OK."
	case tool.Running:
		a.Message = "Its task runs."
	case tool.Failed:
		a.Message, a.Log = c.TaskReason(ctx, upid, status, maxReasonLines)
	case tool.Warnings:
		a.Message = status.ExitStatus.Value
	}
	return a, true, nil
}

// seeUntraced says what is known of a call that PVE tells nothing of, and another process has
// made or was to make: whether it was begun, if the processes share what they claim, or if PVE
// has a task of what begins it.
func (r *run) seeUntraced(ctx context.Context, c *tool.Call, one Item, k int, _ *[]proxmox.UPID) (a Answer, begun bool, err error) {
	a = Answer{Outcome: tool.Unknown, Message: "It was begun, and only the process that did it knew how it has ended.", Next: "Look in the guest at what it has done."}
	part := &run{whole: r, host: r.host, id: partID(r.id, one.Guest, k)}
	switch call := one.Calls[k]; {
	case r.isShared():
		begun, err = part.isBegun(ctx)
		return a, begun, err
	case call.Task != "":
		upid, err := c.FindTask(ctx, one.Guest, call.Task, nil, r.started, one.Node)
		if err != nil || upid.IsZero() {
			return a, false, err
		}
	}
	a.Message = "Whether it was begun, and how it has ended, only the process that was to do it knew: PVE_MCP_CONSENT_STORE is not set."
	return a, true, nil
}

// isBegun reports whether a call of a fleet was claimed by who was to make it.
func (r *run) isBegun(ctx context.Context) (bool, error) {
	claimed, err := r.host.Used.Claimed(ctx, stepID(r.id, 0), r.claimedUntil())
	if err != nil || !claimed {
		return false, err
	}
	left, err := r.host.Used.Claimed(ctx, leftID(r.id), r.claimedUntil())
	return !left, err
}

// leftID names for all processes that a call of a fleet was claimed so that nobody makes it.
func leftID(part string) string { return part + "-left" }

// isShared reports whether it is known here what the process that began the fleet has claimed.
func (r *run) isShared() bool { return r.host.Used.Knows(r.resumed.Fleet.Process) }

// seeGoal looks whether the goal of a call is reached that has no task, or whose task has ended
// before that.
func (r *run) seeGoal(ctx context.Context, c *tool.Call, call PlannedCall, end End) (Answer, error) {
	a := Answer{Outcome: tool.OK, UPID: end.Status.UPID.String(), Message: "It is done."}
	part, err := newPart(r.host, r.req, call)
	if err != nil {
		return a, err
	}
	if err := part.tool.ReadArguments(ctx, r.host, &part.req, part.in); err != nil {
		return a, err
	}
	_, state, _ := part.spec.plan(ctx, c, part.in) // whether it could be made again does not matter
	out, err := part.spec.finish(ctx, c, state, end)
	switch {
	case err != nil && !errors.Is(err, ErrNotYet):
		return a, err
	case err != nil && !end.Status.UPID.IsZero() && r.isLongOver(ctx, end.Status.UPID):
		a.Outcome, a.Message, a.Next = tool.Unknown, "PVE accepted it, and the guest has not reached that state.", "Look with pve_guest_status."
	case err != nil:
		a.Outcome, a.Message = tool.Running, "PVE accepted it, and the guest has not reached that state yet."
	case out.answer().outweighs(a):
		a.Outcome, a.Message, a.Next = out.answer().Outcome, out.answer().Message, out.answer().Next
	}
	return a, nil
}

// isLongOver reports whether a task ended so long ago that its goal is waited for no more.
func (r *run) isLongOver(ctx context.Context, task proxmox.UPID) bool {
	end, ok := r.call.TaskEnd(ctx, task)
	return !ok || r.call.Ago(end) > goalTime
}

// isFleetAbandoned reports whether nobody begins what was not begun: no task of the fleet runs,
// and the newest ended a while ago.
func (r *run) isFleetAbandoned(ctx context.Context, seen []partSeen) bool {
	var tasks []proxmox.UPID
	for _, p := range seen {
		if p.Outcome == tool.Running && !p.toBegin {
			return false
		}
		tasks = append(tasks, p.tasks...)
	}
	if !r.resumed.Follows {
		return true
	}
	if len(tasks) == 0 {
		return r.host.Now().Sub(r.started) > sentWithin+r.plan.Fleet.timeWithoutTasks()
	}
	slices.SortFunc(tasks, func(a, b proxmox.UPID) int { return b.Start.Compare(a.Start) })
	for _, upid := range tasks[:min(len(tasks), max(1, r.plan.Fleet.Parallel))] {
		if end, ok := r.call.TaskEnd(ctx, upid); ok && r.call.Ago(end) < sentWithin {
			return false
		}
	}
	return true
}

// callTime is how long a call without a task may take.
const callTime = 5 * time.Second

// timeWithoutTasks is how long the calls of the fleet that have no task may take.
func (f *Fleet) timeWithoutTasks() (sum time.Duration) {
	for _, one := range f.Items {
		for _, call := range one.Calls {
			if call.Task == "" {
				sum += callTime
			}
		}
	}
	return sum
}

// takePartsLeft begins the guests that nobody has begun, if no other process does. A fleet that
// needed consent is not gone on with: what is at stake may have changed since.
func (r *run) takePartsLeft(ctx context.Context) output {
	parts, stopped := r.lookAtParts(ctx)
	has := func(o tool.Outcome) bool {
		return slices.ContainsFunc(parts, func(p Part) bool { return p.Outcome == o })
	}
	mayNot := r.resumed.Fleet.Consent || r.plan.Fleet.untraced() && !r.isShared()
	if stopped == "" || !has("") || has(tool.Running) || mayNot {
		return r.answerParts(ctx, parts, stopped)
	}
	if reason := r.req.Refusal(r.host.Policy, r.plan.Fleet.worst()); reason != "" {
		return r.recordNotSent(ctx, r.answerFailed(ctx, &policy.RefusedError{Reason: reason}))
	}
	v := r.newVoyage(r.host.Now())
	v.parts = parts
	v.waiting = slices.DeleteFunc(v.waiting, func(i int) bool { return parts[i].Outcome != "" })
	r.resumed = nil
	return v.begin(ctx)
}

// BeginNoMore lets no process begin the guests of a fleet that were not begun. Another change
// has none.
func (h *Handle) BeginNoMore(ctx context.Context) error {
	r := h.newRun()
	if out := r.restore(ctx); out != nil || r.plan.Fleet == nil {
		return nil
	}
	for _, one := range r.plan.Fleet.Items {
		for k := range one.Calls {
			part := &run{whole: r, id: partID(r.id, one.Guest, k)}
			first, err := r.host.Used.Claim(ctx, stepID(part.id, 0), r.host.Now(), part.claimedUntil())
			if err == nil && first {
				_, err = r.host.Used.Claim(ctx, leftID(part.id), r.host.Now(), part.claimedUntil())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// newestTask returns the task of the fleet that was begun last.
func (r *run) newestTask(ctx context.Context) (newest proxmox.UPID) {
	for _, p := range r.seeParts(proxmox.ReadAgain(ctx)) {
		for _, upid := range p.tasks {
			if newest.IsZero() || upid.Start.After(newest.Start) {
				newest = upid
			}
		}
	}
	return newest
}
