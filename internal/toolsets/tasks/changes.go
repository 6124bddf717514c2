package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// looked is how many tasks of a node are looked through for those that changed something.
const looked = 1000

// keepChanges leaves out the tasks of a node that changed nothing of which people want to know.
func (p *part) keepChanges(node string, read, all int) {
	if all > read {
		p.notes = append(p.notes, fmt.Sprintf("of %d tasks on %s the newest %d were looked through; since bounds them", all, node, read))
	}
	p.rows = slices.DeleteFunc(p.rows, func(r taskRow) bool { return !isChange(r) })
	p.total = len(p.rows)
}

// isChange reports whether a task is neither a console, nor a package list, nor a backup that
// went well.
func isChange(r taskRow) bool {
	if r.OfGuest != "" {
		return !strings.HasPrefix(r.OfGuest, "ok ")
	}
	if r.Type == backup {
		return r.State == "failed" || r.State == "warnings"
	}
	usual := strings.Fields("aptupdate spiceproxy spiceshell termproxy vncproxy vncshell")
	return !slices.Contains(usual, r.Type)
}

// addAskers says of tasks who asked pve-mcp for them, as far as the audit log of this process
// knows.
func addAskers(c *tool.Call, out *listOut) {
	asked, err := c.Host().Audit.AskedFor()
	if err != nil {
		out.Notes = append(out.Notes, "who asked pve-mcp for what cannot be read: "+render.Text(err.Error(), 200))
	}
	for i := range out.Tasks {
		if by, ok := asked[out.Tasks[i].UPID]; ok {
			out.Tasks[i].AskedBy = render.Text(fmt.Sprintf("%s (%s)", by.Caller, by.Tool), 120)
		}
	}
}
