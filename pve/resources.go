package pve

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Resource is one line of /cluster/resources: a node, a guest, a storage on a
// node, a pool or an SDN zone. Its numbers come from a broadcast that each node
// makes about every 10 s, so they are up to 20 s old.
type Resource struct {
	ID         string               `json:"id"`
	Type       string               `json:"type"` // node, qemu, lxc, storage, pool, sdn, network
	Status     lenient.Opt[string]  `json:"status,omitzero"`
	Node       lenient.Opt[string]  `json:"node,omitzero"`
	VMID       VMID                 `json:"vmid,omitzero"`
	Name       lenient.Opt[string]  `json:"name,omitzero"`
	Pool       lenient.Opt[string]  `json:"pool,omitzero"`
	Tags       lenient.Opt[string]  `json:"tags,omitzero"` // separated by semicolons
	Lock       lenient.Opt[string]  `json:"lock,omitzero"`
	HAState    lenient.Opt[string]  `json:"hastate,omitzero"`
	Template   lenient.Opt[bool]    `json:"template,omitzero"`
	Uptime     lenient.Opt[int64]   `json:"uptime,omitzero"`  // seconds
	CPU        lenient.Opt[float64] `json:"cpu,omitzero"`     // the share of MaxCPU in use, 0 to 1
	MaxCPU     lenient.Opt[float64] `json:"maxcpu,omitzero"`  // cores, fractional for a limited CT
	Mem        lenient.Opt[int64]   `json:"mem,omitzero"`     // bytes
	MaxMem     lenient.Opt[int64]   `json:"maxmem,omitzero"`  // bytes
	MemHost    lenient.Opt[int64]   `json:"memhost,omitzero"` // bytes that a VM takes on its host; PVE 9
	Disk       lenient.Opt[int64]   `json:"disk,omitzero"`    // bytes; always 0 for a VM, whose use PVE does not know
	MaxDisk    lenient.Opt[int64]   `json:"maxdisk,omitzero"` // bytes; of a VM the boot disk alone
	NetIn      lenient.Opt[int64]   `json:"netin,omitzero"`   // bytes since the start
	NetOut     lenient.Opt[int64]   `json:"netout,omitzero"`
	DiskRead   lenient.Opt[int64]   `json:"diskread,omitzero"`
	DiskWrite  lenient.Opt[int64]   `json:"diskwrite,omitzero"`
	Storage    lenient.Opt[string]  `json:"storage,omitzero"`
	Shared     lenient.Opt[bool]    `json:"shared,omitzero"`
	Content    lenient.Opt[string]  `json:"content,omitzero"`
	PluginType lenient.Opt[string]  `json:"plugintype,omitzero"`
	Level      lenient.Opt[string]  `json:"level,omitzero"` // of the subscription
	Extra      lenient.Extra        `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (r *Resource) UnmarshalJSON(data []byte) error { return lenient.Decode(data, r, &r.Extra) }

// MarshalJSON writes what was read.
func (r Resource) MarshalJSON() ([]byte, error) { return lenient.Encode(r, r.Extra) }

// IsGuest reports whether the resource is a VM or a container.
func (r Resource) IsGuest() bool { return r.Type == string(QEMU) || r.Type == string(LXC) }

// State is one word for a guest's state as PVE knew it last; unknown if it did
// not.
func (r Resource) State() string { return stateOf(r.Status.Or("unknown"), r.Lock.Value) }

// Ref returns the place of a guest in the API.
func (r Resource) Ref() GuestRef {
	return GuestRef{Node: r.Node.Value, Kind: Kind(r.Type), VMID: r.VMID}
}

// TagList returns the tags of a guest.
func (r Resource) TagList() []string { return SplitTags(r.Tags.Value) }

// SplitTags splits PVE's list of tags.
func SplitTags(tags string) []string { return apischema.SplitList(tags) }

// ResourcesAge is how long a list of resources is used again. A write of the client, or an
// answer that a guest is on another node, outdates it at once.
const ResourcesAge = 3 * time.Second

// Resources lists what the token may see of the cluster: guests with VM.Audit,
// storages with Datastore.Audit, pools with Pool.Audit, and every node. kind may
// be vm, storage, node or sdn; "" is everything.
func (c *Client) Resources(ctx context.Context, kind string) (*ResourceList, error) {
	if known, ok := c.lists.kept(kind, c.Changes()); ok {
		return known, nil
	}
	if all, ok := c.lists.kept("", c.Changes()); ok && slices.Contains([]string{"vm", "node", "storage"}, kind) {
		return all.of(kind), nil
	}
	return c.readResources(ctx, kind)
}

// readResources asks PVE. All who do at a time share one answer.
func (c *Client) readResources(ctx context.Context, kind string) (*ResourceList, error) {
	return proxmox.Shared(ctx, c.Client, kind, func(ctx context.Context) (*ResourceList, error) {
		p, params := proxmox.Join("cluster", "resources"), url.Values{}
		if kind != "" {
			params.Set("type", kind)
		}
		changes := c.Changes()
		ans, err := c.ask(ctx, p, params)
		if err != nil {
			return nil, err
		}
		rows, err := rowsIn(ans.Data)
		if err != nil {
			return nil, fmt.Errorf("GET %s: %w", p, err)
		}
		read := &ResourceList{ans.Asked, rows}
		c.lists.keep(kind, read, changes)
		return read, nil
	})
}

// lists remembers lists of resources for a moment, so that a conversation about some of
// them does not read all of them again and again. The zero value is ready for use.
type lists struct {
	mu     sync.Mutex
	byKind map[string]keptList // guarded by mu
}

// keptList is a list, as of so many changes ([proxmox.Client.Changes]).
type keptList struct {
	*ResourceList
	changes int64
}

// kept returns a list of a moment ago.
func (l *lists) kept(kind string, changes int64) (list *ResourceList, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.byKind[kind]
	return known.ResourceList, known.ResourceList != nil && known.changes == changes && time.Since(known.asOf) < ResourcesAge
}

// keep remembers a list that was asked for after so many changes.
func (l *lists) keep(kind string, list *ResourceList, changes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKind == nil {
		l.byKind = map[string]keptList{}
	}
	l.byKind[kind] = keptList{list, changes}
}
