package find

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// storageUse is what uses a storage. Each group has a count and at most five names.
type storageUse struct {
	Disks     group `json:"disks" jsonschema:"guests with disks on it, templates apart"`
	Running   group `json:"running,omitzero" jsonschema:"those of them that run"`
	Wholly    group `json:"wholly,omitzero" jsonschema:"those with no disk elsewhere"`
	HA        group `json:"ha,omitzero" jsonschema:"those under HA"`
	Lost      group `json:"lost,omitzero" jsonschema:"guests and templates with disks on it of which no backup elsewhere was seen"`
	Templates group `json:"templates,omitzero"`
	Images    group `json:"images,omitzero" jsonschema:"guests with only an image of it in a drive"`
	Snapshots group `json:"snapshots,omitzero" jsonschema:"guests of which only a snapshot or a file such as cloud-init data is on it"`
	Jobs      group `json:"backup_jobs,omitzero" jsonschema:"that write to it"`
}

type group struct {
	Count int      `json:"count"`
	On    []string `json:"on,omitzero" jsonschema:"at most five"`
}

// IsZero reports whether nobody is in the group.
func (g group) IsZero() bool { return g.Count == 0 }

func (g *group) add(name string) {
	if g.Count++; g.Count <= survey.MostSubjects {
		g.On = append(g.On, name)
	}
}

// findStores finds the stores of the storage that is asked for.
func (f *finder) findStores(all []pve.Resource) error {
	stores := cluster.StoresIn(all)
	for _, s := range stores {
		if s.Storage.Value == f.wanted.storage {
			f.stores = append(f.stores, s)
		}
	}
	if f.stores == nil {
		return cluster.NoStorageError(f.wanted.storage, stores)
	}
	return nil
}

// storageUse counts what uses the storage.
func (f *finder) storageUse(ctx context.Context) *storageUse {
	use := &storageUse{}
	for _, g := range f.guests {
		name := nameOf(g)
		here, elsewhere, image := g.disksOn(f.wanted.storage)
		switch {
		case g.Template.Value && here:
			use.Templates.add(name)
		case here:
			use.Disks.add(name)
			if g.status == "running" {
				use.Running.add(name)
			}
			if !elsewhere {
				use.Wholly.add(name)
			}
			if g.HAState.Value != "" {
				use.HA.add(name)
			}
		case image:
			use.Images.add(name)
		default:
			use.Snapshots.add(name)
		}
	}
	f.countLost(ctx, use)
	if !f.May("backup jobs", "", "Sys.Audit", "/") {
		return use
	}
	jobs, _ := survey.One(f.Survey, "backup jobs", f.PVE.BackupJobs)
	slices.SortFunc(jobs, func(a, b pve.BackupJob) int { return pve.CompareNames(a.ID, b.ID) })
	for _, j := range jobs {
		if j.Storage.Value == f.wanted.storage {
			use.Jobs.add(render.Text(j.ID, 60))
		}
	}
	return use
}

// logsRead is how many logs of backup tasks of a node are read.
const logsRead = 10

// countLost counts the guests with disks on the storage that have no backup elsewhere. If
// there may be backups that the token cannot see, the guest is a blind spot.
func (f *finder) countLost(ctx context.Context, use *storageUse) {
	if use.Disks.Count == 0 && use.Templates.Count == 0 {
		return
	}
	seen, err := coverage.Read(ctx, f.Survey, coverage.Options{Logs: logsRead})
	if err != nil {
		f.NotSeen("backups", f.wanted.storage, f.Explain(err).What)
		return
	}
	covered := map[pve.VMID]coverage.Guest{}
	for _, g := range seen.Guests {
		covered[g.VMID] = g
	}
	for _, g := range f.guests {
		here, _, _ := g.disksOn(f.wanted.storage)
		c := covered[g.VMID]
		elsewhere := slices.ContainsFunc(c.Where, func(storage string) bool { return storage != f.wanted.storage })
		switch {
		case !here || elsewhere:
		case len(c.Unseen) > 0:
			f.NotSeen("backups", nameOf(g), render.Text(c.Unseen[0], 120))
		default:
			use.Lost.add(nameOf(g))
		}
	}
}

// disksOn reports whether a guest has disks on a storage and elsewhere, and whether an image
// on the storage is in one of its drives.
func (g *guest) disksOn(storage string) (here, elsewhere, image bool) {
	for _, p := range g.places {
		if strings.HasPrefix(p.label, "snapshot ") {
			continue
		}
		for _, v := range volumesIn(p) {
			isDisk, is := v.disk.Key != "" && !v.disk.IsCDROM(), v.id.Storage == storage
			here = here || is && isDisk
			elsewhere = elsewhere || !is && isDisk && v.disk.Bus != "unused"
			image = image || is && v.disk.IsCDROM()
		}
	}
	return here, elsewhere, image
}

// summary says in a few words what uses the storage.
func (u *storageUse) summary() string {
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	add(u.Disks.Count, "guest has disks on it", "guests have disks on it")
	if u.Disks.Count > 0 {
		parts[0] += fmt.Sprintf(" (%d run, %d have no other disk)", u.Running.Count, u.Wholly.Count)
	}
	add(u.Lost.Count, "of them and of the templates has no backup elsewhere", "of them and of the templates have no backup elsewhere")
	add(u.Templates.Count, "template", "templates")
	add(u.Images.Count, "guest has an image of it in a drive", "guests have an image of it in a drive")
	add(u.Snapshots.Count, "guest uses it in a snapshot or for a file", "guests use it in a snapshot or for a file")
	add(u.Jobs.Count, "backup job writes to it", "backup jobs write to it")
	if parts == nil {
		return "nothing that this token sees uses it"
	}
	return render.List(parts)
}
