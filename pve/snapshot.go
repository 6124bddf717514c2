package pve

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Snapshot is a snapshot of a guest. The list of them has, mostly as the last, one named
// current: the guest as it is now.
type Snapshot struct {
	Name        string              `json:"name"`
	Parent      lenient.Opt[string] `json:"parent,omitzero"`
	Description lenient.Opt[string] `json:"description,omitzero"`
	Time        lenient.Opt[int64]  `json:"snaptime,omitzero"`  // seconds since 1970
	VMState     lenient.Opt[bool]   `json:"vmstate,omitzero"`   // a VM's, with its RAM
	State       lenient.Opt[string] `json:"snapstate,omitzero"` // prepare or delete: under way, or broken
	Digest      lenient.Opt[string] `json:"digest,omitzero"`    // of current
	Running     lenient.Opt[bool]   `json:"running,omitzero"`   // of current
	Extra       lenient.Extra       `json:"-"`
}

// Current is the name under which a list of snapshots has the guest as it is.
const Current = "current"

// UnmarshalJSON keeps unknown fields in Extra.
func (s *Snapshot) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s Snapshot) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// Snapshots lists the snapshots of a guest (VM.Audit), in no order.
func (c *Client) Snapshots(ctx context.Context, g GuestRef) ([]Snapshot, error) {
	return proxmox.Get[[]Snapshot](ctx, c.Client, g.path("snapshot"), nil)
}

// NewSnapshot says what a snapshot is to be.
type NewSnapshot struct {
	Name        string
	Description string
	VMState     bool // with a VM's RAM
}

// CreateSnapshot starts a snapshot (VM.Snapshot).
func (c *Client) CreateSnapshot(ctx context.Context, g GuestRef, s NewSnapshot) (proxmox.UPID, error) {
	params := url.Values{"snapname": {s.Name}}
	setText(params, "description", s.Description)
	setFlag(params, "vmstate", s.VMState)
	return c.Start(ctx, http.MethodPost, g.path("snapshot"), params)
}

// DeleteSnapshot starts the removal of a snapshot (VM.Snapshot). With force it goes from the
// configuration even if its volumes do not.
func (c *Client) DeleteSnapshot(ctx context.Context, g GuestRef, name string, force bool) (proxmox.UPID, error) {
	params := url.Values{}
	setFlag(params, "force", force)
	return c.Start(ctx, http.MethodDelete, g.path("snapshot", name), params)
}

// Rollback starts the return to a snapshot (VM.Snapshot or VM.Snapshot.Rollback): of
// the disks and of the configuration. A running guest is stopped. It runs again afterwards
// if the snapshot has its RAM, or if start is set.
func (c *Client) Rollback(ctx context.Context, g GuestRef, name string, start bool) (proxmox.UPID, error) {
	params := url.Values{}
	setFlag(params, "start", start)
	return c.Start(ctx, http.MethodPost, g.path("snapshot", name, "rollback"), params)
}

// Feature says whether something can be done with a guest.
type Feature struct {
	Has   lenient.Opt[bool] `json:"hasFeature"`
	Nodes []string          `json:"nodes,omitzero"` // on which, of a VM
	Extra lenient.Extra     `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (f *Feature) UnmarshalJSON(data []byte) error { return lenient.Decode(data, f, &f.Extra) }

// MarshalJSON writes what was read.
func (f Feature) MarshalJSON() ([]byte, error) { return lenient.Encode(f, f.Extra) }

// Feature asks whether all of a guest's storages can do something: snapshot, clone
// (linked) or copy (VM.Audit). snapname, if not "", names a snapshot to do it with.
func (c *Client) Feature(ctx context.Context, g GuestRef, feature, snapname string) (Feature, error) {
	params := url.Values{"feature": {feature}}
	setText(params, "snapname", snapname)
	return proxmox.Get[Feature](ctx, c.Client, g.path("feature"), params)
}
