package tool

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// powerRE matches the types of tasks that leave nothing undone which their guest's state
// would not show, and are too many to read the logs of.
var powerRE = lazyregexp.New(`^(?:qm|vz|ha)(?:start|stop|shutdown|reboot|reset|pause|suspend|resume)$`)

// undoneRE matches what the log of a task says that ends OK all the same.
var undoneRE = lazyregexp.New(`^(?:INFO: )?(?:WARN: |skipping guest-agent 'fs-freeze'|guest-fsfreeze-\w+ problems)|, check manually\b|` +
	`(?i)^(?:INFO: |ERROR: |error: )?(?:could not|couldn't|cannot|can't|unable to|failed to) (?:remove|delete|free|destroy|clean ?up|unlock)\b`)

// Undone returns the lines of a log by which something was left undone.
func Undone(lines []proxmox.LogLine) []string {
	var out []string
	for _, l := range lines {
		text := stampRE.ReplaceAllString(l.Says(), "")
		if line := render.Said(text, maxLine); undoneRE.MatchString(text) && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return render.Few(out, linesOfWhy)
}

// Undone returns the lines by which a task that has ended OK left something undone, as far as
// its log can be read: its begin and its end, where it is very long.
func (c *Call) Undone(ctx context.Context, upid proxmox.UPID) []string {
	if upid.IsZero() || powerRE.MatchString(upid.Type) {
		return nil
	}
	lines, _, err := c.PVE.TaskLogEnds(ctx, upid, endsRead)
	if err != nil {
		return nil
	}
	return Undone(lines)
}
