package pve

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// GuestStatus is the live state of a guest, as its node sees it.
type GuestStatus struct {
	VMID      VMID                 `json:"vmid"`
	Name      lenient.Opt[string]  `json:"name,omitzero"`
	Type      lenient.Opt[string]  `json:"type,omitzero"`      // lxc; a VM has none
	Status    string               `json:"status"`             // running or stopped
	QMPStatus lenient.Opt[string]  `json:"qmpstatus,omitzero"` // of a VM: running, paused, prelaunch, io-error, …
	Lock      lenient.Opt[string]  `json:"lock,omitzero"`
	Tags      lenient.Opt[string]  `json:"tags,omitzero"`
	Template  lenient.Opt[bool]    `json:"template,omitzero"`
	Agent     lenient.Opt[bool]    `json:"agent,omitzero"`  // configured, which is not alive
	Uptime    lenient.Opt[int64]   `json:"uptime,omitzero"` // seconds
	CPU       lenient.Opt[float64] `json:"cpu,omitzero"`    // the share of CPUs in use; 0 in the first sample of a worker
	CPUs      lenient.Opt[float64] `json:"cpus,omitzero"`
	Mem       lenient.Opt[int64]   `json:"mem,omitzero"` // bytes
	MaxMem    lenient.Opt[int64]   `json:"maxmem,omitzero"`
	MemHost   lenient.Opt[int64]   `json:"memhost,omitzero"` // PVE 9
	Swap      lenient.Opt[int64]   `json:"swap,omitzero"`
	MaxSwap   lenient.Opt[int64]   `json:"maxswap,omitzero"`
	Disk      lenient.Opt[int64]   `json:"disk,omitzero"` // always 0 for a VM
	MaxDisk   lenient.Opt[int64]   `json:"maxdisk,omitzero"`
	NetIn     lenient.Opt[int64]   `json:"netin,omitzero"` // bytes since the start
	NetOut    lenient.Opt[int64]   `json:"netout,omitzero"`
	DiskRead  lenient.Opt[int64]   `json:"diskread,omitzero"`
	DiskWrite lenient.Opt[int64]   `json:"diskwrite,omitzero"`
	HA        HA                   `json:"ha,omitzero"`
	Extra     lenient.Extra        `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (s *GuestStatus) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s GuestStatus) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// State is one word for the state: QMP's if it says more than running.
func (s GuestStatus) State() string {
	if s.Status == "running" && s.QMPStatus.Value != "" {
		return s.QMPStatus.Value
	}
	return stateOf(s.Status, s.Lock.Value)
}

// stateOf tells a guest that is suspended to disk, which PVE calls stopped, by its
// lock.
func stateOf(status, lock string) string {
	if status == "stopped" && lock == "suspended" {
		return "suspended"
	}
	return status
}

// HA is what the HA manager knows of a guest.
type HA struct {
	Managed lenient.Opt[bool]   `json:"managed,omitzero"`
	State   lenient.Opt[string] `json:"state,omitzero"` // the requested state
	Group   lenient.Opt[string] `json:"group,omitzero"`
	Extra   lenient.Extra       `json:"-"`
}

// IsZero reports whether PVE said nothing about HA.
func (h HA) IsZero() bool { return !h.Managed.Set && len(h.Extra) == 0 }

// UnmarshalJSON keeps unknown fields in Extra.
func (h *HA) UnmarshalJSON(data []byte) error { return lenient.Decode(data, h, &h.Extra) }

// MarshalJSON writes what was read.
func (h HA) MarshalJSON() ([]byte, error) { return lenient.Encode(h, h.Extra) }

// GuestStatus asks the guest's node for its live state (VM.Audit).
func (c *Client) GuestStatus(ctx context.Context, g GuestRef) (GuestStatus, error) {
	return proxmox.Get[GuestStatus](ctx, c.Client, g.path("status", "current"), nil)
}

// PowerOptions say how the power state changes. The zero value is PVE's default for each
// action; PVE refuses what does not go with an action.
type PowerOptions struct {
	// Timeout is how long the action may take, in whole seconds; a part of one counts as one.
	// 0 is PVE's default, which for a shutdown is 60 s.
	Timeout time.Duration
	// ForceStop stops a guest that has not shut down in time.
	ForceStop bool
	// ToDisk suspends a VM to disk, not to RAM.
	ToDisk bool
	// OverruleShutdown makes a stop end the guest's shutdown tasks first.
	OverruleShutdown bool
}

// Power starts a task that changes the power state (VM.PowerMgmt). action is the
// last element of PVE's path: start, stop, shutdown, reboot, reset, suspend,
// resume.
func (c *Client) Power(ctx context.Context, g GuestRef, action string, o PowerOptions) (proxmox.UPID, error) {
	params := url.Values{}
	setNumber(params, "timeout", int64((o.Timeout+time.Second-1)/time.Second))
	setFlag(params, "forceStop", o.ForceStop)
	setFlag(params, "todisk", o.ToDisk)
	setFlag(params, "overrule-shutdown", o.OverruleShutdown)
	return c.Start(ctx, http.MethodPost, g.path("status", action), params)
}
