package tool

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pve-mcp/internal/render"
	"pve-mcp/pve"
)

// Store is a storage: a shared one for all nodes that have it, another one for each
// node.
type Store struct {
	pve.Resource          // of the first node on which it can be used, or of the first at all
	Nodes        []string // that have it
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

// Usable reports whether the store could be used when PVE looked last.
func (s Store) Usable() bool { return s.Status.Value == "available" }

// Stores makes stores of a list of resources, by name and node.
func Stores(all []pve.Resource) []Store {
	var out []Store
	for _, r := range all {
		if r.Type != "storage" {
			continue
		}
		i := slices.IndexFunc(out, func(s Store) bool { return r.Shared.Value && s.Shared.Value && s.Storage == r.Storage })
		if i < 0 {
			out = append(out, Store{r, []string{r.Node.Value}})
			continue
		}
		nodes := append(out[i].Nodes, r.Node.Value)
		slices.Sort(nodes)
		if out[i].Nodes = nodes; !out[i].Usable() {
			out[i].Resource = r
		}
	}
	slices.SortFunc(out, func(a, b Store) int {
		return cmp.Or(strings.Compare(a.Storage.Value, b.Storage.Value), strings.Compare(a.Node.Value, b.Node.Value))
	})
	return out
}

// Stores lists the storages that the token may see.
func (c *Call) Stores(ctx context.Context) ([]Store, error) {
	all, err := c.PVE.Resources(ctx, "storage")
	return Stores(all), err
}

// Volumes lists what is on stores, with a note about each that could not be read.
func (c *Call) Volumes(ctx context.Context, stores []Store, params url.Values) ([]Answered[Store, []pve.Volume], []string, error) {
	var usable []Store
	var notes []string
	for _, s := range stores {
		if s.Usable() {
			usable = append(usable, s)
			continue
		}
		notes = append(notes, fmt.Sprintf("%s is %s: what it has is left out", s.Name(), s.Status.Or("unknown")))
	}
	got, problems, err := Ask(c, usable, Store.Name, func(s Store) ([]pve.Volume, error) {
		return c.PVE.Content(ctx, s.Node.Value, s.Storage.Value, params)
	})
	return got, append(notes, problems...), err
}

// HiddenVolumes says which volumes of a kind PVE leaves out of its lists for a token; ""
// stands for every kind.
func HiddenVolumes(perms pve.Permissions, storage, content string) []string {
	path := "/storage/" + storage
	if perms.Has(path, "Datastore.Allocate") {
		return nil
	}
	var notes []string
	about := func(kinds ...string) bool { return content == "" || slices.Contains(kinds, content) }
	ofGuests := func(what, privilege string) {
		switch all, except := perms.Below("/vms", privilege); {
		case !all:
			notes = append(notes, fmt.Sprintf("%s of guests on which this token lacks %s are not visible", what, privilege))
		case len(except) > 0:
			notes = append(notes, fmt.Sprintf("%s of %s are not visible: this token lacks %s there", what, render.Text(render.List(except), 200), privilege))
		}
	}
	switch space := perms.Has(path, "Datastore.AllocateSpace"); {
	case !about("backup"):
	case !space:
		notes = append(notes, fmt.Sprintf("backups on %s are not visible to this token: it lacks Datastore.AllocateSpace on %s", storage, path))
	default:
		ofGuests("backups on "+storage, "VM.Backup")
	}
	switch audit := perms.Has(path, "Datastore.Audit"); {
	case !about("images", "rootdir"):
	case !audit:
		notes = append(notes, fmt.Sprintf("disks on %s are not visible to this token: it lacks Datastore.Audit on %s", storage, path))
	default:
		ofGuests("disks on "+storage, "VM.Config.Disk")
	}
	if about("snippets") {
		notes = append(notes, fmt.Sprintf("snippets on %s are not visible to this token: it lacks Datastore.Allocate on %s", storage, path))
	}
	return notes
}
