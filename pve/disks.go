package pve

import (
	"context"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// PhysicalDisk is a disk of a node.
type PhysicalDisk struct {
	Path   string              `json:"devpath"`
	Type   lenient.Opt[string] `json:"type,omitzero"` // ssd, hdd, nvme, usb or unknown
	Model  lenient.Opt[string] `json:"model,omitzero"`
	Serial lenient.Opt[string] `json:"serial,omitzero"`
	Size   lenient.Opt[int64]  `json:"size,omitzero"`    // bytes
	Health lenient.Opt[string] `json:"health,omitzero"`  // PASSED, OK, FAILED!, UNKNOWN, …
	Left   lenient.Opt[string] `json:"wearout,omitzero"` // percent of its life that are left, or N/A
	Used   lenient.Opt[string] `json:"used,omitzero"`    // LVM, ZFS, partitions, …
	Extra  lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (d *PhysicalDisk) UnmarshalJSON(data []byte) error { return lenient.Decode(data, d, &d.Extra) }

// MarshalJSON writes what was read.
func (d PhysicalDisk) MarshalJSON() ([]byte, error) { return lenient.Encode(d, d.Extra) }

// PhysicalDisks lists the disks of a node (Sys.Audit on it or on /). With smart each disk is
// asked for its health and wear, which may wake it up.
func (c *Client) PhysicalDisks(ctx context.Context, node string, smart bool) ([]PhysicalDisk, error) {
	params := url.Values{}
	setFlag(params, "skipsmart", !smart)
	return proxmox.Get[[]PhysicalDisk](ctx, c.Client, proxmox.Join("nodes", node, "disks", "list"), params)
}

// ZFSPool is a ZFS pool of a node.
type ZFSPool struct {
	Name   string              `json:"name"`
	Size   lenient.Opt[int64]  `json:"size,omitzero"`  // bytes
	Alloc  lenient.Opt[int64]  `json:"alloc,omitzero"` // bytes in use
	Frag   lenient.Opt[int64]  `json:"frag,omitzero"`  // percent
	Health lenient.Opt[string] `json:"health,omitzero"`
	Extra  lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (p *ZFSPool) UnmarshalJSON(data []byte) error { return lenient.Decode(data, p, &p.Extra) }

// MarshalJSON writes what was read.
func (p ZFSPool) MarshalJSON() ([]byte, error) { return lenient.Encode(p, p.Extra) }

// ZFSPools lists the ZFS pools of a node (Sys.Audit on /).
func (c *Client) ZFSPools(ctx context.Context, node string) ([]ZFSPool, error) {
	return proxmox.Get[[]ZFSPool](ctx, c.Client, proxmox.Join("nodes", node, "disks", "zfs"), nil)
}

// ThinPool is a thin pool of LVM.
type ThinPool struct {
	LV           string             `json:"lv"`
	VG           string             `json:"vg"`
	Size         lenient.Opt[int64] `json:"lv_size,omitzero"` // bytes
	Used         lenient.Opt[int64] `json:"used,omitzero"`
	MetadataSize lenient.Opt[int64] `json:"metadata_size,omitzero"`
	MetadataUsed lenient.Opt[int64] `json:"metadata_used,omitzero"`
	Extra        lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (p *ThinPool) UnmarshalJSON(data []byte) error { return lenient.Decode(data, p, &p.Extra) }

// MarshalJSON writes what was read.
func (p ThinPool) MarshalJSON() ([]byte, error) { return lenient.Encode(p, p.Extra) }

// ThinPools lists the thin pools of a node's LVM (Sys.Audit on /).
func (c *Client) ThinPools(ctx context.Context, node string) ([]ThinPool, error) {
	return proxmox.Get[[]ThinPool](ctx, c.Client, proxmox.Join("nodes", node, "disks", "lvmthin"), nil)
}

// ZFSPoolState is the state of a ZFS pool, in the words of zpool status.
type ZFSPoolState struct {
	Name     string              `json:"name"`
	State    lenient.Opt[string] `json:"state,omitzero"`  // ONLINE, DEGRADED, …
	Status   lenient.Opt[string] `json:"status,omitzero"` // what is wrong
	Action   lenient.Opt[string] `json:"action,omitzero"` // what to do about it
	Scan     lenient.Opt[string] `json:"scan,omitzero"`   // the last scrub or resilvering
	Errors   lenient.Opt[string] `json:"errors,omitzero"` // those of data, or No known data errors
	Children []ZFSDevice         `json:"children,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (p *ZFSPoolState) UnmarshalJSON(data []byte) error { return lenient.Decode(data, p, &p.Extra) }

// MarshalJSON writes what was read.
func (p ZFSPoolState) MarshalJSON() ([]byte, error) { return lenient.Encode(p, p.Extra) }

// ZFSDevice is a disk of a ZFS pool, or a group of them.
type ZFSDevice struct {
	Name     string               `json:"name"`
	State    lenient.Opt[string]  `json:"state,omitzero"`
	Read     lenient.Opt[float64] `json:"read,omitzero"` // errors
	Write    lenient.Opt[float64] `json:"write,omitzero"`
	Checksum lenient.Opt[float64] `json:"cksum,omitzero"`
	Children []ZFSDevice          `json:"children,omitzero"`
	Extra    lenient.Extra        `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (d *ZFSDevice) UnmarshalJSON(data []byte) error { return lenient.Decode(data, d, &d.Extra) }

// MarshalJSON writes what was read.
func (d ZFSDevice) MarshalJSON() ([]byte, error) { return lenient.Encode(d, d.Extra) }

// ZFSPoolState asks a node for the state of a ZFS pool (Sys.Audit on /).
func (c *Client) ZFSPoolState(ctx context.Context, node, pool string) (ZFSPoolState, error) {
	return proxmox.Get[ZFSPoolState](ctx, c.Client, proxmox.Join("nodes", node, "disks", "zfs", pool), nil)
}
