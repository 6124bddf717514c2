package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// movePlan is a move of a disk while it is planned.
type movePlan struct {
	moveState
	status    pve.GuestStatus
	config    pve.GuestConfig
	disk      pve.Disk
	perms     pve.Permissions
	snapshots []string // that need the volume
	lines     []string
}

func (p *movePlan) say(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

func planMove(ctx context.Context, c *tool.Call, in moveIn) (change.Plan, moveState, error) {
	p := movePlan{moveState: moveState{moveIn: in}}
	plan := change.Plan{Subject: policy.Guest(in.VMID)}
	if err := in.check(); err != nil {
		return plan, p.moveState, err
	}
	if err := p.read(ctx, c); err != nil {
		return plan, p.moveState, err
	}
	var err error
	if in.To != 0 {
		plan.Also = []policy.Subject{policy.Guest(in.To)}
		err = p.planGift(ctx, c)
	} else {
		err = p.planCopy(ctx, c)
	}
	if err != nil {
		return plan, p.moveState, err
	}
	plan.About, plan.Consequences = p.about(), p.lines
	if p.There {
		plan.Already, plan.ReadOnly = fmt.Sprintf("%s of %s is on %s already; nothing was sent.", p.Disk, p.Who, render.Text(p.Storage, 60)), true
		return plan, p.moveState, nil
	}
	if in.To == 0 {
		p.Notes = p.lines
	}
	if p.Delete {
		plan.Consequences = append(plan.Consequences, fmt.Sprintf("the original %s (%s) is deleted once the copy is seen on %s with the same size",
			render.Text(p.Original.String(), 200), render.Bytes(p.Size), render.Text(p.Storage, 60)))
	}
	return plan, p.moveState, nil
}

// check refuses arguments that have no meaning.
func (in moveIn) check() error {
	switch {
	case in.Storage == "" && in.To == 0:
		return tool.BadArgument("storage", "is needed, such as local-lvm; or target_vmid, the guest that gets the disk")
	case in.Storage != "" && in.To != 0:
		return tool.BadArgument("target_vmid", "and storage are two moves; give one of them, and the other in a call after it")
	case in.To == in.VMID:
		return tool.BadArgument("target_vmid", "is the guest itself; give storage, or another guest")
	case in.To != 0 && in.Delete:
		return tool.BadArgument("delete", "is for storage: another guest gets the disk itself, and no copy of it")
	case in.To != 0 && in.Format != "":
		return tool.BadArgument("format", "is for storage: another guest gets the disk as it is")
	case in.To == 0 && in.ToDisk != "":
		return tool.BadArgument("target_disk", "is for target_vmid; on another storage the disk keeps its key")
	}
	return nil
}

// read reads the guest and its disk.
func (p *movePlan) read(ctx context.Context, c *tool.Call) (err error) {
	if p.Guest, p.status, err = c.Live(ctx, p.VMID); err != nil {
		return err
	}
	p.Who = fmt.Sprintf("%v (%s)", p.Guest, render.Text(p.status.Name.Value, 60))
	if err := explain.Unlocked(p.Guest, p.status.Lock.Value); err != nil {
		return err
	}
	if p.config, err = c.PVE.CurrentConfig(ctx, p.Guest); err != nil {
		return err
	}
	p.Digest = p.config.Digest
	if err := p.readDisk(ctx, c); err != nil {
		return err
	}
	if p.perms, err = c.PVE.PermissionsWithGaps(ctx); err != nil {
		return err
	}
	if err := cluster.RequirePrivilege(p.perms, "/vms/"+p.VMID.String(), "VM.Config.Disk"); err != nil {
		return err
	}
	names, err := namings(ctx, c, p.Guest)
	for _, n := range names {
		if n.volume == p.Original && n.use.snapshot != "" && !slices.Contains(p.snapshots, render.Text(n.use.snapshot, 40)) {
			p.snapshots = append(p.snapshots, render.Text(n.use.snapshot, 40))
		}
	}
	slices.Sort(p.snapshots)
	return err
}

// readDisk reads the disk, which must be a volume of the guest itself.
func (p *movePlan) readDisk(ctx context.Context, c *tool.Call) error {
	var keys []string
	for _, d := range p.config.Disks(p.Guest.Kind) {
		if !d.IsCDROM() || d.IsCloudInit() {
			keys = append(keys, d.Key)
		}
	}
	has := fmt.Sprintf("It has %s.", render.List(keys))
	if keys == nil {
		has = "It has no disk."
	}
	value, there := p.config.Values[p.Disk]
	if !there || !pve.IsDiskKey(p.Guest.Kind, p.Disk) {
		return explain.Refusal(has, "%s has no disk %q. Nothing was sent.", p.Who, render.Text(p.Disk, 40))
	}
	p.disk = pve.DiskOf(p.Guest.Kind, p.Disk, value)
	if p.disk.IsCDROM() && !p.disk.IsCloudInit() {
		return explain.Refusal(fmt.Sprintf("Its disks: %s. To change the CD: pve_update_guest_config.", render.List(keys)), "%s of %s is a CD drive, which PVE moves to no storage and no guest. Nothing was sent.", p.Disk, p.Who)
	}
	p.Original, p.Size = p.disk.Volume, p.disk.Size.Value
	if owner, known := p.disk.Owner(); p.Original.Storage == "" || !known || owner != p.VMID {
		why := c.ReasonKept(ctx, p.VMID, p.disk)
		if why == "" {
			why = "its name does not show whose it is"
		}
		return explain.Refusal("Move only a guest's own volumes.", "%s of %s is %s: %s. Nothing was sent.", p.Disk, p.Who, render.Text(p.disk.Source, 200), why)
	}
	p.Formatted = fileFormat(p.Original)
	if !p.disk.Size.Set { // of a disk that was attached by hand
		if info, err := c.PVE.VolumeInfo(ctx, p.Guest.Node, p.Original); err == nil {
			p.Size = info.Size.Value
		}
	}
	return nil
}

// fileFormat is the format of a volume that is a file, by its name; "" if it is none.
func fileFormat(id pve.VolID) string {
	for _, format := range []string{"raw", "qcow2", "vmdk"} {
		if strings.HasSuffix(id.Name, "."+format) {
			return format
		}
	}
	return ""
}
