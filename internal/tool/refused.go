package tool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/render"
	"pve-mcp/pve"
)

// refused explains why a call about a guest, or 0, is refused: a lock by the task that
// holds it, a missing privilege by whether the token's user has it.
func (c *Call) refused(ctx context.Context, id pve.VMID, err error) explain.Explanation {
	var locked *explain.LockedError
	if errors.As(err, &locked) {
		return c.locked(ctx, locked)
	}
	var said *pve.Error
	if errors.As(err, &said) {
		if lock, ok := said.LockedBy(); ok {
			g := c.guests[id]
			return c.locked(ctx, &explain.LockedError{Guest: g.Ref(), Lock: lock, Message: said.Message})
		}
		if path, privs, denied := said.Denied(); denied && c.userHas(ctx, path, privs) {
			return c.host.Explain.Separate(path, privs)
		}
	}
	return c.Explain(err)
}

// locked explains a lock by the task that holds it, where one can be seen.
func (c *Call) locked(ctx context.Context, err *explain.LockedError) explain.Explanation {
	e := explain.Locked(err.Message, err.Lock)
	if err.Lock == "suspended" { // no task holds that
		return e
	}
	tasks, _, failed := c.PVE.NodeTasks(ctx, err.Guest.Node, url.Values{"source": {"active"}})
	if failed != nil {
		return e
	}
	var running []string
	for _, t := range tasks {
		if t.ID == err.Guest.VMID.String() || t.Type == "vzdump" && t.ID == "" { // a job of several guests
			running = append(running, taskLine(t))
		}
	}
	if len(running) > 0 {
		e.Next = "It is probably held by " + strings.Join(running[:min(2, len(running))], "; ") + ". Wait for its end with pve_task_status: upid and wait."
		return e
	}
	tool := "qm"
	if strings.HasPrefix(err.Message, "CT") {
		tool = "pct"
	}
	e.Next = fmt.Sprintf("No task on node %s that this token may see holds it. If none does at all, it was left behind by a crash: an administrator frees it there with %s unlock %v.",
		render.Text(err.Guest.Node, 60), tool, err.Guest.VMID)
	return e
}

// userHas reports whether the token's user has one of some privileges on a path, as far as
// PVE lets the token know.
func (c *Call) userHas(ctx context.Context, path string, privs []string) bool {
	if len(privs) == 0 {
		return false
	}
	user, _, _ := strings.Cut(c.host.Explain.TokenID, "!")
	perms, err := c.PVE.PermissionsOf(ctx, user, path)
	return err == nil && slices.ContainsFunc(privs, func(p string) bool { return perms.Has(path, p) })
}
