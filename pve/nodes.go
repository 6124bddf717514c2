package pve

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// ClusterItem is a line of /cluster/status: the cluster itself, or one of its nodes. A single
// node has no line for a cluster.
type ClusterItem struct {
	Type    string              `json:"type"` // cluster or node
	ID      string              `json:"id"`
	Name    string              `json:"name"`
	Nodes   lenient.Opt[int64]  `json:"nodes,omitzero"` // of a cluster
	Quorate lenient.Opt[bool]   `json:"quorate,omitzero"`
	Version lenient.Opt[int64]  `json:"version,omitzero"` // of the cluster's configuration
	NodeID  lenient.Opt[int64]  `json:"nodeid,omitzero"`
	IP      lenient.Opt[string] `json:"ip,omitzero"` // absent while a node is offline
	Online  lenient.Opt[bool]   `json:"online,omitzero"`
	Local   lenient.Opt[bool]   `json:"local,omitzero"` // the node that answers
	Level   lenient.Opt[string] `json:"level,omitzero"` // of the subscription
	Extra   lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (i *ClusterItem) UnmarshalJSON(data []byte) error { return lenient.Decode(data, i, &i.Extra) }

// MarshalJSON writes what was read.
func (i ClusterItem) MarshalJSON() ([]byte, error) { return lenient.Encode(i, i.Extra) }

// ClusterStatus lists the cluster and its nodes (Sys.Audit on /).
func (c *Client) ClusterStatus(ctx context.Context) ([]ClusterItem, error) {
	return proxmox.Get[[]ClusterItem](ctx, c.Client, proxmox.Join("cluster", "status"), nil)
}

// NodeStatus is the state of a node, as it sees itself.
type NodeStatus struct {
	Uptime     lenient.Opt[int64]             `json:"uptime,omitzero"` // seconds
	CPU        lenient.Opt[float64]           `json:"cpu,omitzero"`    // the share of all CPUs in use
	Wait       lenient.Opt[float64]           `json:"wait,omitzero"`   // the share of time spent waiting for disks
	LoadAvg    []lenient.Opt[float64]         `json:"loadavg,omitzero"`
	CPUInfo    map[string]lenient.Opt[string] `json:"cpuinfo,omitzero"`        // model, sockets, cores, cpus (threads), …
	Memory     map[string]lenient.Opt[int64]  `json:"memory,omitzero"`         // total, used, free, from PVE 9 available; bytes; ZFS's cache counts as used
	Swap       map[string]lenient.Opt[int64]  `json:"swap,omitzero"`           // total, used, free; bytes
	RootFS     map[string]lenient.Opt[int64]  `json:"rootfs,omitzero"`         // total, used, avail, free (with what is reserved for root); bytes
	KVersion   lenient.Opt[string]            `json:"kversion,omitzero"`       // Linux, release and build of the kernel
	Kernel     map[string]lenient.Opt[string] `json:"current-kernel,omitzero"` // release, …; from PVE 8.1
	Boot       map[string]lenient.Opt[string] `json:"boot-info,omitzero"`      // mode: efi or legacy-bios; secureboot; from PVE 8.1
	PVEVersion lenient.Opt[string]            `json:"pveversion,omitzero"`     // pve-manager/9.0.11/0123456789abcdef
	Extra      lenient.Extra                  `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (s *NodeStatus) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s NodeStatus) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// NodeStatus asks a node for its state (Sys.Audit on it).
func (c *Client) NodeStatus(ctx context.Context, node string) (NodeStatus, error) {
	return proxmox.Get[NodeStatus](ctx, c.Client, proxmox.Join("nodes", node, "status"), nil)
}

// GuestsOnNetwork returns the guests that run on a node and have a network interface, by their ids.
// PVE names those that the token may not see, too (Sys.Audit on the node).
func (c *Client) GuestsOnNetwork(ctx context.Context, node string) ([]VMID, error) {
	counters, err := proxmox.Get[[]struct{ VMID VMID }](ctx, c.Client, proxmox.Join("nodes", node, "netstat"), nil)
	var out []VMID
	for _, one := range counters {
		out = append(out, one.VMID)
	}
	slices.Sort(out)
	return slices.Compact(out), err
}

// NodePower lets a node reboot or shut down (Sys.PowerMgmt on it). PVE answers before the node
// does anything, and makes no task of it.
func (c *Client) NodePower(ctx context.Context, node, command string) error {
	_, err := c.Do(ctx, http.MethodPost, proxmox.Join("nodes", node, "status"), url.Values{"command": {command}})
	return err
}

// ClusterMember is a node as corosync is configured to know it.
type ClusterMember struct {
	Name  string             `json:"name"`
	Votes lenient.Opt[int64] `json:"quorum_votes,omitzero"`
	Extra lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (m *ClusterMember) UnmarshalJSON(data []byte) error { return lenient.Decode(data, m, &m.Extra) }

// MarshalJSON writes what was read.
func (m ClusterMember) MarshalJSON() ([]byte, error) { return lenient.Encode(m, m.Extra) }

// ClusterMembers lists the nodes of a cluster with their votes (Sys.Audit on /).
func (c *Client) ClusterMembers(ctx context.Context) ([]ClusterMember, error) {
	return proxmox.Get[[]ClusterMember](ctx, c.Client, proxmox.Join("cluster", "config", "nodes"), nil)
}

// NodeVersion asks a node for its version. Every token may.
func (c *Client) NodeVersion(ctx context.Context, node string) (Version, error) {
	return proxmox.Get[Version](ctx, c.Client, proxmox.Join("nodes", node, "version"), nil)
}

// DeviceMapping is a name under which guests use devices of several nodes.
type DeviceMapping struct {
	ID    string        `json:"id"`
	Map   []string      `json:"map,omitzero"` // each a property string with node, path, id
	Extra lenient.Extra `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (m *DeviceMapping) UnmarshalJSON(data []byte) error { return lenient.Decode(data, m, &m.Extra) }

// MarshalJSON writes what was read.
func (m DeviceMapping) MarshalJSON() ([]byte, error) { return lenient.Encode(m, m.Extra) }

// DeviceMappings lists the mappings of a kind of devices, pci or usb, that the token may see
// (Mapping.Audit, Mapping.Use or Mapping.Modify on each).
func (c *Client) DeviceMappings(ctx context.Context, kind string) ([]DeviceMapping, error) {
	return proxmox.Get[[]DeviceMapping](ctx, c.Client, proxmox.Join("cluster", "mapping", kind), nil)
}
