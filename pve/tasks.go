package pve

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Task is a line of a list of tasks.
type Task struct {
	UPID      proxmox.UPID        `json:"upid"`
	Node      string              `json:"node"`
	Type      string              `json:"type"`
	ID        string              `json:"id"`
	User      string              `json:"user"`
	TokenID   lenient.Opt[string] `json:"tokenid,omitzero"`
	PID       lenient.Opt[int64]  `json:"pid,omitzero"`
	PStart    lenient.Opt[int64]  `json:"pstart,omitzero"`
	StartTime lenient.Opt[int64]  `json:"starttime,omitzero"` // seconds since 1970
	EndTime   lenient.Opt[int64]  `json:"endtime,omitzero"`   // absent while it runs
	Status    lenient.Opt[string] `json:"status,omitzero"`    // the exit status; RUNNING or absent while it runs
	Saved     lenient.Opt[bool]   `json:"saved,omitzero"`
	Extra     lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *Task) UnmarshalJSON(data []byte) error { return lenient.Decode(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t Task) MarshalJSON() ([]byte, error) { return lenient.Encode(t, t.Extra) }

// TaskFilter says which tasks are listed.
type TaskFilter struct {
	Source string    // active for those that run, archive for those that have ended, or all; "" is archive
	VMID   VMID      // of a guest; 0 is any
	Type   string    // such as vzdump; "" is any
	Errors bool      // only those that failed
	Since  time.Time // begun then or later, to the second; the zero time is no bound
	Until  time.Time // begun then or earlier
	Limit  int       // how many at most; 0 is PVE's default, 50
}

// NodeTasks lists the tasks of a node, newest first: one's own, or all with
// Sys.Audit. total is how many there are without the limit.
func (c *Client) NodeTasks(ctx context.Context, node string, f TaskFilter) (list []Task, total int, err error) {
	params := url.Values{}
	setText(params, "source", f.Source)
	setNumber(params, "vmid", int64(f.VMID))
	setText(params, "typefilter", f.Type)
	setFlag(params, "errors", f.Errors)
	for key, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			params.Set(key, strconv.FormatInt(at.Unix(), 10))
		}
	}
	setNumber(params, "limit", int64(f.Limit))
	tasks, total, err := proxmox.List[[]Task](ctx, c.Client, proxmox.Join("nodes", node, "tasks"), params)
	for i := range tasks {
		tasks[i].Status.Value = proxmox.WithoutSource(tasks[i].Status.Value)
	}
	return tasks, total, err
}

// GuestOf returns the guest that a task works on, if its id names one. Tasks on storages
// name it before an @, as in 100@local.
func GuestOf(upid proxmox.UPID) (VMID, bool) {
	id, _, _ := strings.Cut(upid.ID, "@")
	vmid, err := ParseVMID(id)
	return vmid, err == nil
}

// MayLock reports whether a task, while it runs, may hold a lock of a guest: one of the guest,
// one of all guests on its node, and for the lock clone any clone, whose id is that of the guest
// that is copied.
func MayLock(upid proxmox.UPID, g GuestRef, lock string) bool {
	id, named := GuestOf(upid)
	switch {
	case named && id == g.VMID:
		return true
	case lock == "clone" && (upid.Type == "qmclone" || upid.Type == "vzclone"):
		return true
	}
	return !named && upid.Node == g.Node && (strings.HasPrefix(upid.Type, "vzdump") || strings.HasSuffix(upid.Type, "all"))
}

// EndsEarly reports whether a task ends before its work is done: the HA manager acts some
// seconds after it was asked, and a VM that reboots is started again by another process.
func EndsEarly(upid proxmox.UPID) bool {
	return strings.HasPrefix(upid.Type, "ha") || upid.Type == "qmreboot"
}
