package snapshots

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// newestOnly are the types of storages that can return to their newest snapshot only: ZFS, and
// LVM, because its snapshots are always a chain of volumes.
var newestOnly = []string{"lvm", "zfs", "zfspool"}

// anySnapshot are the types of storages that can return to any of their snapshots.
var anySnapshot = []string{"btrfs", "lvmthin", "rbd"}

// checkLater says what happens to the later snapshots. It refuses a rollback that the storage of
// a disk cannot make while they exist.
func (f guestSnapshot) checkLater(ctx context.Context, c *tool.Call, config pve.GuestConfig) (consequence string, err error) {
	later := laterThan(f.list, f.snap)
	if len(later) == 0 {
		return "", nil
	}
	consequence = fmt.Sprintf("the later snapshots %s stay in the list", strings.Join(later, ", "))
	stores, err := c.Stores(ctx)
	if err != nil {
		return "", err
	}
	var unsure []string
	for _, d := range config.Disks(f.guest.Kind) {
		if d.IsCDROM() || d.Bus == "unused" || d.Volume.Storage == "" {
			continue
		}
		switch typ := cluster.StorageType(stores, d.Volume.Storage); {
		case slices.Contains(newestOnly, typ):
			slices.Reverse(later)
			return "", explain.Refusal(
				fmt.Sprintf("If the later ones may be lost, delete_newer: true deletes them first, in this order: %s.", strings.Join(later, ", ")),
				"%s cannot return to %s now, and nothing was done: %s is on %s (%s), which returns to its newest snapshot only.",
				f.label(), f.snap.Name, d.Key, render.Text(d.Volume.Storage, 60), typ)
		case !slices.Contains(anySnapshot, typ) && !slices.Contains(unsure, d.Volume.Storage):
			unsure = append(unsure, d.Volume.Storage)
		}
	}
	if unsure != nil {
		consequence += fmt.Sprintf("; if %s is ZFS or keeps snapshots as a chain of volumes, PVE refuses the rollback because of them", render.List(unsure))
	}
	return consequence, nil
}

// laterThan returns the snapshots that were taken after one, oldest first.
func laterThan(list []pve.Snapshot, snap pve.Snapshot) []string {
	after := descendants(list, snap.Name)
	later := slices.DeleteFunc(slices.Clone(list), func(s pve.Snapshot) bool {
		return s.Name == pve.Current || s.Name == snap.Name ||
			s.Time.Value <= snap.Time.Value && !slices.Contains(after, s.Name)
	})
	slices.SortStableFunc(later, func(a, b pve.Snapshot) int { return int(a.Time.Value - b.Time.Value) })
	return names(later)
}
