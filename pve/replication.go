package pve

import (
	"context"
	"net/url"
)

// Replication is a job that copies a guest's disks to another node.
type Replication struct {
	ID       string      `json:"id"`
	Target   Opt[string] `json:"target,omitzero"`
	LastSync Opt[int64]  `json:"last_sync,omitzero"` // seconds since 1970
	Fails    Opt[int64]  `json:"fail_count,omitzero"`
	Error    Opt[string] `json:"error,omitzero"`
	Extra    Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (r *Replication) UnmarshalJSON(data []byte) error { return decodeObject(data, r, &r.Extra) }

// MarshalJSON writes what was read.
func (r Replication) MarshalJSON() ([]byte, error) { return encodeObject(r, r.Extra) }

// Replications lists the replication jobs of a guest, as its node runs them (VM.Audit).
func (c *Client) Replications(ctx context.Context, g GuestRef) ([]Replication, error) {
	return Get[[]Replication](ctx, c.Engine, Join("nodes", g.Node, "replication"), url.Values{"guest": {g.VMID.String()}})
}
