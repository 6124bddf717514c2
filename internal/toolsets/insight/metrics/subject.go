package metrics

import (
	"context"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// subject is what a question is about: one of a guest, a node and stores, or the cluster.
type subject struct {
	label  string
	guest  pve.Resource
	node   string
	stores []cluster.Store // of one name
}

// usualPeriod is the period of a question that names none.
func (s subject) usualPeriod(in question) period {
	if in.Top != "" || s.guest.VMID != 0 || s.node != "" {
		return week
	}
	return month
}

// subject finds what is meant by a word.
func (r *reading) subject(ctx context.Context) (subject, error) {
	all, err := r.List(ctx, "")
	if err != nil {
		return subject{}, err
	}
	r.all = all
	word := strings.TrimSpace(r.in.Of)
	if word == "" || word == "cluster" {
		return subject{label: "the cluster"}, nil
	}
	kind, bare := "", word
	if before, after, cut := strings.Cut(word, ":"); cut && slices.Contains([]string{"guest", "node", "storage"}, before) {
		kind, bare = before, after
	}
	var found []subject
	for row := range all.Rows() {
		switch {
		case row.IsGuest() && (row.VMID().String() == bare || row.Name() == bare):
			g := row.Resource()
			found = append(found, subject{label: cluster.GuestName(g), guest: g})
		case row.Type() == "node" && row.Node() == bare:
			found = append(found, subject{label: "node " + bare, node: bare})
		}
	}
	if stores := storesNamed(r.stores(), bare); stores != nil {
		found = append(found, subject{label: "storage " + bare, stores: stores})
	}
	found = slices.DeleteFunc(found, func(s subject) bool { return kind != "" && !strings.HasPrefix(s.prefixed(), kind+":") })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return subject{}, explain.Refusal("pve_list_guests, pve_list_nodes and pve_list_storage have the names.",
			"There is no guest, node or storage %q that this token may see.", render.Text(word, 60))
	}
	var names []string
	for _, s := range found {
		names = append(names, s.prefixed())
	}
	return subject{}, explain.Refusal("Give one of these.", "%q is %s.", render.Text(word, 60), render.List(names))
}

// stores are those that the token may see.
func (r *reading) stores() []cluster.Store {
	var rows []*pve.Row
	for row := range r.all.Rows() {
		if !row.IsGuest() {
			rows = append(rows, row)
		}
	}
	return cluster.StoresIn(pve.Decoded(rows))
}

// prefixed is a word that means the subject alone.
func (s subject) prefixed() string {
	switch {
	case s.guest.VMID != 0:
		return "guest:" + s.guest.VMID.String()
	case s.node != "":
		return "node:" + s.node
	}
	return "storage:" + s.stores[0].Storage.Value
}

// storesNamed are the stores of a name, or the one of node/name.
func storesNamed(all []cluster.Store, name string) []cluster.Store {
	var out []cluster.Store
	for _, s := range all {
		if s.Storage.Value == name || s.Node.Value+"/"+s.Storage.Value == name {
			out = append(out, s)
		}
	}
	return out
}
