package change

import (
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// Answer is the part of a change's answer that is the same for all. Every Out of a [Spec]
// embeds it first: hosts fold an answer, and show how it begins.
type Answer struct {
	Message      string       `json:"message" jsonschema:"what happened"`
	Outcome      tool.Outcome `json:"outcome"`
	Next         string       `json:"next,omitzero" jsonschema:"what to do now"`
	UPID         string       `json:"upid,omitzero" jsonschema:"the task"`
	Handle       string       `json:"handle,omitzero" jsonschema:"the task with what comes after it, for pve_task_status"`
	ExitStatus   string       `json:"exit_status,omitzero" jsonschema:"the task's exit status"`
	Log          []string     `json:"log,omitzero" jsonschema:"the lines of its log that say why"`
	Found        []string     `json:"found,omitzero" jsonschema:"where the outcome is unknown: what is true now, and what was done lately"`
	Steps        []string     `json:"steps,omitzero" jsonschema:"of a plan, in their order"`
	PlanHandle   string       `json:"plan_handle,omitzero" jsonschema:"with which the same tool does exactly this plan"`
	Consequences []string     `json:"consequences,omitzero" jsonschema:"what it would do"`
}

func (a *Answer) answer() *Answer { return a }

// SetOutcome says how a change ended, by what is seen of it now.
func (a *Answer) SetOutcome(outcome tool.Outcome, next, format string, args ...any) {
	a.Outcome, a.Message, a.Next = outcome, fmt.Sprintf(format, args...), next
}

// outweighs reports whether what was seen is no success, and no better than what PVE has
// reported.
func (a *Answer) outweighs(reported Answer) bool {
	ends := []tool.Outcome{tool.OK, tool.Warnings, tool.Failed, tool.Unknown}
	seen := slices.Index(ends, a.Outcome)
	return seen > 0 && seen >= slices.Index(ends, reported.Outcome)
}
