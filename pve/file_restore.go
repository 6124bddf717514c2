package pve

import (
	"context"
	"encoding/base64"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// ArchivedFile is a file or folder in a backup.
type ArchivedFile struct {
	FilePath string             `json:"filepath"` // in base64
	Name     string             `json:"text"`
	Type     string             `json:"type"` // f, d, l, v for a disk or a partition, and others
	Leaf     lenient.Opt[bool]  `json:"leaf,omitzero"`
	Size     lenient.Opt[int64] `json:"size,omitzero"`
	MTime    lenient.Opt[int64] `json:"mtime,omitzero"`
	Extra    lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (f *ArchivedFile) UnmarshalJSON(data []byte) error { return lenient.Decode(data, f, &f.Extra) }

// MarshalJSON writes what was read.
func (f ArchivedFile) MarshalJSON() ([]byte, error) { return lenient.Encode(f, f.Extra) }

// Path is the path of the file in the backup.
func (f ArchivedFile) Path() string {
	path, err := base64.StdEncoding.DecodeString(f.FilePath)
	if err != nil {
		return f.FilePath
	}
	return string(path)
}

// ArchivedFiles lists a folder of a backup on a Proxmox Backup Server, / being its root, or
// the file alone that has the path (VM.Backup on the guest, Datastore.AllocateSpace on the
// storage). For a VM's backup the node starts a small VM first, which takes a while.
func (c *Client) ArchivedFiles(ctx context.Context, node string, backup VolID, path string) ([]ArchivedFile, error) {
	return proxmox.Get[[]ArchivedFile](ctx, c.Client, proxmox.Join("nodes", node, "storage", backup.Storage, "file-restore", "list"), inArchive(backup, path))
}

// ArchivedFile downloads a file out of a backup on a Proxmox Backup Server, and a folder as a
// zip file, with the privileges of [Client.ArchivedFiles]. PVE answers before it knows whether
// that succeeds: what was not found, or ended early, is a file that is too short.
func (c *Client) ArchivedFile(ctx context.Context, node string, backup VolID, path string) (*proxmox.Download, error) {
	return c.Download(ctx, proxmox.Join("nodes", node, "storage", backup.Storage, "file-restore", "download"), inArchive(backup, path))
}

func inArchive(backup VolID, path string) url.Values {
	if path != "/" {
		path = base64.StdEncoding.EncodeToString([]byte(path))
	}
	return url.Values{"volume": {backup.String()}, "filepath": {path}}
}
