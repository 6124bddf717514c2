package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// FindTask finds a task about a guest that PVE has begun for the same user since a time. The
// type of the task ends with kind, such as start for qmstart, vzstart and hastart, and it is
// none of those that are known already, in their order. It is looked for on the node on which
// the guest is, and on others from which it may have moved. The result is zero if there is none.
func (v *View) FindTask(ctx context.Context, id pve.VMID, kind string, known []proxmox.UPID, begun time.Time, others ...string) (proxmox.UPID, error) {
	user, since := v.options.Explain.TokenID, begun.Add(-time.Minute) // by a clock that may differ
	g, err := v.Guest(ctx, id)
	var none *pve.NoGuestError
	if err != nil && (len(known) == 0 || !errors.As(err, &none)) {
		return proxmox.UPID{}, err
	}
	nodes := append([]string{g.Node.Value}, others...)
	if len(known) > 0 {
		user, since = known[0].User, known[0].Start
		nodes = append(nodes, known[len(known)-1].Node) // from which it may have moved, or been deleted
	}
	nodes = slices.DeleteFunc(nodes, func(n string) bool { return n == "" })
	slices.Sort(nodes)
	var found proxmox.UPID
	for _, node := range slices.Compact(nodes) {
		list, _, err := v.PVE.NodeTasks(ctx, node, pve.TaskFilter{Source: "all", VMID: id, Since: since, Limit: 100})
		if err != nil {
			return proxmox.UPID{}, err
		}
		for _, t := range list {
			fits := t.UPID.User == user && strings.HasSuffix(t.Type, kind)
			isKnown := slices.ContainsFunc(known, func(k proxmox.UPID) bool { return k.String() == t.UPID.String() })
			if fits && !isKnown && (found.IsZero() || t.UPID.Start.Before(found.Start)) {
				found = t.UPID
			}
		}
	}
	return found, nil
}

// TaskEnd returns when a task ended, which only the list of tasks says; ok is false if it
// does not.
func (v *View) TaskEnd(ctx context.Context, upid proxmox.UPID) (end time.Time, ok bool) {
	list, _, err := v.PVE.NodeTasks(ctx, upid.Node, pve.TaskFilter{Type: upid.Type, Since: upid.Start, Until: upid.Start, Limit: 100})
	if err != nil {
		return time.Time{}, false
	}
	for _, t := range list {
		if t.UPID.String() == upid.String() && t.EndTime.Set {
			return time.Unix(t.EndTime.Value, 0), true
		}
	}
	return time.Time{}, false
}

// StateAndTasks says what can be seen of a guest after a change whose outcome is unknown:
// its state, and its newest tasks, one of which may be the change.
func (v *View) StateAndTasks(ctx context.Context, id pve.VMID) []string {
	g, s, err := v.Live(ctx, id)
	if err != nil {
		return []string{fmt.Sprintf("guest %v cannot be looked at: %s", id, v.Explain(err).What)}
	}
	now := fmt.Sprintf("%v on %s is %s now", g, g.Node, s.State())
	if s.Lock.Value != "" {
		now += ", locked by " + s.Lock.Value
	}
	const most = 3
	tasks, _, err := v.PVE.NodeTasks(ctx, g.Node, pve.TaskFilter{Source: "all", VMID: id, Limit: most})
	if err != nil {
		return []string{now, "its tasks cannot be looked at: " + v.Explain(err).What}
	}
	out := []string{now}
	for _, t := range tasks[:min(most, len(tasks))] {
		out = append(out, "task "+describeTask(t))
	}
	if len(tasks) == 0 {
		out = append(out, "it has no task there that this token may see")
	}
	return out
}

// describeTask says what a task was, when it began and how it ended.
func describeTask(t pve.Task) string {
	state := "running"
	if t.EndTime.Set {
		state = "ended with " + render.Said(t.Status.Or("an unknown status"), 200)
	}
	return fmt.Sprintf("%s by %s, begun at %s, %s: %v", t.Type, t.UPID.User, render.Time(time.Unix(t.StartTime.Value, 0)), state, t.UPID)
}
