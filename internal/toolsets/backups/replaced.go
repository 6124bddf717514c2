package backups

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// replaced is what is kept of a guest that a restore replaces.
type replaced struct {
	Digest string `json:"digest"`
	// Differs reports whether its configuration cannot be the same afterwards.
	Differs bool `json:"differs"`
}

// replacedBy returns what to keep of a guest before a restore replaces it. PVE makes the
// volumes of a container before it removes the old ones, so their names differ, and gives a VM
// a new vmgenid. The configuration of a VM without one may read the same, because its volumes
// are removed first.
func replacedBy(kind pve.Kind, config pve.GuestConfig) replaced {
	id := config.Values["vmgenid"]
	return replaced{Digest: config.Digest, Differs: kind == pve.LXC || id != "" && id != "0"}
}

// writtenRE matches log lines of a VM's restore that say that its disks were written.
var writtenRE = lazyregexp.New(`^(?:progress 100% |restore image complete|total bytes read )`)

// checkReplaced finds a guest that reads as it did before a restore replaced it.
func (in *restoreState) checkReplaced(ctx context.Context, c *tool.Call, g pve.GuestRef, end change.End, ch *change.Answer) error {
	config, err := c.PVE.GuestConfig(ctx, g)
	if err != nil || config.Digest != in.Old.Digest {
		return err
	}
	const next = "pve_task_status with log shows what its task did."
	if in.Old.Differs {
		ch.SetOutcome(tool.Failed, next, "PVE's task succeeded, but the configuration of %v is the one from before: the backup did not replace it.", g)
		return nil
	}
	lines, _, err := c.PVE.TaskLogEnds(ctx, end.Status.UPID, cluster.LogEnds)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(lines, func(l proxmox.LogLine) bool { return writtenRE.MatchString(l.Says()) }) {
		ch.SetOutcome(tool.Warnings, "", "PVE's task succeeded, but its log says that the disks were written. The configuration of %v reads as before, so nothing else shows it.", g)
		return nil
	}
	ch.SetOutcome(tool.Unknown, next, "PVE's task succeeded, but the configuration of %v reads as before. Whether its disks are those of the backup is unknown.", g)
	return nil
}
