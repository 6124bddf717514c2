package tasks

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
	"pve-mcp/pve/lazyregexp"
)

// backup is the type of a backup's task. PVE's filter by guest does not find one of
// several guests: only its log names them.
const backup = "vzdump"

const (
	// jobsRead is how many backup jobs of several guests a call looks into, per node.
	jobsRead = 5
	// jobLines is how much of a job's log it reads.
	jobLines = 5000
)

// addJobs adds the backup jobs of several guests that had a part for the guest.
func (p *part) addJobs(ctx context.Context, c *tool.Call, node string, in listIn, params url.Values) error {
	params.Set("typefilter", backup)
	params.Set("limit", strconv.Itoa(10*jobsRead))
	params.Del("errors") // a job may have failed for another guest
	list, _, err := c.PVE.NodeTasks(ctx, node, params)
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
		lines, _, err := c.PVE.TaskLog(ctx, t.UPID, 0, jobLines)
		if err != nil {
			return err
		}
		state, text := partOf(lines, in.VMID)
		if state == "" || in.Errors && state == "ok" {
			continue
		}
		row := rowOf(c, t)
		row.OfGuest = text
		p.rows, p.total = append(p.rows, row), p.total+1
	}
	return nil
}

// partRE matches the lines of a backup's log that begin or end a guest's part.
var partRE = lazyregexp.New(`^(?:INFO: (Starting|Finished)|ERROR:) Backup of (?:VM|CT) (\d+) ?(.*)$`)

// partOf says what became of a guest in a backup job; state is "" where the job had no
// part for it.
func partOf(lines []pve.LogLine, id pve.VMID) (state, text string) {
	for _, l := range lines {
		m := partRE.FindStringSubmatch(l.Text.Value)
		if m == nil || m[2] != id.String() {
			continue
		}
		switch m[1] {
		case "Starting":
			state, text = "running", "begun, and not ended"
		case "Finished":
			state, text = "ok", "ok "+m[3]
		default:
			state, text = "failed", render.Said(m[3], 200)
		}
	}
	return state, text
}
