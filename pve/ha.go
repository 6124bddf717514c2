package pve

import (
	"context"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// HAItem is a line of the HA manager's status: quorum, the manager (master), its agent on a
// node (lrm), or a guest (service).
type HAItem struct {
	ID        string              `json:"id"`
	Type      string              `json:"type"`
	Node      lenient.Opt[string] `json:"node,omitzero"`
	Status    lenient.Opt[string] `json:"status,omitzero"` // for people, such as: pve1 (maintenance mode, Sun Nov 22 18:06:39 2026)
	Timestamp lenient.Opt[int64]  `json:"timestamp,omitzero"`
	SID       lenient.Opt[string] `json:"sid,omitzero"` // of a guest
	State     lenient.Opt[string] `json:"state,omitzero"`
	Quorate   lenient.Opt[bool]   `json:"quorate,omitzero"` // of quorum
	Requested lenient.Opt[string] `json:"request_state,omitzero"`
	Extra     lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (i *HAItem) UnmarshalJSON(data []byte) error { return lenient.Decode(data, i, &i.Extra) }

// MarshalJSON writes what was read.
func (i HAItem) MarshalJSON() ([]byte, error) { return lenient.Encode(i, i.Extra) }

// HAStatus asks the HA manager for its state (Sys.Audit on /).
func (c *Client) HAStatus(ctx context.Context) ([]HAItem, error) {
	return proxmox.Get[[]HAItem](ctx, c.Client, proxmox.Join("cluster", "ha", "status", "current"), nil)
}
