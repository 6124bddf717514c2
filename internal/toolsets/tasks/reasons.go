package tasks

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// reasonsRead is how many logs of failed tasks a list looks into.
const reasonsRead = 10

// uninformativeRE matches exit statuses that only say that a task failed.
var bareRE = lazyregexp.New(`^(?:job errors|migration (?:aborted|problems)|unexpected status)$|(?:exited with code|exit code|got signal) \d+$`)

// addReasons adds the reason to the newest failed tasks of a list, if only their logs have it.
// A log that cannot be read adds nothing.
func addReasons(ctx context.Context, c *tool.Call, rows []taskRow) {
	var bare []*taskRow
	for i := range rows {
		if r := &rows[i]; r.State == "failed" && r.OfGuest == "" && bareRE.MatchString(r.ExitStatus) && len(bare) < reasonsRead {
			bare = append(bare, r)
		}
	}
	got, _, _ := cluster.Ask(c.View, bare, func(r *taskRow) string { return r.UPID }, func(r *taskRow) (string, error) {
		status := proxmox.TaskStatus{ExitStatus: lenient.Some(r.ExitStatus)}
		j, _ := jobOf(ctx, c, r.upid)
		reason, log := why(ctx, c, r.upid, status, j, 1)
		if reason == r.ExitStatus && len(log) > 0 {
			reason = log[0]
		}
		return reason, nil
	})
	for _, g := range got {
		if g.Value != g.From.ExitStatus {
			g.From.Reason = g.Value
		}
	}
}
