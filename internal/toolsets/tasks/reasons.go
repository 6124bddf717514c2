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
var uninformativeRE = lazyregexp.New(`^(?:job errors|migration (?:aborted|problems)|unexpected status)$|(?:exited with code|exit code|got signal) \d+$`)

// addReasons adds the reason to the newest failed tasks of a list, if only their logs have it.
// A log that cannot be read adds nothing.
func addReasons(ctx context.Context, c *tool.Call, rows []taskRow) {
	var unclear []*taskRow
	for i := range rows {
		if r := &rows[i]; r.State == "failed" && r.OfGuest == "" && uninformativeRE.MatchString(r.ExitStatus) && len(unclear) < reasonsRead {
			unclear = append(unclear, r)
		}
	}
	got, _, _ := cluster.Ask(c.View, unclear, func(r *taskRow) string { return r.UPID }, func(r *taskRow) (string, error) {
		status := proxmox.TaskStatus{ExitStatus: lenient.Some(r.ExitStatus)}
		j, _ := jobOf(ctx, c, r.upid)
		reason, log := reasonOf(ctx, c, r.upid, status, j, 1)
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
