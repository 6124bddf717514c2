package tool

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// traces says what can be seen of a guest after a change whose outcome is unknown: its
// state, and its newest tasks, one of which may be the change.
func (c *Call) traces(ctx context.Context, id pve.VMID) []string {
	g, s, err := c.Live(ctx, id)
	if err != nil {
		return []string{fmt.Sprintf("guest %v cannot be looked at: %s", id, c.Explain(err).What)}
	}
	now := fmt.Sprintf("%v on %s is %s now", g, g.Node, s.State())
	if s.Lock.Value != "" {
		now += ", locked by " + s.Lock.Value
	}
	const most = 3
	tasks, _, err := c.PVE.NodeTasks(ctx, g.Node, url.Values{"vmid": {id.String()}, "source": {"all"}, "limit": {strconv.Itoa(most)}})
	if err != nil {
		return []string{now, "its tasks cannot be looked at: " + c.Explain(err).What}
	}
	out := []string{now}
	for _, t := range tasks[:min(most, len(tasks))] {
		out = append(out, "task "+taskLine(t))
	}
	if len(tasks) == 0 {
		out = append(out, "it has no task there that this token may see")
	}
	return out
}

// taskLine says what a task was, when it began and how it ended.
func taskLine(t pve.Task) string {
	state := "running"
	if t.EndTime.Set {
		state = "ended with " + render.Said(t.Status.Or("an unknown status"), 200)
	}
	return fmt.Sprintf("%s by %s, begun at %s, %s: %v", t.Type, t.UPID.User, render.Time(time.Unix(t.StartTime.Value, 0)), state, t.UPID)
}
