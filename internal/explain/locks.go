package explain

import (
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// LockedError says that a guest has a lock, so that it cannot be changed.
type LockedError struct {
	Guest   pve.GuestRef
	Lock    string
	Message string // PVE's, or ours before PVE is asked
}

func (e *LockedError) Error() string { return e.Message }

// Unlocked refuses a change of a guest that has a lock.
func Unlocked(g pve.GuestRef, lock string) error {
	if lock == "" {
		return nil
	}
	return &LockedError{Guest: g, Lock: lock, Message: fmt.Sprintf("%v is locked (%s)", g, lock)}
}

// lock is a kind of lock: while a guest is what it is set, and what is left to do once the lock of
// a task that died is cleared.
type lock struct{ means, left string }

// locks are those that PVE sets.
var locks = map[string]lock{
	"backup":          {"backed up", "The backup that broke off is incomplete: make a new one."},
	"clone":           {"copied, or made as a copy", "What a clone that broke off has made is incomplete: delete the copy with pve_delete_guest."},
	"create":          {"made, or restored from a backup", "What was made is incomplete: delete it with pve_delete_guest, and make or restore it anew."},
	"destroyed":       {"destroyed", "Some of its volumes may be gone already: delete it with pve_delete_guest."},
	"disk":            {"getting a volume moved or resized", "Look at its disks (pve_guest_config): a copy may be left that is not used."},
	"fstrim":          {"having its file systems trimmed", ""},
	"migrate":         {"moved to another node", "Before that, look on which node its disks are (pve_storage_content): it must run on one node only."},
	"mounted":         {"mounted on its node, by pct mount of root", ""},
	"rollback":        {"taken back to a snapshot", "Its disks may be between two states: take it back to the snapshot again."},
	"snapshot":        {"getting a snapshot", "A snapshot that was not finished may be left: pve_list_snapshots shows it, pve_delete_snapshot with force removes it."},
	"snapshot-delete": {"losing a snapshot", "The snapshot may be left half deleted: delete it again with pve_delete_snapshot and force."},
	"suspending":      {"suspended to disk", "The saved memory is incomplete: if it does not run, start it anew."},
}

// UnlockCommand is what root runs on the guest's node to clear a lock whose task is dead; "" if
// the lock is no lock of a task.
func UnlockCommand(g pve.GuestRef, lock string) string {
	verb := "unlock"
	switch lock {
	case "", "suspended":
		return ""
	case "mounted":
		verb = "unmount"
	}
	tool := "qm"
	if g.Kind == pve.LXC {
		tool = "pct"
	}
	return fmt.Sprintf("%s %s %v", tool, verb, g.VMID)
}

// Explain says what the lock means and, if next does not say what to do, what is to be done in
// general.
func (e *LockedError) Explain(next string) Explanation {
	switch {
	case next != "":
	case e.Lock == "suspended":
		next = "It is suspended to disk: resume it first with pve_guest_power."
	default:
		next = "Wait for the task that holds it. If none does any more, the lock was left behind: root clears it on the guest's node with qm unlock (VM) or pct unlock (container) and its id."
	}
	if means := locks[e.Lock].means; means != "" {
		next = fmt.Sprintf("PVE sets this lock while a guest is %s. %s", means, next)
	}
	return Explanation{sentence(render.MaskSecrets(e.Message)), next}
}

// Left is what to do about a lock that no task holds: the command, where it is run, and what is
// left to do then.
func (e *LockedError) Left() string {
	out := fmt.Sprintf("root clears it on %s: %s", render.Text(e.Guest.Node, 60), UnlockCommand(e.Guest, e.Lock))
	if left := locks[e.Lock].left; left != "" {
		return out + ". " + left
	}
	return out + "."
}
