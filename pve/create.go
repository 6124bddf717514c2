package pve

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// NewGuest says what a guest is to be.
type NewGuest struct {
	VMID     VMID              // required; see [Client.NextID]
	Name     string            // a container's hostname; "" is PVE's default
	Template VolID             // what a container is made of, required; a VM has none
	Pool     string            // to which it belongs; "" is none
	Start    bool              // once it is made
	Config   map[string]string // PVE's keys, with values as PVE's API takes them
}

// CreateGuest starts the creation of a guest (VM.Allocate on it or its pool,
// Datastore.AllocateSpace).
func (c *Client) CreateGuest(ctx context.Context, node string, kind Kind, n NewGuest) (proxmox.UPID, error) {
	params := valuesOf(n.Config)
	params.Set("vmid", n.VMID.String())
	setText(params, kind.nameKey(), n.Name)
	if n.Template != (VolID{}) {
		params.Set("ostemplate", n.Template.String())
	}
	setText(params, "pool", n.Pool)
	setFlag(params, "start", n.Start)
	return c.Start(ctx, http.MethodPost, proxmox.Join("nodes", node, string(kind)), params)
}

// Restoration says which guest is made of a backup.
type Restoration struct {
	VMID      VMID   // required; see [Client.NextID]
	Archive   VolID  // the backup, required
	Storage   string // of all its disks; "" is for each the storage that it was on
	Name      string // a container's hostname; "" is that in the backup
	Pool      string // to which it belongs; "" is none
	Overwrite bool   // replace the guest that has the id: its disks are lost
	Unique    bool   // give it MAC addresses of its own
	Start     bool   // once it is restored
	// Config has PVE's keys with values as PVE's API takes them, in the place of those in
	// the backup.
	Config map[string]string
}

// RestoreGuest starts the restoration of a guest from a backup (VM.Allocate on it or its
// pool, Datastore.AllocateSpace). The token has to see the backup, as for [Client.Content].
func (c *Client) RestoreGuest(ctx context.Context, node string, kind Kind, r Restoration) (proxmox.UPID, error) {
	params := valuesOf(r.Config)
	params.Set("vmid", r.VMID.String())
	archive := "archive"
	if kind == LXC {
		archive = "ostemplate"
		params.Set("restore", "1")
	}
	params.Set(archive, r.Archive.String())
	setText(params, "storage", r.Storage)
	setText(params, kind.nameKey(), r.Name)
	setText(params, "pool", r.Pool)
	setFlag(params, "force", r.Overwrite)
	setFlag(params, "unique", r.Unique)
	setFlag(params, "start", r.Start)
	return c.Start(ctx, http.MethodPost, proxmox.Join("nodes", node, string(kind)), params)
}

// NewClone says what the copy of a guest is to be.
type NewClone struct {
	VMID     VMID   // required; see [Client.NextID]
	Name     string // a container's hostname; "" is PVE's default
	Snapshot string // of which the copy is made; "" is the guest as it is
	Node     string // on which it is, for disks on shared storages; "" is that of the guest
	Storage  string // of all disks of a full copy; "" is for each the storage of the original
	Pool     string // to which it belongs; "" is none
	// Full is a copy of all disks; false is a linked one, of a template. Not set, the copy of
	// a template is linked where its storages can do that, and others are full.
	Full lenient.Opt[bool]
}

// Clone starts the copy of a guest (VM.Clone on it, VM.Allocate on the new one or its
// pool, Datastore.AllocateSpace).
func (c *Client) Clone(ctx context.Context, g GuestRef, n NewClone) (proxmox.UPID, error) {
	params := url.Values{"newid": {n.VMID.String()}}
	setText(params, g.Kind.nameKey(), n.Name)
	setText(params, "snapname", n.Snapshot)
	setText(params, "target", n.Node)
	setText(params, "storage", n.Storage)
	setText(params, "pool", n.Pool)
	if n.Full.Set && !n.Full.Value {
		params.Set("full", "0")
	}
	setFlag(params, "full", n.Full.Value)
	return c.Start(ctx, http.MethodPost, g.path("clone"), params)
}

// nameKey is the key of a guest's name.
func (k Kind) nameKey() string {
	if k == LXC {
		return "hostname"
	}
	return "name"
}
