package pve

import (
	"context"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Network is a network interface of a node, or a virtual network of the SDN there.
type Network struct {
	Iface     string              `json:"iface"`
	Type      lenient.Opt[string] `json:"type,omitzero"` // bridge, OVSBridge, eth, bond, vlan, vnet, …
	Active    lenient.Opt[bool]   `json:"active,omitzero"`
	VLANAware lenient.Opt[bool]   `json:"bridge_vlan_aware,omitzero"` // of a Linux bridge: takes tags
	Ports     lenient.Opt[string] `json:"bridge_ports,omitzero"`      // of a Linux bridge
	CIDR      lenient.Opt[string] `json:"cidr,omitzero"`
	Gateway   lenient.Opt[string] `json:"gateway,omitzero"`
	Comments  lenient.Opt[string] `json:"comments,omitzero"`
	Extra     lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (n *Network) UnmarshalJSON(data []byte) error { return lenient.Decode(data, n, &n.Extra) }

// MarshalJSON writes what was read.
func (n Network) MarshalJSON() ([]byte, error) { return lenient.Encode(n, n.Extra) }

// Bridges lists what a guest's NIC may be connected to on a node: bridges and virtual networks
// on which the token has SDN.Audit or SDN.Use.
func (c *Client) Bridges(ctx context.Context, node string) ([]Network, error) {
	return proxmox.Get[[]Network](ctx, c.Client, proxmox.Join("nodes", node, "network"), url.Values{"type": {"any_bridge"}})
}

// Networks lists the network interfaces of a node, as far as the token may see them: bridges
// with SDN.Audit or SDN.Use on them.
func (c *Client) Networks(ctx context.Context, node string) ([]Network, error) {
	return proxmox.Get[[]Network](ctx, c.Client, proxmox.Join("nodes", node, "network"), nil)
}
