package change

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// run is one call of a tool that changes something, or the part of one that goes on after its
// call. Methods that return an output return the answer with which the call ends, or nil if
// it goes on.
type run struct {
	tool tool.Tool
	spec *spec
	host tool.Host
	req  tool.Request

	in       input
	call     *tool.Call
	plan     Plan
	state    any // a pointer
	steps    []step
	consent  policy.Consent
	takeAway policy.Consent // for what the change itself has made
	question *tool.Question
	fault    tool.Fault

	whole  *run   // the change of many guests that makes this call, nil for a change of its own
	onSeen func() // is called when the call's task was looked at; may be nil

	digest       string         // of the input
	sealedPlan   *sealedPlan    // that the call is to carry out
	planHandle   string         // with which the call names it
	asked        sealedQuestion // the question whose answer came
	replyProblem string         // why that answer does not count
	unanswered   bool           // the human was asked, and said nothing

	started      time.Time
	at           int      // the step that is taken
	jobs         []Job    // of the steps that were begun
	ends         []Answer // of the steps that have succeeded
	last         End      // of the last task that has
	id           string   // of the change
	handle       string   // once something was begun
	resumed      *Handle  // if this is not the call that has begun the change
	interrupted  bool
	detached     bool
	inBackground bool // another goroutine takes the steps that are left
	isAnothers   bool // another process may be taking the step
	nextNotSent  bool // the next step was not begun, and nobody begins it
}

// resultOf returns the result that has an answer.
func (r *run) resultOf(out output) tool.Result {
	if a := out.answer(); a.Outcome == tool.Running && r.call != nil && r.in != nil && r.whole == nil {
		a.Next = strings.TrimSpace(a.Next + " " + r.call.CutWait(r.in.wait()))
	}
	res := tool.ResultOf(out)
	res.Fault = r.fault
	res.Outcome = out.answer().Outcome
	res.IsError = res.Outcome == tool.Failed || res.Outcome == tool.Unknown
	res.Question = r.question
	res.Interrupted, res.Detached = r.interrupted, r.detached
	if res.Outcome == tool.Running {
		res.Handle = r.handle // as long as there is something to follow
	}
	return res
}

// respond answers the call.
func (r *run) respond(ctx context.Context) output {
	r.id = rand.Text()
	begun, err := r.openPlan(ctx)
	if err != nil {
		return r.recordNotSent(ctx, r.answerFailed(ctx, err))
	}
	if begun != nil {
		return r.takeStepsLeft(ctx, begun)
	}
	if err := r.makePlan(ctx); err != nil {
		return r.recordNotSent(ctx, r.answerFailed(ctx, err))
	}
	if r.plan.Already != "" {
		return r.answerAlready(ctx)
	}
	risk := r.riskOf()
	if reason := r.refusal(ctx, risk); reason != "" {
		return r.recordNotSent(ctx, r.answerFailed(ctx, &policy.RefusedError{Reason: reason}))
	}
	if err := r.checkSealedPlan(ctx); err != nil {
		return r.recordNotSent(ctx, r.answerFailed(ctx, err))
	}
	if wantsPlan(r.in) {
		return r.answerPlanned(ctx, risk)
	}
	if r.plan.ReadOnly {
		risk = policy.Read
	}
	if err := r.checkTyping(); err != nil {
		return r.recordNotSent(ctx, r.answerFailed(ctx, err))
	}
	var out output
	if r.consent, out = r.decideConsent(ctx, risk); out != nil {
		return r.recordNotSent(ctx, out)
	}
	r.takeAway = r.consent
	if out := r.typeSecrets(ctx); out != nil {
		return r.recordNotSent(ctx, out)
	}
	planned := r.call.Now()
	r.call.HoldTime(time.Time{})
	r.started = r.host.Now()
	if r.plan.Fleet != nil {
		return r.sendFleet(ctx, planned)
	}
	return r.sendSteps(ctx)
}

// riskOf is the risk of the call as it is planned.
func (r *run) riskOf() policy.Risk {
	risk := max(r.spec.risk(r.in), r.plan.Risk, r.plan.Fleet.worst())
	if r.plan.Destructive {
		risk = max(risk, policy.Destructive)
	}
	return risk
}

// answerAlready answers if there is nothing to do.
func (r *run) answerAlready(ctx context.Context) output {
	out, err := r.spec.finish(ctx, r.call, r.state, End{})
	return r.answerFinished(out, err, Answer{Outcome: tool.OK, Message: r.plan.Already})
}

// makePlan reads the arguments and plans the change.
func (r *run) makePlan(ctx context.Context) (err error) {
	if err := r.tool.ReadArguments(ctx, r.host, &r.req, r.in); err != nil {
		return err
	}
	if reason := r.req.Refusal(r.host.Policy, r.spec.risk(r.in)); reason != "" {
		return &policy.RefusedError{Reason: reason}
	}
	r.req.Progress = r.progressOfAll(r.req.Progress)
	if r.call, err = tool.NewCall(ctx, r.host, r.req); err != nil {
		return err
	}
	r.call.SetID(r.id)
	r.digest = exactjson.Digest(r.in)
	if err := r.openReply(ctx); err != nil {
		return err
	}
	if r.plan, r.state, err = r.spec.plan(ctx, r.call, r.in); err != nil {
		return err
	}
	r.steps = r.spec.steps(r.plan, r.state)
	return nil
}

// progressOfAll returns what reports the progress of a step as that of all steps. It goes up
// with every report, as MCP wants.
func (r *run) progressOfAll(report func(cluster.Progress)) func(cluster.Progress) {
	if report == nil {
		return nil
	}
	last := 0.0
	return func(p cluster.Progress) {
		p.Done = max(p.Done+float64(100*r.at), last+0.001)
		last = p.Done
		if p.Total > 0 {
			p.Total = float64(100 * max(1, len(r.steps)))
		}
		report(p)
	}
}

// refusal says why the call that is planned is not made: it is worse than its input told and
// than the caller may do, or the rules forbid what a human would be asked about. The guard
// below the client knows the rules for every request; this check spares a human a useless
// question.
func (r *run) refusal(ctx context.Context, risk policy.Risk) string {
	if reason := r.req.Refusal(r.host.Policy, risk); reason != "" {
		return reason
	}
	if risk < policy.Destructive || r.host.Guard == nil {
		return ""
	}
	targets := r.targets()
	if targets == nil {
		targets = []policy.Target{{Subject: r.plan.Subject}}
	}
	for _, target := range targets {
		if reason := r.host.Guard.Refuse(ctx, target); reason != "" {
			return reason
		}
	}
	return ""
}

// targets are the requests that need the consent.
func (r *run) targets() []policy.Target {
	if r.plan.Fleet != nil {
		return r.plan.Fleet.targets()
	}
	var out []policy.Target
	for _, s := range r.steps {
		if s.target.Method != "" {
			out = append(out, s.target)
		}
	}
	return out
}
