package pve

import "context"

// HAItem is a line of the HA manager's status: quorum, the manager (master), its agent on a
// node (lrm), or a guest (service).
type HAItem struct {
	ID        string      `json:"id"`
	Type      string      `json:"type"`
	Node      Opt[string] `json:"node,omitzero"`
	Status    Opt[string] `json:"status,omitzero"` // for people, such as: pve1 (maintenance mode, Sun Nov 22 18:06:39 2026)
	Timestamp Opt[int64]  `json:"timestamp,omitzero"`
	SID       Opt[string] `json:"sid,omitzero"` // of a guest
	State     Opt[string] `json:"state,omitzero"`
	Extra     Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (i *HAItem) UnmarshalJSON(data []byte) error { return decodeObject(data, i, &i.Extra) }

// MarshalJSON writes what was read.
func (i HAItem) MarshalJSON() ([]byte, error) { return encodeObject(i, i.Extra) }

// HAStatus asks the HA manager for its state (Sys.Audit on /).
func (c *Client) HAStatus(ctx context.Context) ([]HAItem, error) {
	return Get[[]HAItem](ctx, c.Engine, Join("cluster", "ha", "status", "current"), nil)
}
