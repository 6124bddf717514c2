package tasks

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// jobsRead is how many backup jobs of several guests a call looks into, per node.
const jobsRead = 5

// addJobs adds the backup jobs of several guests that included the guest.
func (p *part) addJobs(ctx context.Context, c *tool.Call, node string, in listIn, jobs pve.TaskFilter) error {
	jobs.Type, jobs.Limit = backup, 10*jobsRead
	jobs.Errors = false // a job may have failed for another guest
	list, _, err := c.PVE.NodeTasks(ctx, node, jobs)
	if err != nil {
		return err
	}
	read := 0
	for _, t := range list {
		if t.ID != "" {
			continue
		}
		if read++; read > jobsRead {
			p.notes = append(p.notes, fmt.Sprintf("of the backup jobs of several guests on %s only the newest %d were looked into", node, jobsRead))
			return nil
		}
		j, err := readJob(ctx, c, t.UPID)
		if err != nil {
			return err
		}
		state, text := j.partOf(in.VMID)
		if state == "" && !j.whole() {
			p.notes = append(p.notes, fmt.Sprintf("the log of a backup job on %s is too long to be read whole: whether the guest was in it is not known (%v)", node, t.UPID))
		}
		if state == "" || in.Errors && state == pve.BackupDone {
			continue
		}
		row := rowOf(c, t)
		row.OfGuest = text
		p.rows, p.total = append(p.rows, row), p.total+1
	}
	return nil
}

// partOf says what became of a guest in a backup job; state is "" if the job did not include
// it.
func (j *job) partOf(id pve.VMID) (state pve.BackupState, text string) {
	for _, g := range j.Guests {
		switch {
		case g.VMID != id:
		case g.State == pve.BackupDone:
			return g.State, "ok (" + render.Duration(g.Took) + ")"
		case g.State == pve.BackupFailed:
			return g.State, render.Said("failed - "+g.Reason, 200)
		default:
			return g.State, "begun, but not ended"
		}
	}
	return "", ""
}
