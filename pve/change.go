package pve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// ConfigChange is a change of a guest's configuration.
type ConfigChange struct {
	Set    map[string]string // PVE's keys, with values as PVE's API takes them
	Delete []string          // keys
	Revert []string          // keys whose change still waits for the next start, and is given up
	// Digest is that of the configuration that the change was made for: PVE refuses the
	// change if the configuration is another one by now. "" changes it as it is.
	Digest string
	// Force destroys the volumes of a VM's disks that are deleted. Without it they stay, as
	// unused disks.
	Force bool
}

func (change ConfigChange) params() url.Values {
	params := valuesOf(change.Set)
	setText(params, "delete", strings.Join(change.Delete, ","))
	setText(params, "revert", strings.Join(change.Revert, ","))
	setText(params, "digest", change.Digest)
	setFlag(params, "force", change.Force)
	return params
}

// UpdateConfig changes a guest's configuration (VM.Config.*, by key) and returns when
// it is done: what a running guest cannot take at once waits for its next start.
func (c *Client) UpdateConfig(ctx context.Context, g GuestRef, change ConfigChange) error {
	_, err := c.Do(ctx, http.MethodPut, g.path("config"), change.params())
	return err
}

// StartConfig is UpdateConfig for a VM as a task, for changes that take long: a new
// disk, a disk that is imported, or one that is destroyed.
func (c *Client) StartConfig(ctx context.Context, g GuestRef, change ConfigChange) (proxmox.UPID, error) {
	return c.StartOrDo(ctx, http.MethodPost, g.path("config"), change.params())
}

// ResizeDisk grows a disk (VM.Config.Disk, and Datastore.AllocateSpace on its storage)
// to a size, or by one that begins with +. A VM's is done at once before PVE 8.
func (c *Client) ResizeDisk(ctx context.Context, g GuestRef, disk, size, digest string) (proxmox.UPID, error) {
	params := url.Values{"disk": {disk}, "size": {size}}
	setText(params, "digest", digest)
	return c.StartOrDo(ctx, http.MethodPut, g.path("resize"), params)
}

// DiskMove says where a disk goes: to another storage, or to another guest.
type DiskMove struct {
	Storage string // where the copy is made; the original stays as an unused disk
	Format  string // of the copy of a VM's disk; "" is that of the original, if the storage can
	Guest   VMID   // that gets the disk itself, in place of Storage
	Key     string // of the disk there; "" is the same
	// Digest is that of the configuration that the move was made for: PVE refuses the move
	// if the configuration is another one by now. GuestDigest is that of the other guest.
	Digest, GuestDigest string
}

// MoveDisk starts the move of a disk (VM.Config.Disk on the guest, and on the one that gets
// it; Datastore.AllocateSpace). A container's volumes are copied while it is stopped only.
func (c *Client) MoveDisk(ctx context.Context, g GuestRef, disk string, m DiskMove) (proxmox.UPID, error) {
	call, key := "move_disk", "disk"
	if g.Kind == LXC {
		call, key = "move_volume", "volume"
	}
	params := url.Values{key: {disk}}
	setText(params, "storage", m.Storage)
	setText(params, "format", m.Format)
	setNumber(params, "target-vmid", int64(m.Guest))
	setText(params, "target-"+key, m.Key)
	setText(params, "digest", m.Digest)
	setText(params, "target-digest", m.GuestDigest)
	return c.Start(ctx, http.MethodPost, g.path(call), params)
}

// Deletion says what is deleted together with a guest.
type Deletion struct {
	Purge        bool // its place in backup jobs, HA and replication
	Unreferenced bool // volumes of its id that its configuration does not name
	Force        bool // a container, even while it runs
}

// DeleteGuest starts the removal of a guest with all its disks (VM.Allocate).
func (c *Client) DeleteGuest(ctx context.Context, g GuestRef, d Deletion) (proxmox.UPID, error) {
	params := url.Values{}
	setFlag(params, "purge", d.Purge)
	setFlag(params, "destroy-unreferenced-disks", d.Unreferenced)
	setFlag(params, "force", d.Force)
	return c.Start(ctx, http.MethodDelete, g.path(), params)
}

// MakeTemplate turns a stopped guest into a template for good (VM.Allocate). A container is
// turned at once.
func (c *Client) MakeTemplate(ctx context.Context, g GuestRef) (proxmox.UPID, error) {
	return c.StartOrDo(ctx, http.MethodPost, g.path("template"), nil)
}

// DeleteVolume destroys a volume of a storage, such as a backup (Datastore.Allocate, or for
// the backup of a guest VM.Backup on it and Datastore.AllocateSpace).
func (c *Client) DeleteVolume(ctx context.Context, node string, id VolID) (proxmox.UPID, error) {
	return c.StartOrDo(ctx, http.MethodDelete, proxmox.Join("nodes", node, "storage", id.Storage, "content", id.String()), nil)
}

// NextID returns the lowest id that no guest has. It is not reserved.
func (c *Client) NextID(ctx context.Context) (VMID, error) {
	return proxmox.Get[VMID](ctx, c.Client, proxmox.Join("cluster", "nextid"), nil)
}

// IDTaken reports whether a guest has an id, even one that the token may not see.
func (c *Client) IDTaken(ctx context.Context, id VMID) (bool, error) {
	_, err := proxmox.Get[VMID](ctx, c.Client, proxmox.Join("cluster", "nextid"), url.Values{"vmid": {id.String()}})
	var said *proxmox.Error
	if errors.As(err, &said) && said.Params["vmid"] != "" {
		return true, nil
	}
	return false, err
}

// Executed is what is known of a command that was started in a VM.
type Executed struct {
	Exited       lenient.Opt[bool]   `json:"exited"`
	ExitCode     lenient.Opt[int64]  `json:"exitcode,omitzero"`
	Signal       lenient.Opt[int64]  `json:"signal,omitzero"`
	Out          lenient.Opt[string] `json:"out-data,omitzero"`
	Err          lenient.Opt[string] `json:"err-data,omitzero"`
	OutTruncated lenient.Opt[bool]   `json:"out-truncated,omitzero"` // at 16 MiB
	ErrTruncated lenient.Opt[bool]   `json:"err-truncated,omitzero"`
	Extra        lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (e *Executed) UnmarshalJSON(data []byte) error { return lenient.Decode(data, e, &e.Extra) }

// MarshalJSON writes what was read.
func (e Executed) MarshalJSON() ([]byte, error) { return lenient.Encode(e, e.Extra) }

// Exec starts a command in a VM through its guest agent (VM.Monitor up to PVE 8,
// VM.GuestAgent.Unrestricted from 9), without a shell, and returns its process id there.
// stdin, if not "", has at most 64 KiB, of any bytes.
//
// PVE 7 splits a command that has no arguments at blanks, commas and semicolons; one
// with such a character is refused there.
func (c *Client) Exec(ctx context.Context, g GuestRef, argv []string, stdin string) (pid int64, err error) {
	if len(argv) == 1 && strings.ContainsAny(argv[0], " \t,;") {
		v, err := c.NodeVersion(ctx, g.Node)
		if err != nil {
			return 0, err
		}
		if strings.HasPrefix(v.Version, "7.") {
			return 0, fmt.Errorf("PVE %s would split %q into several arguments; give the command an argument, or run it by a shell", v.Version, argv[0])
		}
	}
	params := url.Values{"command": argv}
	if stdin != "" {
		params.Set("input-data", agentText(stdin))
	}
	p := g.path("agent", "exec")
	ans, err := c.Do(ctx, http.MethodPost, p, params)
	if err != nil {
		return 0, err
	}
	var started struct {
		PID lenient.Opt[int64] `json:"pid"`
	}
	if err := json.Unmarshal(ans.Data, &started); err != nil || !started.PID.Set {
		return 0, &proxmox.LostError{Method: http.MethodPost, Path: p.String(), Err: fmt.Errorf("the answer names no process: %.100s", ans.Data)}
	}
	return started.PID.Value, nil
}

// ExecStatus asks how far a command is that [Client.Exec] started. The agent reports the end
// of a command once, and then forgets it. Its output are bytes, which need not be UTF-8.
func (c *Client) ExecStatus(ctx context.Context, g GuestRef, pid int64) (Executed, error) {
	e, err := proxmox.Get[Executed](ctx, c.Client, g.path("agent", "exec-status"), url.Values{"pid": {fmt.Sprint(pid)}})
	e.Out.Value, e.Err.Value = string(fromAgentText(e.Out.Value)), string(fromAgentText(e.Err.Value))
	return e, err
}

// valuesOf returns the parameters of PVE's keys and values.
func valuesOf(keys map[string]string) url.Values {
	params := make(url.Values, len(keys))
	for key, value := range keys {
		params.Set(key, value)
	}
	return params
}

// setNumber sets a parameter unless it is 0.
func setNumber(params url.Values, key string, n int64) {
	if n != 0 {
		params.Set(key, strconv.FormatInt(n, 10))
	}
}

// setText sets a parameter unless its value is "", which PVE takes for no parameter.
func setText(params url.Values, key, value string) {
	if value != "" {
		params.Set(key, value)
	}
}

// setFlag sets a parameter that is off unless it is set.
func setFlag(params url.Values, key string, on bool) {
	if on {
		params.Set(key, "1")
	}
}
