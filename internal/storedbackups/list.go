// Package storedbackups has what the tools share that look for backups.
package storedbackups

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Backup is a volume and the store that has it.
type Backup struct {
	pve.Volume
	On cluster.Store
}

// List lists the backups on stores, newest first.
func List(ctx context.Context, c *tool.Call, stores []cluster.Store, id pve.VMID) ([]Backup, []string, error) {
	got, notes, err := c.Volumes(ctx, stores, pve.VolumeFilter{Content: "backup", VMID: id})
	var all []Backup
	for _, s := range got {
		for _, v := range s.Value {
			all = append(all, Backup{v, s.From})
		}
	}
	slices.SortFunc(all, func(a, b Backup) int {
		return cmp.Or(cmp.Compare(b.CTime.Value, a.CTime.Value), strings.Compare(a.VolID.Storage, b.VolID.Storage), strings.Compare(a.VolID.Name, b.VolID.Name))
	})
	return all, notes, err
}

// Hidden lists the backups that the token cannot see.
func Hidden(perms pve.Permissions, stores []cluster.Store, name string) []string {
	var notes []string
	switch all, except := perms.Below("/storage", "Datastore.Audit"); {
	case name != "" && perms.Has("/storage/"+name, "Datastore.Audit"):
	case name != "":
		notes = append(notes, fmt.Sprintf("this token lacks Datastore.Audit on /storage/%s: whether it has backups is not visible", render.Text(name, 60)))
	case !all:
		notes = append(notes, "this token lacks Datastore.Audit on /storage: there may be storages with backups that it cannot see")
	case len(except) > 0:
		notes = append(notes, fmt.Sprintf("this token lacks Datastore.Audit on %s: whether there are backups is not visible", render.Text(render.List(except), 200)))
	}
	for i, s := range stores {
		if i == 0 || stores[i-1].Storage != s.Storage {
			notes = append(notes, cluster.HiddenVolumes(perms, s, "backup")...)
		}
	}
	return notes
}
