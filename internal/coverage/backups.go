package coverage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// takeVolumes sorts the backups by the guests that they are of, and says what is not seen.
func (r *reading) takeVolumes(got []cluster.Response[cluster.Store, []pve.Volume]) {
	gone := map[pve.VMID]*Gone{}
	answered := map[string]bool{}
	for _, list := range got {
		answered[list.From.Name()] = true
		for _, v := range list.Value {
			b, id := BackupOf(v, list.From), pve.VMID(v.VMID.Value)
			switch {
			case v.Content != "backup" || id < pve.MinVMID:
			case r.at[id] != nil:
				r.own[id] = append(r.own[id], b)
			default:
				if gone[id] == nil {
					gone[id] = &Gone{VMID: id, Newest: b}
				}
				g := gone[id]
				if g.Count++; b.Made.After(g.Newest.Made) {
					g.Newest = b
				}
			}
		}
	}
	for _, g := range gone {
		r.Gone = append(r.Gone, *g)
	}
	slices.SortFunc(r.Gone, func(a, b Gone) int { return cmp.Compare(a.VMID, b.VMID) })
	for _, list := range r.own {
		slices.SortFunc(list, func(a, b Backup) int {
			return cmp.Or(b.Made.Compare(a.Made), strings.Compare(a.Volume.String(), b.Volume.String()))
		})
	}
	r.noteUnseen(answered)
}

// BackupOf is a volume as a backup, on a store.
func BackupOf(v pve.Volume, on cluster.Store) Backup {
	b := Backup{
		Volume: v.VolID, Made: time.Unix(v.CTime.Value, 0), Size: v.Size.Value, Kind: v.Subtype.Or("unknown"), Verified: v.Verification["state"],
		Encrypted: v.Encrypted.Value != "", Protected: v.Protected.Value, Notes: v.Notes.Value,
	}
	b.OnServer = strings.HasPrefix(v.Format.Value, "pbs-")
	b.Unfinished = b.OnServer && v.Size.Value <= 1 // PVE's word for a size that the server has not got yet
	if !on.Shared.Value {
		b.Node = on.Node.Value
	}
	return b
}

// noteUnseen says of each guest where there may be backups that were not seen.
func (r *reading) noteUnseen(answered map[string]bool) {
	perms := r.s.Permissions
	var anyGuest []string
	switch all, except := perms.Below("/storage", "Datastore.Audit"); {
	case !all:
		r.s.May(CheckBackups, "", "Datastore.Audit", "/storage")
		anyGuest = append(anyGuest, "storages that this token cannot see (Datastore.Audit on /storage)")
	default:
		for _, path := range except {
			r.s.May(CheckBackups, path[len("/storage/"):], "Datastore.Audit", path)
			anyGuest = append(anyGuest, fmt.Sprintf("the storage %s (Datastore.Audit)", path[len("/storage/"):]))
		}
	}
	var byGuest []string // storages where PVE lists the backups of guests on which the token has VM.Backup
	for i, st := range r.Stores {
		storage, path := st.Storage.Value, "/storage/"+st.Storage.Value
		switch {
		case !answered[st.Name()]:
			anyGuest = append(anyGuest, st.Name()+", which could not be read")
			r.hidden[storage] = true
		case perms.Has(path, "Datastore.Allocate"):
		case i > 0 && r.Stores[i-1].Storage == st.Storage: // said of it on another node
		case !r.s.May(CheckBackups, "storage "+storage, "Datastore.AllocateSpace", path):
			anyGuest = append(anyGuest, fmt.Sprintf("storage %s (Datastore.AllocateSpace)", storage))
			r.hidden[storage] = true
		default:
			byGuest = append(byGuest, storage)
		}
	}
	for i := range r.Guests {
		g := &r.Guests[i]
		g.Unseen = anyGuest
		if len(byGuest) > 0 && !r.s.May(CheckBackups, g.VMID.String(), "VM.Backup", "/vms/"+g.VMID.String()) {
			g.Unseen = append(slices.Clone(anyGuest), "its backups (VM.Backup)")
		}
	}
}

// madeRE finds when a VM was made in its configuration. A restored one has the time of the VM
// that was backed up.
var madeRE = lazyregexp.New(`(?:^|,)ctime=(\d+)(?:,|$)`)

// hostRE matches notes that can only be the name of a guest, which is what PVE notes by default.
var hostRE = lazyregexp.New(`^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*$`)

// mostAsked is how many guests are asked when they were made.
const mostAsked = 20

// dropOthers takes backups away from guests that had an id of another guest before: of the
// other kind, or older than the guest. Only VMs whose backups have another name in their notes
// are asked when they were made.
func (r *reading) dropOthers() {
	var doubtful []*Guest
	for i := range r.Guests {
		g := &r.Guests[i]
		r.keep(g, func(b Backup) bool { return b.Kind == "unknown" || b.Kind == g.Type })
		for _, b := range r.own[g.VMID] {
			if r.otherName(g, b) {
				doubtful = append(doubtful, g)
				break
			}
		}
	}
	asked := slices.DeleteFunc(slices.Clone(doubtful), func(g *Guest) bool {
		return g.Type != string(pve.QEMU) || !r.online(g.Node.Value)
	})
	asked = asked[:min(mostAsked, len(asked))]
	name := func(g *Guest) string { return g.VMID.String() }
	got := survey.Ask(r.s, "when guests were made", asked, name, func(ctx context.Context, g *Guest) (pve.GuestConfig, error) {
		return r.s.PVE.CurrentConfig(ctx, g.Ref())
	})
	for _, a := range got {
		if made := madeRE.FindStringSubmatch(a.Value.Values["meta"]); made != nil {
			since, _ := time.ParseDuration(made[1] + "s")
			r.keep(a.From, func(b Backup) bool { return b.Made.Sub(time.Unix(0, 0)) >= since })
		}
	}
	for _, g := range doubtful {
		for _, b := range r.own[g.VMID] {
			if b.Good() {
				if r.otherName(g, b) {
					g.NotedAs = b.Notes
				}
				break
			}
		}
	}
}

func (r *reading) online(node string) bool {
	return slices.ContainsFunc(r.nodes, func(n pve.Resource) bool { return n.Node.Value == node && n.Status.Value == "online" })
}

// keep keeps the backups of a guest that are its own.
func (r *reading) keep(g *Guest, own func(Backup) bool) {
	before := len(r.own[g.VMID])
	r.own[g.VMID] = slices.DeleteFunc(r.own[g.VMID], func(b Backup) bool { return !own(b) })
	g.Others += before - len(r.own[g.VMID])
}

// otherName reports whether the notes of a backup are a name, and not the guest's.
func (r *reading) otherName(g *Guest, b Backup) bool {
	return b.Notes != "" && g.Name.Value != "" && b.Notes != g.Name.Value && hostRE.MatchString(b.Notes)
}

// summarize says of each guest what its backups are.
func (r *reading) summarize() {
	for i := range r.Guests {
		g := &r.Guests[i]
		list := r.own[g.VMID]
		g.Count = len(list)
		for n := range list {
			b := &list[n]
			if g.Last == nil {
				g.Last = b
			}
			if g.Verified == nil && b.Verified == "ok" {
				g.Verified = b
			}
			if !slices.Contains(g.Where, b.Volume.Storage) {
				g.Where = append(g.Where, b.Volume.Storage)
			}
			switch {
			case !b.Good():
				g.Bad++
			case g.Newest == nil:
				g.Newest = b
			}
		}
		slices.SortFunc(g.Where, pve.CompareNames)
	}
}
