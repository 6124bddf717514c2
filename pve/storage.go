package pve

import (
	"context"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Storage is a storage as one node has it.
type Storage struct {
	Storage string              `json:"storage"`
	Type    string              `json:"type"` // dir, nfs, zfspool, pbs, …
	Content lenient.Opt[string] `json:"content,omitzero"`
	Shared  lenient.Opt[bool]   `json:"shared,omitzero"`
	Enabled lenient.Opt[bool]   `json:"enabled,omitzero"`
	Active  lenient.Opt[bool]   `json:"active,omitzero"`
	Total   lenient.Opt[int64]  `json:"total,omitzero"` // bytes; 0 while it is not active
	Used    lenient.Opt[int64]  `json:"used,omitzero"`
	Avail   lenient.Opt[int64]  `json:"avail,omitzero"`
	Extra   lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (s *Storage) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s Storage) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// StorageFilter says which storages are listed; the zero value is for all.
type StorageFilter struct {
	Content string // a kind that they may hold, such as backup; "" is any
	Enabled bool   // only those that are
	Storage string // this one alone; "" is any
}

// NodeStorages lists the storages of a node (Datastore.Audit or
// Datastore.AllocateSpace on each). A storage that hangs delays the answer.
func (c *Client) NodeStorages(ctx context.Context, node string, f StorageFilter) ([]Storage, error) {
	params := url.Values{}
	setText(params, "content", f.Content)
	setFlag(params, "enabled", f.Enabled)
	setText(params, "storage", f.Storage)
	return proxmox.Get[[]Storage](ctx, c.Client, proxmox.Join("nodes", node, "storage"), params)
}

// KeepsBase reports whether a storage of a type keeps the volume of a template while a
// linked clone of it is there. PVE knows such a clone by its id, which begins with that of
// the template's volume. LVM-thin names clones as any other volume, and so does Btrfs unless
// they are qcow2 or vmdk files: they live on without the template, which can be deleted.
func KeepsBase(storageType string, base VolID) bool {
	switch storageType {
	case "lvmthin":
		return false
	case "btrfs":
		return strings.HasSuffix(base.Name, ".qcow2") || strings.HasSuffix(base.Name, ".vmdk")
	}
	return true
}

// Volume is a volume of a storage. Its other fields depend on the kind of content.
type Volume struct {
	VolID        VolID               `json:"volid"`
	Content      string              `json:"content"` // images, rootdir, backup, iso, vztmpl, snippets, import
	Format       lenient.Opt[string] `json:"format,omitzero"`
	Size         lenient.Opt[int64]  `json:"size,omitzero"`             // bytes, as the guest sees them
	ApproxSize   lenient.Opt[int64]  `json:"approximate-size,omitzero"` // instead of Size, if only an active volume has one; PVE 9.1
	Used         lenient.Opt[int64]  `json:"used,omitzero"`             // bytes on the storage, if it knows
	CTime        lenient.Opt[int64]  `json:"ctime,omitzero"`
	VMID         lenient.Opt[int64]  `json:"vmid,omitzero"` // the guest that owns it; 0 is possible
	Parent       lenient.Opt[string] `json:"parent,omitzero"`
	Subtype      lenient.Opt[string] `json:"subtype,omitzero"` // of a backup: qemu, lxc or unknown
	Notes        lenient.Opt[string] `json:"notes,omitzero"`   // the first line
	Protected    lenient.Opt[bool]   `json:"protected,omitzero"`
	Encrypted    lenient.Opt[string] `json:"encrypted,omitzero"`    // on a backup server: a fingerprint, or 1
	Verification map[string]string   `json:"verification,omitzero"` // on a backup server: state, upid
	Extra        lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (v *Volume) UnmarshalJSON(data []byte) error { return lenient.Decode(data, v, &v.Extra) }

// MarshalJSON writes what was read.
func (v Volume) MarshalJSON() ([]byte, error) { return lenient.Encode(v, v.Extra) }

// VolumeFilter says which volumes are listed; the zero value is for all.
type VolumeFilter struct {
	Content string // a kind: images, rootdir, backup, iso, vztmpl, snippets or import; "" is any
	VMID    VMID   // the guest that owns them; 0 is any, or none
}

// Content lists the volumes of a storage, as a node sees it. PVE leaves out what the
// token may not see: a backup takes VM.Backup on its guest and Datastore.AllocateSpace on
// the storage.
func (c *Client) Content(ctx context.Context, node, storage string, f VolumeFilter) ([]Volume, error) {
	params := url.Values{}
	setText(params, "content", f.Content)
	setNumber(params, "vmid", int64(f.VMID))
	return proxmox.Get[[]Volume](ctx, c.Client, proxmox.Join("nodes", node, "storage", storage, "content"), params)
}

// StorageConfig is how a storage is configured.
type StorageConfig struct {
	Storage  string              `json:"storage"`
	Type     string              `json:"type"` // dir, nfs, zfspool, lvmthin, …
	Content  lenient.Opt[string] `json:"content,omitzero"`
	Nodes    lenient.Opt[string] `json:"nodes,omitzero"` // separated by commas; absent means all
	Disabled lenient.Opt[bool]   `json:"disable,omitzero"`
	Shared   lenient.Opt[bool]   `json:"shared,omitzero"` // absent also of types that always are
	VG       lenient.Opt[string] `json:"vgname,omitzero"`
	ThinPool lenient.Opt[string] `json:"thinpool,omitzero"` // of lvmthin
	Pool     lenient.Opt[string] `json:"pool,omitzero"`     // of zfspool and rbd
	Sparse   lenient.Opt[bool]   `json:"sparse,omitzero"`   // of zfspool: disks take space when it is used
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (s *StorageConfig) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s StorageConfig) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// StorageConfigs lists how the storages are configured, those that are disabled, too
// (Datastore.Audit on each).
func (c *Client) StorageConfigs(ctx context.Context) ([]StorageConfig, error) {
	return proxmox.Get[[]StorageConfig](ctx, c.Client, proxmox.Join("storage"), nil)
}

// VolumeInfo is what a storage knows of one volume.
type VolumeInfo struct {
	Size   lenient.Opt[int64]  `json:"size,omitzero"` // bytes, as a guest sees them: of an image that of its disk
	Used   lenient.Opt[int64]  `json:"used,omitzero"` // bytes on the storage
	Format lenient.Opt[string] `json:"format,omitzero"`
	Path   lenient.Opt[string] `json:"path,omitzero"` // on the node
	Extra  lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (v *VolumeInfo) UnmarshalJSON(data []byte) error { return lenient.Decode(data, v, &v.Extra) }

// MarshalJSON writes what was read.
func (v VolumeInfo) MarshalJSON() ([]byte, error) { return lenient.Encode(v, v.Extra) }

// VolumeInfo asks a node for one volume (Datastore.Audit or Datastore.AllocateSpace on the
// storage; of a guest's volume a privilege on the guest).
func (c *Client) VolumeInfo(ctx context.Context, node string, id VolID) (VolumeInfo, error) {
	return proxmox.Get[VolumeInfo](ctx, c.Client, proxmox.Join("nodes", node, "storage", id.Storage, "content", id.String()), nil)
}
