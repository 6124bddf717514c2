package pve

import (
	"context"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// PruneMark is what a rule would do with a backup.
type PruneMark struct {
	VolID VolID               `json:"volid"`
	Mark  string              `json:"mark"` // keep, remove, protected, or renamed, which is kept too
	Type  lenient.Opt[string] `json:"type,omitzero"`
	CTime lenient.Opt[int64]  `json:"ctime,omitzero"` // seconds since 1970
	VMID  lenient.Opt[int64]  `json:"vmid,omitzero"`
	Extra lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (m *PruneMark) UnmarshalJSON(data []byte) error { return lenient.Decode(data, m, &m.Extra) }

// MarshalJSON writes what was read.
func (m PruneMark) MarshalJSON() ([]byte, error) { return lenient.Encode(m, m.Extra) }

// PruneRule says which backups a plan is about, and how many are to be kept.
type PruneRule struct {
	Keep string // such as keep-last=3,keep-weekly=2; "" is the storage's own rule
	Kind Kind   // of the guests; "" is both
	VMID VMID   // 0 is all guests
}

// PrunePlan asks what a rule would delete of the backups on a storage (Datastore.Audit
// or Datastore.AllocateSpace).
func (c *Client) PrunePlan(ctx context.Context, node, storage string, r PruneRule) ([]PruneMark, error) {
	params := url.Values{}
	setText(params, "prune-backups", r.Keep)
	setText(params, "type", string(r.Kind))
	setNumber(params, "vmid", int64(r.VMID))
	return proxmox.Get[[]PruneMark](ctx, c.Client, proxmox.Join("nodes", node, "storage", storage, "prunebackups"), params)
}
