package pve

import (
	"context"
	"net/url"
	"strings"
)

// Task is a line of a list of tasks.
type Task struct {
	UPID      UPID        `json:"upid"`
	Node      string      `json:"node"`
	Type      string      `json:"type"`
	ID        string      `json:"id"`
	User      string      `json:"user"`
	TokenID   Opt[string] `json:"tokenid,omitzero"`
	PID       Opt[int64]  `json:"pid,omitzero"`
	PStart    Opt[int64]  `json:"pstart,omitzero"`
	StartTime Opt[int64]  `json:"starttime,omitzero"` // seconds since 1970
	EndTime   Opt[int64]  `json:"endtime,omitzero"`   // absent while it runs
	Status    Opt[string] `json:"status,omitzero"`    // the exit status; RUNNING or absent while it runs
	Saved     Opt[bool]   `json:"saved,omitzero"`
	Extra     Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *Task) UnmarshalJSON(data []byte) error { return decodeObject(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t Task) MarshalJSON() ([]byte, error) { return encodeObject(t, t.Extra) }

// NodeTasks lists the tasks of a node, newest first: one's own, or all with
// Sys.Audit. The parameters are PVE's: source, limit, since, until, vmid,
// typefilter, errors and others.
func (c *Client) NodeTasks(ctx context.Context, node string, params url.Values) ([]Task, int, error) {
	tasks, total, err := List[[]Task](ctx, c.Engine, Join("nodes", node, "tasks"), params)
	for i := range tasks {
		tasks[i].Status.Value = WithoutSource(tasks[i].Status.Value)
	}
	return tasks, total, err
}

// GuestOf returns the guest that a task works on, where its id names one. Tasks on storages
// name it before an @, as in 100@local.
func GuestOf(upid UPID) (VMID, bool) {
	id, _, _ := strings.Cut(upid.ID, "@")
	vmid, err := ParseVMID(id)
	return vmid, err == nil
}

// EndsEarly reports whether what a task is for happens after it has ended: the HA
// manager acts some seconds after it was asked, and a VM that reboots is started again
// by another process.
func EndsEarly(upid UPID) bool { return strings.HasPrefix(upid.Type, "ha") || upid.Type == "qmreboot" }
