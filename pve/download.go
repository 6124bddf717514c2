package pve

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// URLMetadata is what a node learns of a file from the headers of its URL.
type URLMetadata struct {
	Filename lenient.Opt[string] `json:"filename,omitzero"`
	Size     lenient.Opt[int64]  `json:"size,omitzero"` // bytes; absent if the server does not say
	MIMEType lenient.Opt[string] `json:"mimetype,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (m *URLMetadata) UnmarshalJSON(data []byte) error { return lenient.Decode(data, m, &m.Extra) }

// MarshalJSON writes what was read.
func (m URLMetadata) MarshalJSON() ([]byte, error) { return lenient.Encode(m, m.Extra) }

// QueryURL lets a node ask a server about a file (Sys.AccessNetwork on the node, or Sys.Audit
// and Sys.Modify on /).
func (c *Client) QueryURL(ctx context.Context, node, address string) (URLMetadata, error) {
	return proxmox.Get[URLMetadata](ctx, c.Client, proxmox.Join("nodes", node, "query-url-metadata"), url.Values{"url": {address}})
}

// Download is a file that a node fetches.
type Download struct {
	URL      string
	Content  string // what it is: iso, vztmpl or, from PVE 8.3, import
	Filename string // on the storage, with an extension that goes with the content
	// Checksum is that of the file in hexadecimal digits, by Algorithm: md5, sha1, sha224,
	// sha256, sha384 or sha512. PVE keeps no file with another one. "" is not checked.
	Checksum, Algorithm string
	// Compression is how the file is compressed on the server and not on the storage: gz, lzo,
	// zst or bz2; "" is not at all. The checksum is that of the compressed file.
	Compression string
}

// StartDownload starts a task that fetches a file to a storage (Datastore.AllocateTemplate,
// and what [Client.QueryURL] needs). It overwrites none.
func (c *Client) StartDownload(ctx context.Context, node, storage string, d Download) (proxmox.UPID, error) {
	params := url.Values{"url": {d.URL}, "content": {d.Content}, "filename": {d.Filename}}
	if d.Checksum != "" {
		params.Set("checksum", d.Checksum)
		params.Set("checksum-algorithm", d.Algorithm)
	}
	setText(params, "compression", d.Compression)
	return c.Start(ctx, http.MethodPost, proxmox.Join("nodes", node, "storage", storage, "download-url"), params)
}

// Appliance is a container template that PVE offers.
type Appliance struct {
	Template string              `json:"template"` // the name of its file
	Package  lenient.Opt[string] `json:"package,omitzero"`
	Type     lenient.Opt[string] `json:"type,omitzero"` // lxc
	OS       lenient.Opt[string] `json:"os,omitzero"`   // such as debian-13
	Version  lenient.Opt[string] `json:"version,omitzero"`
	Section  lenient.Opt[string] `json:"section,omitzero"` // system, turnkeylinux, …
	Headline lenient.Opt[string] `json:"headline,omitzero"`
	SHA512   lenient.Opt[string] `json:"sha512sum,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (a *Appliance) UnmarshalJSON(data []byte) error { return lenient.Decode(data, a, &a.Extra) }

// MarshalJSON writes what was read.
func (a Appliance) MarshalJSON() ([]byte, error) { return lenient.Encode(a, a.Extra) }

// Appliances lists the container templates that a node knows of. Its list is as old as its last
// look, once a day (any token).
func (c *Client) Appliances(ctx context.Context, node string) ([]Appliance, error) {
	return proxmox.Get[[]Appliance](ctx, c.Client, proxmox.Join("nodes", node, "aplinfo"), nil)
}

// StartApplianceDownload starts a task that fetches a container template, which PVE checks by
// its checksum (Datastore.AllocateTemplate). One that is there is not fetched again.
func (c *Client) StartApplianceDownload(ctx context.Context, node, storage, template string) (proxmox.UPID, error) {
	return c.Start(ctx, http.MethodPost, proxmox.Join("nodes", node, "aplinfo"), url.Values{"storage": {storage}, "template": {template}})
}

// OCITags lists the tags of an image in a registry, such as docker.io/library/nginx
// (Sys.AccessNetwork on the node; from PVE 9.1).
func (c *Client) OCITags(ctx context.Context, node, reference string) ([]string, error) {
	return proxmox.Get[[]string](ctx, c.Client, proxmox.Join("nodes", node, "query-oci-repo-tags"), url.Values{"reference": {reference}})
}

// StartOCIPull starts a task that fetches an image from a registry as a container template
// (Datastore.AllocateTemplate, Sys.AccessNetwork on the node; from PVE 9.1). filename is its
// name without the extension; "" is PVE's choice.
func (c *Client) StartOCIPull(ctx context.Context, node, storage, reference, filename string) (proxmox.UPID, error) {
	params := url.Values{"reference": {reference}}
	setText(params, "filename", filename)
	return c.Start(ctx, http.MethodPost, proxmox.Join("nodes", node, "storage", storage, "oci-registry-pull"), params)
}

// ImportMetadata is what a storage knows of a machine in an OVA or on an ESXi host.
type ImportMetadata struct {
	Type       lenient.Opt[string]            `json:"type,omitzero"`        // vm
	Source     lenient.Opt[string]            `json:"source,omitzero"`      // esxi, ova
	CreateArgs map[string]lenient.Opt[string] `json:"create-args,omitzero"` // PVE's keys for a VM like it
	Disks      map[string]ImportDisk          `json:"disks,omitzero"`       // by key, such as scsi0
	Warnings   []struct {
		Type  lenient.Opt[string] `json:"type,omitzero"`
		Key   lenient.Opt[string] `json:"key,omitzero"`
		Value lenient.Opt[string] `json:"value,omitzero"`
	} `json:"warnings,omitzero"`
	Extra lenient.Extra `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (m *ImportMetadata) UnmarshalJSON(data []byte) error { return lenient.Decode(data, m, &m.Extra) }

// MarshalJSON writes what was read.
func (m ImportMetadata) MarshalJSON() ([]byte, error) { return lenient.Encode(m, m.Extra) }

// ImportDisk is a disk that can be imported. An EFI disk, whose content PVE does not take over,
// has no volume.
type ImportDisk struct {
	Volume lenient.Opt[string] `json:"volid,omitzero"`
	Size   lenient.Opt[int64]  `json:"size,omitzero"` // bytes
	Extra  lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (d *ImportDisk) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		*d = ImportDisk{} // PVE writes 1 for an EFI disk
		return nil
	}
	return lenient.Decode(data, d, &d.Extra)
}

// MarshalJSON writes what was read.
func (d ImportDisk) MarshalJSON() ([]byte, error) { return lenient.Encode(d, d.Extra) }

// ImportMetadata reads an OVA, or the machine of an ESXi storage.
func (c *Client) ImportMetadata(ctx context.Context, node string, volume VolID) (ImportMetadata, error) {
	return proxmox.Get[ImportMetadata](ctx, c.Client, proxmox.Join("nodes", node, "storage", volume.Storage, "import-metadata"),
		url.Values{"volume": {volume.Name}}) // PVE puts the storage before it
}
