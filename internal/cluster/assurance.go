package cluster

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/pve"
)

// Assurance is what makes the loss of a guest bearable, and a human has read: its newest backup,
// or that it is replicated. The fingerprint of the guest does not show it.
type Assurance struct {
	Guest  pve.GuestRef `json:"guest"`
	Node   string       `json:"node,omitzero"`   // that lists the backup
	Backup string       `json:"backup,omitzero"` // a volume; "" for the replication
}

// Assurances returns what [View.Impact] has said so far that its subjects do not show.
func (v *View) Assurances() []Assurance { return v.assurances }

// Holds reports whether an assurance is still true.
func (v *View) Holds(ctx context.Context, a Assurance) (bool, error) {
	if a.Backup == "" {
		jobs, err := v.PVE.Replications(ctx, a.Guest)
		return len(jobs) > 0, err
	}
	backup, err := pve.ParseVolID(a.Backup)
	if err != nil {
		return false, err
	}
	list, err := v.PVE.Content(ctx, a.Node, backup.Storage, pve.VolumeFilter{Content: "backup", VMID: a.Guest.VMID})
	return slices.ContainsFunc(list, func(v pve.Volume) bool { return v.VolID == backup }), err
}
