package pve

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Migration says what PVE has for and against the migration of a guest. A container's
// names no disks, and exists from PVE 9 on; its lists of nodes are spelled with hyphens.
type Migration struct {
	Running        lenient.Opt[bool]  `json:"running,omitzero"`
	Allowed        []string           `json:"allowed_nodes,omitzero"` // before PVE 8 only of a stopped VM
	NotAllowed     map[string]Refused `json:"not_allowed_nodes,omitzero"`
	AllowedCT      []string           `json:"allowed-nodes,omitzero"`
	NotAllowedCT   map[string]Refused `json:"not-allowed-nodes,omitzero"`
	LocalDisks     []LocalDisk        `json:"local_disks,omitzero"`
	LocalResources []string           `json:"local_resources,omitzero"` // USB and PCI devices
	// Dependent are the resources of HA, such as vm:100, that go along (PVE 9).
	Dependent []string      `json:"dependent-ha-resources,omitzero"`
	Extra     lenient.Extra `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (m *Migration) UnmarshalJSON(data []byte) error { return lenient.Decode(data, m, &m.Extra) }

// MarshalJSON writes what was read.
func (m Migration) MarshalJSON() ([]byte, error) { return lenient.Encode(m, m.Extra) }

// MovedTogether are the guests that HA moves to the same node, since a rule keeps them
// together.
func (m Migration) MovedTogether() []VMID {
	var ids []VMID
	for _, sid := range m.Dependent {
		_, id, _ := strings.Cut(sid, ":")
		if vmid, err := ParseVMID(id); err == nil {
			ids = append(ids, vmid)
		}
	}
	return ids
}

// Refused says why a guest cannot go to a node. PVE also lists nodes here, without a
// reason, that it allows at the same time.
type Refused struct {
	Storages  []string      `json:"unavailable_storages,omitzero"`
	Resources []string      `json:"unavailable-resources,omitzero"`
	HA        []Blocking    `json:"blocking-ha-resources,omitzero"` // PVE 9
	Extra     lenient.Extra `json:"-"`
}

// Blocking is a resource of HA that a rule keeps away from a guest, or with it.
type Blocking struct {
	SID   lenient.Opt[string] `json:"sid"`
	Cause lenient.Opt[string] `json:"cause"` // node-affinity or resource-affinity
}

// UnmarshalJSON keeps unknown fields in Extra.
func (r *Refused) UnmarshalJSON(data []byte) error { return lenient.Decode(data, r, &r.Extra) }

// MarshalJSON writes what was read.
func (r Refused) MarshalJSON() ([]byte, error) { return lenient.Encode(r, r.Extra) }

// IsCloudInit reports whether the disk is the drive that PVE makes for cloud-init, which
// it makes anew where the VM goes.
func (d LocalDisk) IsCloudInit() bool {
	id, err := ParseVolID(d.Volume.Value)
	return err == nil && Disk{Volume: id}.IsCloudInit()
}

// LocalDisk is a disk on a storage of the node alone.
type LocalDisk struct {
	Volume lenient.Opt[string] `json:"volid"`
	Drive  lenient.Opt[string] `json:"drivename,omitzero"`
	Size   lenient.Opt[int64]  `json:"size,omitzero"` // bytes
	CDROM  lenient.Opt[bool]   `json:"cdrom,omitzero"`
	Unused lenient.Opt[bool]   `json:"is_unused,omitzero"`
	Extra  lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (d *LocalDisk) UnmarshalJSON(data []byte) error { return lenient.Decode(data, d, &d.Extra) }

// MarshalJSON writes what was read.
func (d LocalDisk) MarshalJSON() ([]byte, error) { return lenient.Encode(d, d.Extra) }

// CheckMigration asks what PVE has against the migration of a guest to a node, or to any
// node if target is "" (VM.Migrate). Before PVE 9, the answer for a container is an *[Error]
// with status 501.
func (c *Client) CheckMigration(ctx context.Context, g GuestRef, target string) (Migration, error) {
	params := url.Values{}
	if target != "" {
		params.Set("target", target)
	}
	return proxmox.Get[Migration](ctx, c.Client, g.path("migrate"), params)
}

// MigrateOptions say how a guest moves. The zero value is for one that is stopped, whose
// disks go to storages of the same names.
type MigrateOptions struct {
	Storage    string // for its local disks on the other node; "" is for each that of the same name
	Online     bool   // a VM, while it runs
	Restart    bool   // a container that runs: PVE shuts it down and starts it on the other node
	LocalDisks bool   // a VM's disks on storages of its node alone go along while it runs
}

// Migrate starts the migration of a guest to a node (VM.Migrate).
func (c *Client) Migrate(ctx context.Context, g GuestRef, target string, o MigrateOptions) (proxmox.UPID, error) {
	params := url.Values{"target": {target}}
	storage := "targetstorage"
	if g.Kind == LXC {
		storage = "target-storage"
	}
	setText(params, storage, o.Storage)
	setFlag(params, "online", o.Online)
	setFlag(params, "restart", o.Restart)
	setFlag(params, "with-local-disks", o.LocalDisks)
	return c.Start(ctx, http.MethodPost, g.path("migrate"), params)
}
