package change

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// answerParts answers for the whole of a fleet: its outcome is the worst of its parts and of what
// its tool sees afterwards.
func (r *run) answerParts(ctx context.Context, parts []Part, stopped string) output {
	out, err := r.spec.finishFleet(ctx, r.call, r.state, parts)
	if err != nil {
		out = r.spec.output()
	}
	a := out.answer()
	seen := *a
	a.Outcome, a.Message = outcomeOf(parts, stopped), r.describeParts(parts, stopped)
	switch {
	case a.Outcome == tool.Running:
		a.Handle, a.Next = r.handle, "It goes on by itself. Follow it with pve_task_status: handle and wait."
	default:
		a.Next = cmp.Or(a.Next, r.plan.Later)
		a.Message = strings.TrimSpace(a.Message + " " + seen.Message)
		if seen.outweighs(*a) {
			a.Outcome = seen.Outcome
		}
	}
	return out
}

// outcomeOf is the outcome of the whole.
func outcomeOf(parts []Part, stopped string) tool.Outcome {
	has := func(o tool.Outcome) bool {
		return slices.ContainsFunc(parts, func(p Part) bool { return p.Outcome == o })
	}
	switch {
	case has(tool.Running), has("") && stopped == "":
		return tool.Running
	case has(tool.Unknown):
		return tool.Unknown
	case has(tool.Failed), has(""):
		return tool.Failed
	case has(tool.Warnings):
		return tool.Warnings
	}
	return tool.OK
}

// describeParts says in a sentence how many guests have come how far.
func (r *run) describeParts(parts []Part, stopped string) string {
	var said []string
	for _, kind := range []struct {
		outcome tool.Outcome
		words   string
	}{{tool.OK, "ok"}, {tool.Warnings, "with warnings"}, {tool.Failed, "failed"}, {tool.Unknown, "of unknown outcome"}, {tool.Running, "under way"}, {"", "not begun"}} {
		n := 0
		for _, p := range parts {
			if p.Outcome == kind.outcome {
				n++
			}
		}
		if n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, kind.words))
		}
	}
	text := fmt.Sprintf("%s: %s", r.plan.About, strings.Join(said, ", "))
	if stopped != "" && slices.ContainsFunc(parts, func(p Part) bool { return p.Outcome == "" }) {
		text += ", since " + stopped
	}
	return text + "."
}
