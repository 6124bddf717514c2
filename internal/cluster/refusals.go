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
			if g, s, err := v.Live(proxmox.ReadAgain(ctx), id); err == nil && s.Lock.Value == lock {
				return v.explainLock(ctx, &explain.LockedError{Guest: g, Lock: lock, Message: fmt.Sprintf("%v is locked (%s)", g, lock)})
			}
			return v.Explain(refusal) // of another guest, or gone by now
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
		g := pve.GuestRef{VMID: id, Node: node, Kind: pve.QEMU}
		if strings.HasPrefix(reason, "CT") {
			g.Kind = pve.LXC
		}
		return v.explainLock(ctx, &explain.LockedError{Guest: g, Lock: lock, Message: reason}).Next
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
	g, found := v.guests.find(id)
	if !found {
		return e
	}
	if holders, err := v.lockHolders(ctx, g.Ref(), ""); err == nil && len(holders) > 0 {
		e.Next = "The lock is probably held by " + strings.Join(holders, "; ") + ". Wait for its end with pve_task_status: upid and wait. Then call again."
	}
	return e
}

// lockHolders describes the tasks that work on a guest now and may hold a lock of it, "" for any,
// at most two, as far as they can be seen.
func (v *View) lockHolders(ctx context.Context, g pve.GuestRef, lock string) ([]string, error) {
	tasks, _, err := v.PVE.NodeTasks(ctx, g.Node, pve.TaskFilter{Source: "active"})
	if err != nil {
		return nil, err
	}
	var running []string
	for _, t := range tasks {
		if !t.EndTime.Set && pve.MayLock(t.UPID, g, lock) {
			running = append(running, describeTask(t))
		}
	}
	return running[:min(2, len(running))], nil
}

// explainLock explains a lock by the task that holds it, or has left it behind, if one can be
// seen.
func (v *View) explainLock(ctx context.Context, err *explain.LockedError) explain.Explanation {
	if g, known := v.guests.find(err.Guest.VMID); known {
		err = &explain.LockedError{Guest: g.Ref(), Lock: err.Lock, Message: err.Message}
	}
	switch {
	case explain.UnlockCommand(err.Guest, err.Lock) == "" || err.Guest.Node == "": // no task holds that
		return err.Explain("")
	case err.Lock == "mounted":
		return err.Explain("When nobody works on its files any more, " + err.Left())
	}
	holders, failed := v.lockHolders(ctx, err.Guest, err.Lock)
	node := render.Text(err.Guest.Node, 60)
	switch {
	case failed != nil:
		return err.Explain(fmt.Sprintf("Whether a task holds it cannot be seen: %s If none on %s does, %s", v.Explain(failed).What, node, err.Left()))
	case len(holders) > 0:
		return err.Explain(fmt.Sprintf("A task that may hold it is alive: %s. Wait for its end with pve_task_status: upid and wait.", strings.Join(holders, "; ")))
	}
	last := v.lastTask(ctx, err.Guest)
	if perms, denied := v.PVE.Permissions(ctx); denied != nil || !perms.Has("/nodes/"+err.Guest.Node, "Sys.Audit") {
		return err.Explain(fmt.Sprintf("No task on %s that this token may see holds it (Sys.Audit on /nodes/%s would show all)%s. If none does at all, %s", node, node, last, err.Left()))
	}
	return err.Explain(fmt.Sprintf("No task of it runs on %s, so the lock was left behind%s: %s", node, last, err.Left()))
}

// lastTask describes the newest task of a guest that may have left a lock, "" if none is seen.
func (v *View) lastTask(ctx context.Context, g pve.GuestRef) string {
	tasks, _, err := v.PVE.NodeTasks(ctx, g.Node, pve.TaskFilter{Source: "all", VMID: g.VMID, Limit: 20})
	if err != nil {
		return ""
	}
	for _, t := range tasks {
		if t.EndTime.Set && t.Status.Value != "OK" {
			return " (the last of its tasks that failed: " + describeTask(t) + ")"
		}
	}
	return ""
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
