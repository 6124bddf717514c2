package tool

import (
	"cmp"
	"context"
	"fmt"

	"pve-mcp/internal/audit"
)

// record is what the audit log gets of the call.
func (r *change) record() audit.Record {
	rec := audit.Record{
		Tool: r.tool.Name, Caller: r.req.Caller, Arguments: r.req.Arguments,
		About: r.plan.About, Guest: int(r.plan.Guest), Consent: cmp.Or(r.given.By(), "none"),
	}
	if r.call != nil {
		rec.Node = r.call.guests[r.plan.Guest].Node.Value
	}
	return rec
}

// notSent records a call that ends with an answer before anything was sent. One that
// asks a human is not over.
func (r *change) notSent(ctx context.Context, out output) output {
	ch := out.changed()
	outcome := "failed"
	switch {
	case r.asks != nil:
		return out
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
