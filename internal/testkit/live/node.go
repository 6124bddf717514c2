package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Node is the node that stories run on.
type Node struct {
	Settings
	Version string // of PVE

	fence   *Fence
	client  *pve.Client // of the run itself, on the fence
	storage pve.Storage // that of the guests
	next    int         // of the ids, the next one that a story gets
}

// Open looks whether a run may begin on the node that the environment says: it is meant, and
// nothing has an id of the range. It only reads.
func Open(ctx context.Context, environ []string) (*Node, error) {
	s, err := Load(environ)
	if err != nil {
		return nil, err
	}
	n := &Node{Settings: s, fence: &Fence{IDs: s.IDs, Backups: s.Backups, Base: proxmox.NewTransport(proxmox.TLS{
		Roots: s.Config.Roots, Fingerprints: s.Config.Fingerprints, Insecure: !s.Config.VerifySSL,
	})}}
	if n.client, err = pve.New(n.options()); err != nil {
		return nil, err
	}
	version, err := n.client.Version(ctx)
	if err != nil {
		return nil, err
	}
	n.Version = version.Version
	if err := n.find(ctx); err != nil {
		return nil, err
	}
	n.fence.Node = n.Node
	return n, errors.Join(n.checkStorages(ctx), n.CheckEmpty(ctx))
}

func (n *Node) options() proxmox.Options {
	return proxmox.Options{
		Endpoints: n.Config.Hosts[:1], // the node that answers is one
		Token:     n.Config.Token,
		Transport: n.fence,
		Timeout:   n.Config.Timeout,
		UserAgent: "pve-mcp live stories",
	}
}

// Host returns a host of the tools under a policy, which allows them the scratch range alone.
func (n *Node) Host(allowed policy.Policy) (tool.Host, error) {
	allowed.Protect = n.Config.Policy.Protect
	allowed.Allow = policy.Rules{{Low: int(n.IDs.First), High: int(n.IDs.Last)}}
	host, err := tool.Connect("live", n.options(), allowed)
	host.Wait = patience
	return host, err
}

// Sent returns the writes that were sent since the last call, each as METHOD and endpoint.
func (n *Node) Sent() []string { return n.fence.Sent() }

// IDsOfStory returns two ids that no guest has. They are others each time, so that no story
// hears of what was before it.
func (n *Node) IDsOfStory() (first, second pve.VMID) {
	at := func(i int) pve.VMID { return n.IDs.First + pve.VMID(i%n.IDs.Len()) }
	n.next += 2
	return at(n.next - 2), at(n.next - 1)
}

// find finds the node's name, if it is not given.
func (n *Node) find(ctx context.Context) error {
	items, err := n.client.ClusterStatus(ctx)
	if err != nil {
		return fmt.Errorf("the name of the node cannot be seen: %w", err)
	}
	for _, item := range items {
		if item.Type == "node" && (item.Name == n.Node || n.Node == "" && item.Local.Value) {
			n.Node = item.Name
			return nil
		}
	}
	return fmt.Errorf("PVE_LIVE_NODE: there is no node %q", n.Node)
}

// checkStorages looks whether the storages can do what stories want.
func (n *Node) checkStorages(ctx context.Context) error {
	all, err := n.client.NodeStorages(ctx, n.Node, pve.StorageFilter{Enabled: true})
	if err != nil {
		return fmt.Errorf("the storages of %s cannot be seen: %w", n.Node, err)
	}
	var errs []error
	check := func(key, id, purpose string, fits func(pve.Storage) bool) {
		i := slices.IndexFunc(all, func(s pve.Storage) bool { return s.Storage == id })
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s: %s has no storage %q", key, n.Node, id))
		} else if !fits(all[i]) {
			errs = append(errs, fmt.Errorf("%s: %s, of type %s with %s, is not for %s", key, id, all[i].Type, all[i].Content.Value, purpose))
		}
	}
	_, key := n.Value("storage")
	check(key, n.Storage, "disks of VMs with snapshots", func(s pve.Storage) bool {
		n.storage = s
		return holds(s, "images") && slices.Contains(snapshotsOf[s.Type], pve.QEMU)
	})
	if n.Backups != "" {
		_, key := n.Value("backups")
		check(key, n.Backups, "backups", func(s pve.Storage) bool { return holds(s, "backup") })
	}
	for placeholder, volume := range map[string]pve.VolID{"template": n.Template, "iso": n.ISO} {
		if volume == (pve.VolID{}) {
			continue
		}
		_, key := n.Value(placeholder)
		content, err := n.client.Content(ctx, n.Node, volume.Storage, pve.VolumeFilter{})
		if err != nil || !slices.ContainsFunc(content, func(v pve.Volume) bool { return v.VolID == volume }) {
			errs = append(errs, errors.Join(fmt.Errorf("%s: %s cannot be found on %s", key, volume, n.Node), err))
		}
	}
	return errors.Join(errs...)
}

// CheckEmpty looks whether anything has an id of the range: a guest, be it one that the
// token may not see, or a disk or a backup on the storages of the run.
func (n *Node) CheckEmpty(ctx context.Context) error {
	var found []string
	for id := n.IDs.First; id <= n.IDs.Last; id++ {
		taken, err := n.client.IDTaken(ctx, id)
		if err != nil {
			return fmt.Errorf("whether there is a guest %d cannot be seen: %w", id, err)
		}
		if taken {
			found = append(found, fmt.Sprintf("guest %d", id))
		}
	}
	for _, storage := range slices.Compact([]string{n.Storage, n.Backups}) {
		if storage == "" {
			continue
		}
		volumes, err := n.volumes(ctx, storage)
		if err != nil {
			return fmt.Errorf("the content of %s cannot be seen: %w", storage, err)
		}
		for _, v := range volumes {
			found = append(found, v.String())
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("the scratch range %v is not empty: %s", n.IDs, strings.Join(found, ", "))
	}
	return nil
}

// volumes are those of a storage that belong to an id of the range.
func (n *Node) volumes(ctx context.Context, storage string) ([]pve.VolID, error) {
	content, err := n.client.Content(ctx, n.Node, storage, pve.VolumeFilter{})
	var out []pve.VolID
	for _, v := range content {
		if n.IDs.Has(pve.VMID(v.VMID.Value)) {
			out = append(out, v.VolID)
		}
	}
	return out, err
}
