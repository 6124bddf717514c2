package change

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// voyage is a fleet under way in this process.
type voyage struct {
	*run
	planned time.Time // at which the fleet was planned
	mu      sync.Mutex
	changed *sync.Cond
	parts   []Part
	waiting []int          // the items that were not begun, in their order
	busy    map[string]int // items under way, by node
	stopped string         // why none is begun any more
	halted  bool           // no call is made any more, not even for a guest that was begun
	seen    time.Time      // when the fleet was last seen to go on
	begun   atomic.Int64   // calls

	untraced bool // PVE does not tell how its calls have ended

	answered bool // the call is over, and hears nothing more
}

// sendFleet works on all guests, as long as the call may wait; what is left then goes on in
// this process.
func (r *run) sendFleet(ctx context.Context, planned time.Time) output {
	if r.sealedPlan != nil {
		if err := r.claimStep(ctx); err != nil {
			return r.recordNotSent(ctx, r.answerFailed(ctx, err))
		}
	}
	r.sealHandle(ctx)
	return r.newVoyage(planned).begin(ctx)
}

func (r *run) newVoyage(planned time.Time) *voyage {
	v := &voyage{run: r, planned: planned, busy: map[string]int{}, untraced: r.plan.Fleet.untraced()}
	v.changed = sync.NewCond(&v.mu)
	v.seen = r.wallTime()
	for i, one := range r.plan.Fleet.Items {
		v.parts = append(v.parts, Part{Guest: one.Guest, Name: one.Name})
		v.waiting = append(v.waiting, i)
	}
	return v
}

// remember lets later calls in this process know how far an untraced fleet is. The caller holds
// the lock.
func (v *voyage) remember() {
	if !v.untraced {
		return
	}
	works := v.stopped == "" && len(v.waiting) > 0 || slices.ContainsFunc(v.parts, func(p Part) bool { return p.Outcome == tool.Running })
	tool.Remember(v.call, v.id, progress{slices.Clone(v.parts), v.stopped}, !works)
}

// begin starts the work and waits for its end. If the caller gives up, no guest is begun any
// more; if the time of the call is over, the work goes on.
func (v *voyage) begin(ctx context.Context) output {
	v.mu.Lock()
	v.remember()
	v.mu.Unlock()
	patience, cancel := context.WithTimeout(ctx, v.call.Patience(v.in.wait()))
	defer cancel()
	working, giveUp := context.WithTimeout(context.WithoutCancel(ctx), tool.HandleTime)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer giveUp()
		v.work(working)
	}()
	if v.mayDetach() {
		v.detached = true
		return v.answer(ctx)
	}
	select {
	case <-done:
	case <-patience.Done():
		if ctx.Err() != nil {
			v.stop("the call was cancelled")
		}
		if !v.outlivesCall() {
			v.stop("this process ends with the call")
			giveUp()
			<-done
		}
	}
	return v.answer(ctx)
}

// work takes the items until none is left.
func (v *voyage) work(ctx context.Context) {
	defer v.showWork(ctx)()
	var workers sync.WaitGroup
	for i := v.next(); i >= 0; i = v.next() {
		workers.Go(func() { v.take(ctx, i) })
	}
	workers.Wait()
}

// next waits until an item may be begun, and returns its index, -1 if none is left.
func (v *voyage) next() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.stopped == "" && len(v.waiting) > 0 {
		running := 0
		for _, n := range v.busy {
			running += n
		}
		f := v.plan.Fleet
		for at, i := range v.waiting {
			node := f.Items[i].Node
			if running < max(1, f.Parallel) && (!f.OnePerNode || v.busy[node] == 0) {
				v.waiting = slices.Delete(v.waiting, at, at+1)
				v.busy[node]++
				v.parts[i].Outcome, v.parts[i].Message = tool.Running, "It is about to begin."
				v.remember()
				return i
			}
		}
		v.changed.Wait()
	}
	return -1
}

// take works on one guest to its end.
func (v *voyage) take(ctx context.Context, i int) {
	one := v.plan.Fleet.Items[i]
	part := Part{Guest: one.Guest, Name: one.Name, Outcome: tool.OK}
	for k, p := range one.Calls {
		if v.isHalted() {
			part.leave(k)
			break
		}
		out := v.makeCall(ctx, i, k, p)
		part.add(*out.answer())
		part.Details = detailsOf(out)
		one.Calls[k].made = nil // what it has read may be large
		if part.hasFailed() || part.Outcome == tool.Running {
			break
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteSeen()
	v.busy[one.Node]--
	v.parts[i] = part
	if v.plan.Fleet.StopOnError && part.hasFailed() && v.stopped == "" {
		v.stopped = one.Name + " has failed"
	}
	v.remember()
	v.changed.Broadcast()
	v.report()
}

func (p Part) hasFailed() bool { return p.Outcome == tool.Failed || p.Outcome == tool.Unknown }

// leave ends a part whose calls from some on are not made.
func (p *Part) leave(from int) {
	if from == 0 {
		*p = Part{Guest: p.Guest, Name: p.Name}
		return
	}
	p.Outcome, p.Next = tool.Failed, "Look at the guest, then do what is missing."
	p.Message += " What comes after it was not begun."
}

// add takes the end of a call into its part: the worst outcome counts.
func (p *Part) add(a Answer) {
	p.UPID, p.Log = a.UPID, slices.Concat(p.Log, a.Log)
	if p.Outcome == tool.OK || a.Outcome != tool.OK {
		p.Outcome, p.Message, p.Next = a.Outcome, a.Message, a.Next
	}
}

// makeCall makes a call of a fleet, however long that takes. A bug ends this call alone.
func (v *voyage) makeCall(ctx context.Context, i, k int, p PlannedCall) (out output) {
	one := v.plan.Fleet.Items[i]
	defer func() {
		if bug := recover(); bug != nil {
			v.host.Logger.ErrorContext(ctx, "panic", "tool", v.tool.Name, "guest", one.Guest, "cause", bug, "stack", string(debug.Stack()))
			out = v.outputOf(Answer{Outcome: tool.Unknown, Message: p.Plan.About + " met a bug in pve-mcp.", Next: "Look at the guest before you try again, and report the bug."})
		}
	}()
	req := v.req
	req.Progress = func(progress cluster.Progress) { v.hear(i, progress) }
	part, err := newPart(v.host, req, p)
	if err != nil {
		e := v.host.Explain.Explain(err)
		return v.outputOf(Answer{Outcome: tool.Failed, Message: e.What, Next: e.Next})
	}
	if fresh := v.host.Now().Sub(v.started) < planHolds; fresh && p.made != nil && !p.Anew {
		part.in, part.plan, part.state, part.steps = p.made.in, p.made.plan, p.made.state, p.made.steps
	}
	part.whole, part.id, part.consent, part.onSeen = v.run, partID(v.id, one.Guest, k), v.consent, v.see
	part.call = v.call.Fork(part.req)
	if v.begun.Add(1) > 1 { // what was read before an earlier one does not count
		ctx = proxmox.ReadOnce(ctx)
	}
	out = part.sendPart(ctx, p, v.planned)
	if a := out.answer(); p.Untraced && a.Outcome == tool.Running { // its time is over
		a.Outcome = tool.Unknown
	}
	return out
}

// detailsOf are what an output says beside its answer, nil if that is nothing.
func detailsOf(out output) any {
	if d, ok := out.(interface{ Details() any }); ok {
		return d.Details()
	}
	return nil
}

// partID names a call of a fleet for all processes.
func partID(change string, guest pve.VMID, call int) string {
	return fmt.Sprintf("%s.%v.%d", change, guest, call)
}

// planHolds is how old a plan of a call may be that is carried out without a look at what has
// changed since.
const planHolds = 10 * time.Second

// sendPart makes a call of a fleet. If it was planned a while ago, it is planned again, as of
// the time of the first plan, and made if what is at stake is still what the consent is for.
func (r *run) sendPart(ctx context.Context, p PlannedCall, planned time.Time) output {
	var err error
	if r.steps == nil {
		r.call.HoldTime(planned)
		err = r.planPart(ctx)
		r.call.HoldTime(time.Time{})
	}
	switch risk := r.riskOf(); {
	case err != nil:
	case r.plan.Already != "":
		return r.answerAlready(ctx)
	case risk > p.Risk, r.consent.WasAsked() && risk >= policy.Destructive && !slices.Equal(r.plan.Consequences, p.Plan.Consequences):
		err = explain.Refusal("Look at it, then plan anew.", "%s: what is at stake is no longer what the plan said. Nothing was sent.", r.plan.About)
	default:
		if reason := r.refusal(ctx, risk); reason != "" {
			err = &policy.RefusedError{Reason: reason}
		}
	}
	if err != nil {
		return r.recordNotSent(ctx, r.answerFailed(ctx, err))
	}
	r.started = r.host.Now()
	return r.sendSteps(ctx)
}

// stop lets no item begin any more, and no call be made.
func (v *voyage) stop(why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.halt(why)
}

// halt is [voyage.stop] for who holds the lock.
func (v *voyage) halt(why string) {
	if v.stopped == "" {
		v.stopped = why
	}
	v.halted = true
	v.remember()
	v.changed.Broadcast()
}

// isHalted reports whether no call is made any more.
func (v *voyage) isHalted() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteSeen()
	return v.halted
}

// see notes that a task of the fleet was looked at.
func (v *voyage) see() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteSeen()
}

// wallTime is the time that goes on while a machine sleeps.
func (r *run) wallTime() time.Time { return r.host.Now().Round(0) }

// reportSeen tells a fleet that this part of it was looked at.
func (r *run) reportSeen() {
	if r.onSeen != nil {
		r.onSeen()
	}
}

// noteSeen notes that this process sees to the fleet. If it did not for a while, such as on a
// machine that slept, another one may go on with it: then this one begins nothing more. What is
// left of an untraced fleet goes by what was claimed alone.
func (v *voyage) noteSeen() {
	now := v.wallTime()
	if now.Sub(v.seen) > handOver && !v.halted && !v.untraced {
		v.halt("this process could not see to it for a while, and another one may have gone on")
	}
	v.seen = now
}

// hear takes the progress of a part.
func (v *voyage) hear(i int, p cluster.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.parts[i].Outcome == tool.Running {
		v.parts[i].Message = p.Message
		v.report()
	}
}

// report tells the caller how far the whole is. The caller holds the lock.
func (v *voyage) report() {
	if v.answered {
		return
	}
	over := 0
	var now []string
	for _, p := range v.parts {
		switch p.Outcome {
		case "":
		case tool.Running:
			now = append(now, p.Message)
		default:
			over++
		}
	}
	text := fmt.Sprintf("%d of %d done", over, len(v.parts))
	if len(now) > 0 {
		text += "; " + strings.Join(now, "; ")
	}
	v.call.Report(cluster.Progress{Done: float64(over), Total: float64(len(v.parts)), Message: text})
}

// answer answers for the parts as they are now.
func (v *voyage) answer(ctx context.Context) output {
	v.mu.Lock()
	parts, stopped := slices.Clone(v.parts), v.stopped
	v.answered = true
	v.mu.Unlock()
	return v.answerParts(ctx, parts, stopped)
}
