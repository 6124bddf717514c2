package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Store is a storage: a shared one for all nodes that have it, another one for each
// node.
type Store struct {
	pve.Resource          // of the first node on which it can be used, or of the first at all
	Nodes        []string // that have it
	Ready        []string // those of them that could use it when PVE looked last
}

// Name names the store for a person.
func (s Store) Name() string {
	if s.Shared.Value {
		return "storage " + s.Storage.Value
	}
	return fmt.Sprintf("storage %s on %s", s.Storage.Value, s.Node.Value)
}

// Holds reports whether a kind of content may be on the store.
func (s Store) Holds(content string) bool { return slices.Contains(s.Contents(), content) }

// Contents are the kinds of content that may be on the store, sorted.
func (s Store) Contents() []string {
	kinds := strings.FieldsFunc(s.Content.Value, func(r rune) bool { return r == ',' })
	slices.Sort(kinds)
	return kinds
}

// UsableOn reports whether a node could use the store when PVE looked last.
func (s Store) UsableOn(node string) bool { return slices.Contains(s.Ready, node) }

// StoresIn returns the stores in a list of resources, by name and node. The list also has the
// nodes: for some minutes PVE goes on to show what it last heard of the storages of a node
// that is offline.
func StoresIn(all []pve.Resource) []Store {
	var rows []pve.Resource
	var offline []string
	for _, r := range all {
		switch {
		case r.Type == "storage":
			rows = append(rows, r)
		case r.Type == "node" && r.Status.Value != "online":
			offline = append(offline, r.Node.Value)
		}
	}
	slices.SortFunc(rows, func(a, b pve.Resource) int {
		return cmp.Or(pve.CompareNames(a.Storage.Value, b.Storage.Value), pve.CompareNames(a.Node.Value, b.Node.Value))
	})
	var out []Store
	for _, r := range rows {
		if slices.Contains(offline, r.Node.Value) {
			r.Status = lenient.Some("unknown")
		}
		last := len(out) - 1
		if last < 0 || out[last].Storage != r.Storage || !r.Shared.Value {
			out = append(out, Store{Resource: r})
			last++
		}
		s := &out[last]
		s.Nodes = append(s.Nodes, r.Node.Value)
		if r.Status.Value != "available" {
			continue
		}
		if s.Ready == nil {
			s.Resource = r
		}
		s.Ready = append(s.Ready, r.Node.Value)
	}
	return out
}

// StoreOn is a storage as a node has it, which is not looked up.
func StoreOn(node, storage string) Store {
	return Store{Resource: pve.Resource{Storage: lenient.Some(storage), Node: lenient.Some(node)}, Ready: []string{node}}
}

// Stores lists the storages that the token may see.
func (v *View) Stores(ctx context.Context) ([]Store, error) {
	nodes, err := v.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	all, err := v.List(ctx, "storage")
	if err != nil {
		return nil, err
	}
	return StoresIn(append(all.Resources(), nodes...)), nil
}

// StorageType is the type of a storage, "" if the token may not see it.
func StorageType(stores []Store, name string) string {
	for _, s := range stores {
		if s.Storage.Value == name {
			return s.PluginType.Value
		}
	}
	return ""
}

// NoStorageError is the error for a storage that is not among those that there are.
func NoStorageError(name string, among []Store) error {
	if len(among) == 0 {
		return explain.Refusal("Grant it PVEAuditor on /storage.", "This token sees no storages at all.")
	}
	return explain.Refusal("There are "+render.List(StoreNames(among))+".",
		"There is no storage %q, or it is disabled, or this token may not see it.", render.Text(name, 60))
}

// StoresFor are the stores on which a kind of content may be.
func StoresFor(content string, stores []Store) []Store {
	return slices.DeleteFunc(slices.Clone(stores), func(s Store) bool { return !s.Holds(content) })
}

// StoreNames are the names of stores, each once.
func StoreNames(stores []Store) []string {
	var out []string
	for _, s := range stores {
		if !slices.Contains(out, s.Storage.Value) {
			out = append(out, s.Storage.Value)
		}
	}
	return out
}

// Volumes lists what is on stores, with a note about each that could not be read.
func (v *View) Volumes(ctx context.Context, stores []Store, f pve.VolumeFilter) ([]Response[Store, []pve.Volume], []string, error) {
	var usable []Store
	var notes []string
	for _, s := range stores {
		if s.Ready != nil {
			usable = append(usable, s)
			continue
		}
		notes = append(notes, s.Name()+" is not available, or its node is not: what it has is left out")
	}
	got, problems, err := Ask(v, usable, Store.Name, func(s Store) ([]pve.Volume, error) { return v.VolumesOn(ctx, s, f) })
	return got, append(notes, problems...), err
}

// OwnerNotes say whose volumes there are on stores, for an answer that has none of a guest
// because no such guest can be seen. content is a kind of volume; "" is any.
func (v *View) OwnerNotes(ctx context.Context, stores []Store, content string, id pve.VMID) ([]string, error) {
	var none *pve.NoGuestError
	if _, err := v.Guest(ctx, id); !errors.As(err, &none) {
		return nil, err
	}
	got, _, err := v.Volumes(ctx, stores, pve.VolumeFilter{Content: content})
	var ids []int64
	for _, s := range got {
		for _, v := range s.Value {
			if v.VMID.Set {
				ids = append(ids, v.VMID.Value)
			}
		}
	}
	slices.Sort(ids)
	var names []string
	for _, id := range slices.Compact(ids) {
		names = append(names, strconv.FormatInt(id, 10))
	}
	note := fmt.Sprintf("no guest %v can be seen, nor anything of it; what there is, is of %s", id, cmp.Or(render.List(names), "no guest"))
	return []string{note}, err
}

// VolumesOn asks a node for what is on a store that is ready on it, and another one if that cannot be
// reached. If the store hangs, it does so on others, too.
func (v *View) VolumesOn(ctx context.Context, s Store, f pve.VolumeFilter) ([]pve.Volume, error) {
	list, err := v.PVE.Content(ctx, s.Ready[0], s.Storage.Value, f)
	var refusal *proxmox.Error
	if errors.As(err, &refusal) && refusal.NodeUnreachable() && !refusal.TimedOut() && len(s.Ready) > 1 {
		return v.PVE.Content(ctx, s.Ready[1], s.Storage.Value, f)
	}
	return list, err
}

// HiddenVolumes says which volumes of a kind PVE leaves out of its lists of a storage for
// a token; "" is every kind.
func HiddenVolumes(perms pve.Permissions, s Store, content string) []string {
	storage, path := s.Storage.Value, "/storage/"+s.Storage.Value
	if perms.Has(path, "Datastore.Allocate") {
		return nil
	}
	var notes []string
	about := func(kind string) bool { return s.Holds(kind) && (content == "" || content == kind) }
	ofStorage := func(what, privilege string) {
		notes = append(notes, fmt.Sprintf("%s on %s are not visible to this token: it lacks %s on %s", what, storage, privilege, path))
	}
	ofGuests := func(what, privilege string) {
		switch all, except := perms.Below("/vms", privilege); {
		case !all:
			notes = append(notes, fmt.Sprintf("%s on %s of guests on which this token lacks %s are not visible", what, storage, privilege))
		case len(except) > 0:
			notes = append(notes, fmt.Sprintf("%s on %s of %s are not visible: this token lacks %s there", what, storage, render.Text(render.List(except), 200), privilege))
		}
	}
	switch {
	case !about("backup"):
	case !perms.Has(path, "Datastore.AllocateSpace"):
		ofStorage("backups", "Datastore.AllocateSpace")
	default:
		ofGuests("backups", "VM.Backup")
	}
	if about("images") || about("rootdir") {
		ofGuests("disks", "VM.Config.Disk")
	}
	if about("snippets") {
		ofStorage("snippets", "Datastore.Allocate")
	}
	return notes
}
