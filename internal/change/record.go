package change

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// auditRecord is what the audit log gets of the call.
func (r *run) auditRecord() audit.Record {
	maker := r
	if r.whole != nil {
		maker = r.whole
	}
	rec := audit.Record{
		Tool: maker.tool.Name, Caller: r.req.Caller, Arguments: r.req.Arguments,
		About: r.about(), Cluster: r.host.Cluster, Guest: r.plan.Subject.VMID(), Consent: cmp.Or(r.consent.By(), "none"),
	}
	if rec.Guest == 0 && r.plan.Subject.Kind != "" {
		rec.Subject = r.plan.Subject.String()
	}
	if r.call != nil {
		rec.Node = r.call.NodeOf(r.plan.guest())
	}
	return rec
}

// about names the step that is taken, or the whole before there is one.
func (r *run) about() string {
	if r.at < len(r.steps) {
		return r.steps[r.at].about
	}
	return r.plan.About
}

// recordStep records the start and the end of a step that do takes. A step that cannot be
// recorded is not taken.
func (r *run) recordStep(ctx context.Context, do func() output) (out output) {
	entry, err := r.host.Audit.Begin(ctx, r.auditRecord())
	if err != nil {
		return r.answerFailed(ctx, unrecorded(err))
	}
	r.call.NoteChangeBegun(r.plan.guest())
	end := Answer{Outcome: tool.Unknown} // if a bug ends it
	defer func() { r.recordEnd(ctx, entry, end, out) }()
	step := r.at
	out = do()
	switch {
	case out != nil:
		end = *out.answer()
		if r.at == len(r.steps) { // the answer is about the whole
			end.UPID = r.jobs[step].UPID.String()
		}
	case len(r.ends) > 0:
		end = r.ends[len(r.ends)-1]
	}
	return out
}

func (r *run) recordEnd(ctx context.Context, entry *audit.Entry, end Answer, out output) {
	if err := entry.End(ctx, string(end.Outcome), end.UPID); err != nil && out != nil {
		out.answer().Message += fmt.Sprintf(" This outcome is missing in the audit log: %v.", err)
	}
	if end.Outcome != tool.Running && end.Outcome != tool.Unknown {
		r.call.NoteChangeEnded(r.plan.guest())
	}
}

// recordNotSent records a call that ends with an answer, or with a question, before anything
// was sent.
func (r *run) recordNotSent(ctx context.Context, out output) output {
	if r.question != nil {
		return r.recordQuestion(ctx, out)
	}
	a := out.answer()
	outcome := "failed"
	switch {
	case r.unanswered:
		outcome = "unanswered"
	case a.Outcome == tool.Declined:
		outcome = "declined"
	case a.Outcome == tool.NeedsConfirmation, r.fault == tool.Refused:
		outcome = "refused"
	}
	rec := r.auditRecord()
	rec.Reason = a.Message
	if err := r.host.Audit.Refuse(ctx, rec, outcome); err != nil {
		a.Message += fmt.Sprintf(" This call is missing in the audit log: %v.", err)
	}
	return out
}

// recordQuestion records that a human is asked. A human is not asked if that cannot be
// recorded.
func (r *run) recordQuestion(ctx context.Context, out output) output {
	if err := r.host.Audit.Ask(ctx, r.auditRecord()); err != nil {
		r.question = nil
		return r.answerFailed(ctx, unrecorded(err))
	}
	return out
}

// unrecorded refuses what the audit log cannot take.
func unrecorded(err error) error {
	return explain.Refusal("See to the audit log (PVE_MCP_AUDIT_LOG), then call again.", "Nothing was sent, because it cannot be recorded: %v.", err)
}
