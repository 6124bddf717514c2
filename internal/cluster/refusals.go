package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// RequirePrivilege returns PVE's refusal for lack of a privilege. It is for what PVE would
// refuse later than a caller wants to know.
func RequirePrivilege(perms pve.Permissions, path, privilege string) error {
	if perms.Has(path, privilege) {
		return nil
	}
	return &proxmox.Error{Status: http.StatusForbidden, Message: fmt.Sprintf("Permission check failed (%s, %s)", path, privilege)}
}

// ExplainRefusal explains why a request about a guest, or 0 for none, is refused. It looks
// for the task that holds a lock, and whether the token's user has a privilege that the
// token lacks.
func (v *View) ExplainRefusal(ctx context.Context, id pve.VMID, err error) explain.Explanation {
	var locked *explain.LockedError
	if errors.As(err, &locked) {
		return v.explainLock(ctx, locked)
	}
	var refusal *proxmox.Error
	if errors.As(err, &refusal) {
		if lock, ok := pve.LockedBy(refusal); ok {
			return v.explainLock(ctx, &explain.LockedError{Guest: v.guests[id].Ref(), Lock: lock, Message: refusal.Message})
		}
		if busyRE.MatchString(refusal.Message) {
			return v.explainBusy(ctx, id, refusal.Message)
		}
		if path, privs, denied := refusal.Denied(); denied && v.userHas(ctx, path, privs) {
			return v.options.Explain.Separate(path, privs)
		}
	}
	return v.Explain(err)
}

// NextAfterFailure says what to do about a task on a node that has failed for a reason. The
// task is about a guest, or 0 for none.
func (v *View) NextAfterFailure(ctx context.Context, id pve.VMID, node, reason string) string {
	if lock, ok := pve.LockIn(reason); ok {
		return v.explainLock(ctx, &explain.LockedError{Guest: pve.GuestRef{VMID: id, Node: node}, Lock: lock, Message: reason}).Next
	}
	if busyRE.MatchString(reason) {
		return v.explainBusy(ctx, id, reason).Next
	}
	return explain.Hint(reason)
}

// busyRE matches PVE's message that it could not get a lock in time, on a guest's
// configuration or on one of the cluster's files. Nothing was done then.
var busyRE = lazyregexp.New(`can't lock file '.*' - got timeout|cfs-lock '.*' error: .*timeout`)

// explainBusy explains that PVE could not get a lock in time.
func (v *View) explainBusy(ctx context.Context, id pve.VMID, message string) explain.Explanation {
	e := explain.Explanation{
		What: "PVE is busy, and nothing was changed: " + render.Said(message, 300) + ".",
		Next: "Call again in a moment.",
	}
	g, found := v.guests[id]
	if !found {
		return e
	}
	if holders, err := v.lockHolders(ctx, g.Ref()); err == nil && len(holders) > 0 {
		e.Next = "The lock is probably held by " + strings.Join(holders, "; ") + ". Wait for its end with pve_task_status: upid and wait. Then call again."
	}
	return e
}

// lockHolders describes the tasks that work on a guest now, at most two, as far as they can
// be seen.
func (v *View) lockHolders(ctx context.Context, g pve.GuestRef) ([]string, error) {
	tasks, _, err := v.PVE.NodeTasks(ctx, g.Node, pve.TaskFilter{Source: "active"})
	if err != nil {
		return nil, err
	}
	var running []string
	for _, t := range tasks {
		if !t.EndTime.Set && (t.ID == g.VMID.String() || t.Type == "vzdump" && t.ID == "") { // a job of several guests
			running = append(running, describeTask(t))
		}
	}
	return running[:min(2, len(running))], nil
}

// explainLock explains a lock by the task that holds it, if one can be seen.
func (v *View) explainLock(ctx context.Context, err *explain.LockedError) explain.Explanation {
	e := explain.Locked(err.Message, err.Lock)
	if err.Lock == "suspended" { // no task holds that
		return e
	}
	holders, failed := v.lockHolders(ctx, err.Guest)
	if failed != nil {
		return e
	}
	if len(holders) > 0 {
		e.Next = "It is probably held by " + strings.Join(holders, "; ") + ". Wait for its end with pve_task_status: upid and wait."
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
func (v *View) userHas(ctx context.Context, path string, privs []string) bool {
	if len(privs) == 0 {
		return false
	}
	user, _, _ := strings.Cut(v.options.Explain.TokenID, "!")
	perms, err := v.PVE.PermissionsOf(ctx, user, path)
	return err == nil && slices.ContainsFunc(privs, func(p string) bool { return perms.Has(path, p) })
}
