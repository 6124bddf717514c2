package tool

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/explain"
)

// record is what the audit log gets of the call.
func (r *change) record() audit.Record {
	rec := audit.Record{
		Tool: r.tool.Name, Caller: r.req.Caller, Arguments: r.req.Arguments,
		About: r.about(), Cluster: r.host.Cluster, Guest: r.plan.Subject.VMID(), Consent: cmp.Or(r.given.By(), "none"),
	}
	if rec.Guest == 0 && r.plan.Subject.Kind != "" {
		rec.Subject = r.plan.Subject.String()
	}
	if r.call != nil {
		rec.Node = r.call.guests[r.plan.guest()].Node.Value
	}
	return rec
}

// about names the step that is taken, or the whole before there is one.
func (r *change) about() string {
	if r.at < len(r.steps) {
		return r.steps[r.at].about
	}
	return r.plan.About
}

// notSent records a call that ends with an answer, or with a question, before anything was
// sent.
func (r *change) notSent(ctx context.Context, out output) output {
	if r.asks != nil {
		return r.recordQuestion(ctx, out)
	}
	ch := out.changed()
	outcome := "failed"
	switch {
	case r.unanswered:
		outcome = "unanswered"
	case ch.Outcome == Declined:
		outcome = "declined"
	case ch.Outcome == NeedsConfirmation, r.fault == Refused:
		outcome = "refused"
	}
	rec := r.record()
	rec.Reason = ch.Message
	if err := r.host.Audit.Refuse(ctx, rec, outcome); err != nil {
		ch.Message += fmt.Sprintf(" This call is missing in the audit log: %v.", err)
	}
	return out
}

// recordQuestion records that a human is asked, who is not where that cannot be recorded.
func (r *change) recordQuestion(ctx context.Context, out output) output {
	if err := r.host.Audit.Ask(ctx, r.record()); err != nil {
		r.asks = nil
		return r.failed(ctx, unrecorded(err))
	}
	return out
}

// unrecorded refuses what the audit log cannot take.
func unrecorded(err error) error {
	return explain.Refusal("See to the audit log (PVE_MCP_AUDIT_LOG), then call again.", "Nothing was sent, because it cannot be recorded: %v.", err)
}
