package cluster

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// powerRE matches the types of tasks whose logs are not read: they are many, and what they
// leave undone shows in the state of their guest.
var powerRE = lazyregexp.New(`^(?:qm|vz|ha)(?:start|stop|shutdown|reboot|reset|pause|suspend|resume)$`)

// undoneRE matches the lines by which a task that ends OK says that something was not done.
var undoneRE = lazyregexp.New(`^(?:INFO: )?(?:WARN: |skipping guest-agent 'fs-freeze'|guest-fsfreeze-\w+ problems)|, check manually\b|` +
	`(?i)^(?:INFO: |ERROR: |error: )?(?:could not|couldn't|cannot|can't|unable to|failed to) (?:remove|delete|free|destroy|clean ?up|unlock)\b`)

// mostUndone is how many such lines are shown.
const mostUndone = 5

// UndoneLines returns the lines of a log by which something was left undone.
func UndoneLines(lines []proxmox.LogLine) []string {
	var out []string
	for _, l := range lines {
		text := stampRE.ReplaceAllString(l.Says(), "")
		if line := render.Said(text, maxLine); undoneRE.MatchString(text) && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return render.Few(out, mostUndone)
}

// LinesLeftUndone returns the lines by which a task that has ended OK says that something was
// left undone. Of a very long log, the start and the end are read.
func (v *View) LinesLeftUndone(ctx context.Context, upid proxmox.UPID) []string {
	if upid.IsZero() || powerRE.MatchString(upid.Type) {
		return nil
	}
	lines, _, err := v.PVE.TaskLogEnds(ctx, upid, logEndsRead)
	if err != nil {
		return nil
	}
	return UndoneLines(lines)
}
