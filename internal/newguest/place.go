package newguest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Place is where a guest is to be, with the reason for each choice that was made here.
type Place struct {
	Node       string `json:"node"`
	Storage    string `json:"storage"` // of its disks
	WhyNode    string `json:"why_node,omitzero"`
	WhyStorage string `json:"why_storage,omitzero"`
}

// Wanted is what a place must have.
type Wanted struct {
	Node    string   // "" leaves the choice
	Among   []string // the nodes that have what it is made from; nil is any
	Storage string   // "" leaves the choice
	Content string   // of the storage: images or rootdir
	Bytes   int64    // that the disks take, as far as it is known
	Memory  int64    // of the guest, in bytes
	// Near is a volume that the node must reach, such as an image; none if it has no storage.
	Near pve.VolID
}

// ChoosePlace chooses node and storage: of the nodes that are online and not in maintenance,
// reach the image and have a storage with room, the one with most free memory; of its
// storages the one with most room on which the token may make disks.
func ChoosePlace(ctx context.Context, v *cluster.View, perms pve.Permissions, w Wanted) (Place, error) {
	stores, err := v.Stores(ctx)
	if err != nil {
		return Place{}, err
	}
	nodes, err := v.Nodes(ctx)
	if err != nil {
		return Place{}, err
	}
	if w.Node != "" {
		n, err := v.OnlineNode(ctx, w.Node)
		if err != nil {
			return Place{}, err
		}
		nodes = []pve.Resource{n}
	}
	resting, err := v.NodesInMaintenance(ctx)
	if err != nil {
		return Place{}, err
	}
	var best Place
	var bestFree int64
	fits, why := 0, []string{}
	for _, n := range nodes {
		name := n.Node.Value
		p, reason := placeOn(stores, perms, w, n)
		switch {
		case w.Node == "" && resting[name]:
			reason = "is in maintenance"
		case n.Status.Value != "online":
			reason = "is " + n.Status.Or("unknown")
		case w.Among != nil && !slices.Contains(w.Among, name):
			reason = fmt.Sprintf("does not have %s, which is on %s", render.Text(w.Near.String(), 100), render.List(w.Among))
		}
		if reason != "" {
			why = append(why, name+" "+reason)
			continue
		}
		fits++
		if free := n.MaxMem.Value - n.Mem.Value; best.Node == "" || free > bestFree {
			best, bestFree = p, free
		}
	}
	if best.Node == "" {
		return Place{}, explain.Refusal("Name a node and a storage that have room, or make room.", "No node can take the guest: %s. Nothing was sent.", render.Text(strings.Join(why, "; "), 600))
	}
	switch {
	case w.Node != "" || len(nodes) == 1:
	case fits == 1:
		best.WhyNode = "the only node that can take it"
	default:
		best.WhyNode = fmt.Sprintf("most free memory (%s) of the %d nodes that can take it", render.Bytes(bestFree), fits)
	}
	return best, nil
}

// placeOn returns the place on a node, or why there is none.
func placeOn(stores []cluster.Store, perms pve.Permissions, w Wanted, n pve.Resource) (Place, string) {
	node := n.Node.Value
	if near := w.Near.Storage; near != "" && !reaches(stores, near, node) {
		return Place{}, "does not have the storage " + render.Text(near, 60) + " of the source"
	}
	var with []cluster.Store
	short := ""
	for _, s := range stores {
		name := s.Storage.Value
		switch {
		case !s.Holds(w.Content), !s.UsableOn(node), w.Storage != "" && name != w.Storage:
		case !perms.Has("/storage/"+name, "Datastore.AllocateSpace"):
			short = "has " + render.Text(name, 60) + ", on which this token lacks Datastore.AllocateSpace"
		case Free(s) < w.Bytes:
			short = fmt.Sprintf("has %s free on %s, and %s are needed", render.Bytes(Free(s)), render.Text(name, 60), render.Bytes(w.Bytes))
		default:
			with = append(with, s)
		}
	}
	if with == nil {
		if short == "" {
			short = fmt.Sprintf("has no storage %sfor %s", strings.TrimLeft(render.Text(w.Storage, 60)+" ", " "), w.Content)
		}
		return Place{}, short
	}
	best := slices.MaxFunc(with, func(a, b cluster.Store) int {
		return cmp.Or(cmp.Compare(Free(a), Free(b)), -pve.CompareNames(a.Storage.Value, b.Storage.Value))
	})
	p := Place{Node: node, Storage: best.Storage.Value}
	if w.Storage == "" {
		p.WhyStorage = "most room: " + render.Bytes(Free(best)) + " free"
	}
	return p, ""
}

// Free returns how many bytes are free on a storage, as far as PVE knows.
func Free(s cluster.Store) int64 { return max(0, s.MaxDisk.Value-s.Disk.Value) }

func reaches(stores []cluster.Store, name, node string) bool {
	return slices.ContainsFunc(stores, func(s cluster.Store) bool { return s.Storage.Value == name && s.UsableOn(node) })
}

// StoreFor returns the storage of a node for a kind of content on which the token has all of some
// privileges, the one with most room.
func StoreFor(stores []cluster.Store, perms pve.Permissions, node, content string, privileges ...string) (name string, ok bool) {
	var free int64 = -1
	for _, s := range stores {
		lacks := slices.ContainsFunc(privileges, func(p string) bool { return !perms.Has("/storage/"+s.Storage.Value, p) })
		if s.Holds(content) && s.UsableOn(node) && !lacks && Free(s) > free {
			name, free, ok = s.Storage.Value, Free(s), true
		}
	}
	return name, ok
}

// CheckBridges gives NICs without a bridge one of the node, and returns an error about the
// argument nics if a bridge is not there: PVE would take it, and the guest would not start.
// Where no bridge can be seen, nothing is known. said names the bridge that was chosen.
func CheckBridges(ctx context.Context, v *cluster.View, node string, nics []NIC) (said string, err error) {
	if len(nics) == 0 {
		return "", nil
	}
	list, err := v.PVE.Bridges(ctx, node)
	if err != nil {
		return "", err
	}
	var names []string
	for _, b := range list {
		names = append(names, b.Iface)
	}
	slices.SortFunc(names, pve.CompareNames)
	for i := range nics {
		n := &nics[i]
		switch {
		case n.Bridge == "" && len(names) > 0:
			n.Bridge = names[0]
			said = fmt.Sprintf("%s: the first bridge of %s", names[0], node)
		case n.Bridge == "":
			return "", explain.Refusal("Name the bridge: nics: [\"bridge=vmbr0\"].", "No bridge of %s is visible to this token (SDN.Use), so none could be chosen. Nothing was sent.", node)
		case len(names) > 0 && !slices.Contains(names, n.Bridge):
			return "", explain.Refusal(fmt.Sprintf("%s has %s.", node, render.Text(render.List(names), 300)),
				"The node %s has no bridge %q that this token may use; a guest with it would not start. Nothing was sent.", node, render.Text(n.Bridge, 60))
		}
	}
	return said, nil
}

// Discards reports whether a storage gives space back that a guest no longer uses.
func Discards(kind lenient.Opt[string]) bool {
	return slices.Contains([]string{"zfspool", "lvmthin", "rbd", "btrfs", "dir", "nfs", "cifs", "cephfs"}, kind.Value)
}
