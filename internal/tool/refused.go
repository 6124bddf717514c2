package tool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// refused explains why a call about a guest, or 0, is refused: a lock by the task that
// holds it, a missing privilege by whether the token's user has it.
func (c *Call) refused(ctx context.Context, id pve.VMID, err error) explain.Explanation {
	var locked *explain.LockedError
	if errors.As(err, &locked) {
		return c.locked(ctx, locked)
	}
	var said *proxmox.Error
	if errors.As(err, &said) {
		if lock, ok := pve.LockedBy(said); ok {
			g := c.guests[id]
			return c.locked(ctx, &explain.LockedError{Guest: g.Ref(), Lock: lock, Message: said.Message})
		}
		if busyRE.MatchString(said.Message) {
			return c.busy(ctx, id, said.Message)
		}
		if path, privs, denied := said.Denied(); denied && c.userHas(ctx, path, privs) {
			return c.host.Explain.Separate(path, privs)
		}
	}
	return c.Explain(err)
}

// busyRE matches that PVE could not have a lock in time, on a guest's configuration or on
// one of the cluster's files. Nothing was done then.
var busyRE = lazyregexp.New(`can't lock file '.*' - got timeout|cfs-lock '.*' error: .*timeout`)

// busy explains that a lock was not to be had in time.
func (c *Call) busy(ctx context.Context, id pve.VMID, message string) explain.Explanation {
	e := explain.Explanation{
		What: "PVE is busy, and nothing was changed: " + render.Said(message, 300) + ".",
		Next: "Call again in a moment.",
	}
	g, found := c.guests[id]
	if !found {
		return e
	}
	if running, err := c.holders(ctx, g.Ref()); err == nil && len(running) > 0 {
		e.Next = "The lock is probably held by " + strings.Join(running, "; ") + ". Wait for its end with pve_task_status: upid and wait. Then call again."
	}
	return e
}

// holders are the tasks that work on a guest now, at most two, as far as they can be seen.
func (c *Call) holders(ctx context.Context, g pve.GuestRef) ([]string, error) {
	tasks, _, err := c.PVE.NodeTasks(ctx, g.Node, url.Values{"source": {"active"}})
	if err != nil {
		return nil, err
	}
	var running []string
	for _, t := range tasks {
		if !t.EndTime.Set && (t.ID == g.VMID.String() || t.Type == "vzdump" && t.ID == "") { // a job of several guests
			running = append(running, taskLine(t))
		}
	}
	return running[:min(2, len(running))], nil
}

// locked explains a lock by the task that holds it, where one can be seen.
func (c *Call) locked(ctx context.Context, err *explain.LockedError) explain.Explanation {
	e := explain.Locked(err.Message, err.Lock)
	if err.Lock == "suspended" { // no task holds that
		return e
	}
	running, failed := c.holders(ctx, err.Guest)
	if failed != nil {
		return e
	}
	if len(running) > 0 {
		e.Next = "It is probably held by " + strings.Join(running, "; ") + ". Wait for its end with pve_task_status: upid and wait."
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
