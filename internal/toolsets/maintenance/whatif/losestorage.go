package whatif

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// onStorage is what a storage has.
type onStorage struct {
	disks   map[pve.VMID]int64 // bytes of the guests that have disks there
	copies  map[pve.VMID]bool  // guests of other nodes, whose replicas or leftovers are there
	backups int
	size    int64          // bytes of the backups
	others  map[string]int // files by their kind
}

// loseStorage says which guests and backups are lost with a storage.
func (l *look) loseStorage(ctx context.Context) error {
	if l.in.Storage == "" {
		return tool.BadArgument("storage", "is missing: the storage that is lost, such as nfs")
	}
	stores, err := l.storesLost(ctx)
	if err != nil {
		return err
	}
	protection, err := coverage.Read(ctx, l.Survey, coverage.Options{})
	if err != nil {
		return err
	}
	is := l.contentOf(stores, protection)
	lost := func(g coverage.Guest) bool { return is.disks[g.VMID] > 0 }
	var nowhere, elsewhere, unknown, templates, onlyBackup []pve.Resource
	running := 0
	for _, g := range protection.Guests {
		has, seen := l.hasElsewhere(g)
		switch {
		case lost(g) && g.Template.Value:
			templates = append(templates, g.Resource)
		case lost(g) && has:
			elsewhere = append(elsewhere, g.Resource)
		case lost(g) && seen:
			nowhere = append(nowhere, g.Resource)
		case lost(g):
			unknown = append(unknown, g.Resource)
		case slices.Contains(g.Where, l.in.Storage) && !has && seen:
			onlyBackup = append(onlyBackup, g.Resource)
		}
		if lost(g) && g.Status.Value == "running" {
			running++
		}
	}
	l.addGroup(nowhere, "lose disks, and have no backup on another storage")
	l.addGroup(unknown, "lose disks; whether there is a backup on another storage cannot be seen")
	l.addGroup(elsewhere, "lose disks, and have a backup on another storage")
	l.addGroup(templates, "templates that lose disks; linked clones of them are lost as well")
	l.addGroup(onlyBackup, "keep their disks, and lose their only backups")
	l.sayStorage(is, protection, running, len(nowhere)+len(elsewhere)+len(unknown), len(nowhere))
	if n := len(unknown); n > 0 {
		l.out.Message += fmt.Sprintf(" Whether one is there cannot be seen of %s.", guests(n))
	}
	if n := len(onlyBackup); n > 0 {
		l.out.Message += fmt.Sprintf(" Without a backup from then on, of those that keep their disks: %s.", guests(n))
	}
	l.suggestBackup(protection, slices.Concat(nowhere, onlyBackup))
	return nil
}

// storesLost are the storages that are meant: of a storage that each node has for itself, those
// of all nodes or of the one that was named.
func (l *look) storesLost(ctx context.Context) ([]cluster.Store, error) {
	all, err := l.Stores(ctx)
	if err != nil {
		return nil, err
	}
	var out []cluster.Store
	for _, s := range all {
		if s.Storage.Value == l.in.Storage && (l.in.Node == "" || s.Shared.Value || s.Node.Value == l.in.Node) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, cluster.NoStorageError(l.in.Storage, all)
	}
	if len(out) > 1 {
		l.out.Notes = append(l.out.Notes, fmt.Sprintf("%s is another storage on each of %d nodes, and all of them are counted; with node it is that of one", render.Text(l.in.Storage, 60), len(out)))
	}
	return out, nil
}

// contentOf reads what is on storages.
func (l *look) contentOf(stores []cluster.Store, protection *coverage.Coverage) onStorage {
	is := onStorage{disks: map[pve.VMID]int64{}, copies: map[pve.VMID]bool{}, others: map[string]int{}}
	at := map[pve.VMID]string{}
	for _, g := range protection.Guests {
		at[g.VMID] = g.Node.Value
	}
	for _, note := range cluster.HiddenVolumes(l.Permissions, stores[0], "") {
		l.NotSeen("volumes", "", note)
	}
	var ready []cluster.Store
	for _, s := range stores {
		if s.Ready == nil {
			l.NotSeen("volumes", s.Name(), "it is not available, or its node is not")
			continue
		}
		ready = append(ready, s)
	}
	got := survey.Ask(l.Survey, "volumes", ready, cluster.Store.Name, func(ctx context.Context, s cluster.Store) ([]pve.Volume, error) {
		return l.VolumesOn(ctx, s, pve.VolumeFilter{})
	})
	for _, r := range got {
		for _, v := range r.Value {
			is.take(v, r.From, at)
		}
	}
	return is
}

// take counts a volume. at is the node of each guest.
func (is *onStorage) take(v pve.Volume, on cluster.Store, at map[pve.VMID]string) {
	id := pve.VMID(v.VMID.Value)
	switch v.Content {
	case "images", "rootdir":
		if !on.Shared.Value && at[id] != "" && at[id] != on.Node.Value {
			is.copies[id] = true
			return
		}
		is.disks[id] += max(1, v.Size.Value)
	case "backup":
		is.backups++
		is.size += v.Size.Value
	default:
		is.others[v.Content]++
	}
}

// hasElsewhere reports whether a guest has a backup on another storage, and whether that is
// known if it seems to have none.
func (l *look) hasElsewhere(g coverage.Guest) (has, seen bool) {
	has = slices.ContainsFunc(g.Where, func(s string) bool { return s != l.in.Storage })
	return has, len(g.Unseen) == 0
}

// sayStorage says what is lost as a whole.
func (l *look) sayStorage(is onStorage, protection *coverage.Coverage, running, lost, nowhere int) {
	l.out.Message = fmt.Sprintf("If %s is lost: %s lose disks (%d of them run), and %d of these have no backup on another storage; %d backups (%s) are gone.",
		render.Text(l.in.Storage, 60), guests(lost), running, nowhere, is.backups, render.Bytes(is.size))
	if orphans := is.withoutGuest(protection); orphans > 0 {
		l.out.Notes = append(l.out.Notes, fmt.Sprintf("disks of %d more ids are there, of which this token sees no guest", orphans))
	}
	if n := len(is.copies); n > 0 {
		l.out.Notes = append(l.out.Notes, fmt.Sprintf("copies of disks of %d guests on other nodes are there: of replication, or left over", n))
	}
	var files []string
	for _, kind := range []string{"iso", "vztmpl", "snippets", "import"} {
		if n := is.others[kind]; n > 0 {
			files = append(files, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if files != nil {
		l.out.Notes = append(l.out.Notes, "files: "+strings.Join(files, ", ")+"; a VM with one of the ISO images in a drive does not start without it")
	}
	var jobs []string
	for _, j := range protection.Jobs {
		if j.Storage.Value == l.in.Storage {
			jobs = append(jobs, render.Text(j.ID, 60))
		}
	}
	if jobs != nil {
		l.out.Notes = append(l.out.Notes, "backup jobs that write there fail from then on: "+render.List(jobs))
	}
}

// withoutGuest is how many ids have disks and no guest that can be seen.
func (is onStorage) withoutGuest(protection *coverage.Coverage) (n int) {
	seen := map[pve.VMID]bool{}
	for _, g := range protection.Guests {
		seen[g.VMID] = true
	}
	for id := range is.disks {
		if !seen[id] {
			n++
		}
	}
	return n
}

// mostBackedUp is how many guests a call backs up that is offered.
const mostBackedUp = 100

// suggestBackup offers to back up guests that have no backup on another storage to one that
// can take it.
func (l *look) suggestBackup(protection *coverage.Coverage, guests []pve.Resource) {
	if len(guests) == 0 {
		return
	}
	slices.SortFunc(guests, func(a, b pve.Resource) int { return int(a.VMID) - int(b.VMID) })
	guests = guests[:min(len(guests), mostBackedUp)]
	list := ""
	for _, g := range guests {
		list = selection.AppendID(list, g.VMID)
	}
	for _, s := range protection.Stores {
		if s.Storage.Value != l.in.Storage && s.Shared.Value && s.Ready != nil && l.Permissions.Has("/storage/"+s.Storage.Value, "Datastore.AllocateSpace") {
			next := l.call.Host().Offered(tool.NextCall{Tool: "pve_bulk_action", Arguments: map[string]any{"action": "backup", "guests": list, "storage": s.Storage.Value, "plan": true}})
			l.out.Next = &next
			return
		}
	}
}
