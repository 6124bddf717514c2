package pve

import (
	"context"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Replication is a job that copies a guest's disks to another node.
type Replication struct {
	ID       string              `json:"id"`
	Guest    lenient.Opt[int64]  `json:"guest,omitzero"`
	Source   lenient.Opt[string] `json:"source,omitzero"`
	Target   lenient.Opt[string] `json:"target,omitzero"`
	Schedule lenient.Opt[string] `json:"schedule,omitzero"` // a calendar event; PVE's default is */15
	Disabled lenient.Opt[bool]   `json:"disable,omitzero"`
	LastTry  lenient.Opt[int64]  `json:"last_try,omitzero"`  // seconds since 1970; 0 is never
	NextSync lenient.Opt[int64]  `json:"next_sync,omitzero"` // seconds since 1970
	LastSync lenient.Opt[int64]  `json:"last_sync,omitzero"` // seconds since 1970; 0 is never
	Fails    lenient.Opt[int64]  `json:"fail_count,omitzero"`
	Error    lenient.Opt[string] `json:"error,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (r *Replication) UnmarshalJSON(data []byte) error { return lenient.Decode(data, r, &r.Extra) }

// MarshalJSON writes what was read.
func (r Replication) MarshalJSON() ([]byte, error) { return lenient.Encode(r, r.Extra) }

// Replications lists the replication jobs of a guest, as its node runs them (VM.Audit).
func (c *Client) Replications(ctx context.Context, g GuestRef) ([]Replication, error) {
	return proxmox.Get[[]Replication](ctx, c.Client, proxmox.Join("nodes", g.Node, "replication"), url.Values{"guest": {g.VMID.String()}})
}
