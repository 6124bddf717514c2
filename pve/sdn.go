package pve

import (
	"context"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// VNet is a virtual network of SDN. Guests use it as a bridge.
type VNet struct {
	Name  string              `json:"vnet"`
	Zone  lenient.Opt[string] `json:"zone,omitzero"`
	Tag   lenient.Opt[int64]  `json:"tag,omitzero"` // the VLAN in a zone of VLANs, the VXLAN id in others
	Extra lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (n *VNet) UnmarshalJSON(data []byte) error { return lenient.Decode(data, n, &n.Extra) }

// MarshalJSON writes what was read.
func (n VNet) MarshalJSON() ([]byte, error) { return lenient.Encode(n, n.Extra) }

// VNets lists the virtual networks of SDN (SDN.Audit on each).
func (c *Client) VNets(ctx context.Context) ([]VNet, error) {
	return proxmox.Get[[]VNet](ctx, c.Client, proxmox.Join("cluster", "sdn", "vnets"), nil)
}

// IPAMEntry is an address that SDN has given out.
type IPAMEntry struct {
	IP       lenient.Opt[string] `json:"ip,omitzero"`
	MAC      lenient.Opt[string] `json:"mac,omitzero"`
	Hostname lenient.Opt[string] `json:"hostname,omitzero"`
	VMID     lenient.Opt[int64]  `json:"vmid,omitzero"` // the guest; absent for a gateway
	Zone     lenient.Opt[string] `json:"zone,omitzero"`
	VNet     lenient.Opt[string] `json:"vnet,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (e *IPAMEntry) UnmarshalJSON(data []byte) error { return lenient.Decode(data, e, &e.Extra) }

// MarshalJSON writes what was read.
func (e IPAMEntry) MarshalJSON() ([]byte, error) { return lenient.Encode(e, e.Extra) }

// IPAM lists the addresses that PVE's own IPAM has given out, as far as the token may see
// their networks (SDN.Audit).
func (c *Client) IPAM(ctx context.Context) ([]IPAMEntry, error) {
	return proxmox.Get[[]IPAMEntry](ctx, c.Client, proxmox.Join("cluster", "sdn", "ipams", "pve", "status"), nil)
}
