package pve

import (
	"context"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Upload is a file for a storage.
type Upload struct {
	proxmox.File
	// Content is what it is: iso, vztmpl or, from PVE 8.3, import. PVE takes it only with an
	// extension that goes with that.
	Content string
	// Checksum is that of the file in hexadecimal digits, by Algorithm: md5, sha1, sha224,
	// sha256, sha384 or sha512. PVE stores no file with another one. "" is not checked.
	Checksum, Algorithm string
}

// UploadFile sends a file to a storage (Datastore.AllocateTemplate), and starts the task that
// stores it. A file of the same name is overwritten. The file goes through the node that the
// client reaches, which needs room for it under /var/tmp.
func (c *Client) UploadFile(ctx context.Context, node, storage string, u Upload) (proxmox.UPID, error) {
	fields := []proxmox.Field{{Name: "content", Value: u.Content}}
	if u.Checksum != "" {
		fields = append(fields, proxmox.Field{Name: "checksum-algorithm", Value: u.Algorithm}, proxmox.Field{Name: "checksum", Value: u.Checksum})
	}
	ans, err := c.Client.Upload(ctx, proxmox.Join("nodes", node, "storage", storage, "upload"), u.File, fields...)
	if err != nil {
		return proxmox.UPID{}, err
	}
	return ans.Task()
}
