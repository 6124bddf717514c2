package guests

import (
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/guestexec"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// printed is an output of a command as far as it is known.
type printed struct {
	text   string
	beyond int64 // bytes that are known to come after it
	open   bool  // more comes after it
}

// excerpt is what a change of many guests keeps of an output.
func (p printed) excerpt() guestexec.Excerpt {
	e := guestexec.Excerpt{Head: render.Lines(p.text, len(p.text)), Cut: int(p.beyond), Open: p.open}
	return e.Within(mostKept)
}

// mostKept is the most bytes of each output that a change of many guests keeps.
const mostKept = 6000

// Details are what a change of many guests keeps of an answer: nil if nothing was run.
func (out *execOut) Details() any {
	if out.ExitCode == nil && out.Signal == nil && out.Process == "" && out.Stdout == "" && out.Stderr == "" {
		return nil
	}
	kept := guestexec.Printed{
		ExitCode: out.ExitCode, Process: out.Process, Remark: out.Message, All: exactjson.Digest([]any{out.Stdout, out.Stderr}),
		Stdout: out.out.excerpt(), Stderr: out.err.excerpt(),
	}
	if out.Cut {
		kept.All = "" // that there is more is all that is known
	}
	if out.ExitCode != nil {
		kept.Remark = strings.TrimPrefix(out.Message, endedWith(*out.ExitCode))
	}
	if len(out.Files) > 0 {
		kept.Remark += " All of its output is in the guest: " + strings.Join(out.Files, ", ") + "."
	}
	kept.Remark = strings.TrimSpace(kept.Remark)
	return kept
}
