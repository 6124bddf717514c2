// Package cluster is what one call knows of one cluster. A [View] asks PVE for what a tool
// needs to know of guests, nodes, storages, tasks and privileges. It keeps the answers for as
// long as the call lasts: a call asks for nothing twice, and does not contradict itself. It
// only reads. [View.CreateWithFreeID] sends what its caller hands to it.
//
// What cannot be seen is never taken for what is not there. Each answer that a token may
// be too weak to give in full says so.
package cluster

import (
	"context"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Options are what a view takes from the process and the call that it belongs to.
type Options struct {
	// Name names the cluster for a human.
	Name    string
	Policy  policy.Policy
	Guard   *policy.Guard // nil checks nothing
	Explain explain.Explainer
	// Recent are the changes of the process; nil remembers none.
	Recent *RecentChanges
	// Now tells the time.
	Now func() time.Time
	// Report, if not nil, hears how a long call goes.
	Report func(Progress)
}

// View is one call's view of a cluster. It is not for several goroutines at a time, except
// within [Ask] and what builds on it.
type View struct {
	PVE *pve.Client

	options    Options
	guests     foundGuests
	nodes      []pve.Resource // nil until they were asked for
	asOf       time.Time      // of the oldest list of resources
	heldAt     time.Time      // what Now returns, if it is not zero
	assurances []Assurance    // that were given
	keepsID    bool           // no other id is taken than the chosen one
}

// New returns a view that knows nothing yet.
func New(client *pve.Client, o Options) *View {
	return &View{PVE: client, options: o, guests: newFoundGuests()}
}

// Fork returns a view for another goroutine, which knows the guests that this one has found and
// reports elsewhere.
func (v *View) Fork(report func(Progress)) *View {
	out := New(v.PVE, v.options)
	out.options.Report = report
	out.guests = v.guests.fork()
	out.nodes, out.asOf, out.heldAt = v.nodes, v.asOf, v.heldAt
	return out
}

// Now returns the time, or the time at which it is held by [View.HoldTime].
func (v *View) Now() time.Time {
	if !v.heldAt.IsZero() {
		return v.heldAt
	}
	return v.options.Now()
}

// HoldTime lets [View.Now] return a fixed time, so that ages read the same in a question
// to a human and when its answer is checked. The zero time lets the clock go on.
func (v *View) HoldTime(at time.Time) { v.heldAt = at }

// KeepChosenID lets [View.CreateWithFreeID] take the id that was chosen and no other,
// because a plan has named it.
func (v *View) KeepChosenID() { v.keepsID = true }

// Ago returns how long ago a time was that PVE has stated, by PVE's clock.
func (v *View) Ago(at time.Time) time.Duration { return v.PVE.Ago(v.Now(), at) }

// Report tells the caller what the call is doing.
func (v *View) Report(p Progress) {
	if v.options.Report != nil {
		v.options.Report(p)
	}
}

// Explain explains an error that does not fail the call.
func (v *View) Explain(err error) explain.Explanation { return v.options.Explain.Explain(err) }

// CheckTarget returns an error, in the guard's words, if the rules forbid a request.
func (v *View) CheckTarget(ctx context.Context, t policy.Target) error {
	if v.options.Guard == nil {
		return nil
	}
	if reason := v.options.Guard.Refuse(ctx, t); reason != "" {
		return &policy.RefusedError{Reason: reason}
	}
	return nil
}

// CheckCommand returns an error if the policy forbids that a command is run in a guest. The
// policy may name the commands that may be run, and then none of them is a shell.
func (v *View) CheckCommand(argv []string, stdin, shell bool) error {
	reason := v.options.Policy.RefuseCommand(argv, stdin)
	if shell && len(v.options.Policy.ExecAllow) > 0 {
		reason = "a shell is none of the commands that PVE_MCP_EXEC_ALLOW names"
	}
	if reason == "" {
		return nil
	}
	return &policy.RefusedError{Reason: reason}
}
