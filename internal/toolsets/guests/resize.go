package guests

import (
	"context"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type resizeIn struct {
	VMID pve.VMID `json:"vmid"`
	Disk string   `json:"disk" jsonschema:"such as scsi0 or rootfs"`
	Size string   `json:"size" jsonschema:"+10G adds 10 GiB; 40G is the size in all"`
	change.WaitArgument
}

type resizeState struct {
	resizeIn
	Goal int64 `json:"goal"` // bytes; 0 where the size before is unknown
}

type resizeOut struct {
	change.Answer
	VMID      pve.VMID `json:"vmid,omitzero"`
	Node      string   `json:"node,omitzero"`
	Disk      string   `json:"disk,omitzero"`
	Size      *int64   `json:"size,omitzero" jsonschema:"bytes, after the call"`
	SizeHuman string   `json:"size_human,omitzero"`
	Note      string   `json:"note,omitzero"`
}

func resizeDisk() tool.Tool {
	return change.New(change.Spec[resizeIn, resizeState, resizeOut]{
		Name:  "pve_resize_disk",
		Title: "Grow a disk",
		Doc:   "Grow or enlarge a guest's disk or root file system, add GB. None can shrink.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":105,"disk":"scsi0","size":"+1G"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Config.Disk"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
		},
		Plan:   planResize,
		Start:  startResize,
		Finish: finishResize,
	})
}

func planResize(ctx context.Context, c *tool.Call, given resizeIn) (change.Plan, resizeState, error) {
	in := resizeState{resizeIn: given}
	wanted, relative, err := in.read()
	if err != nil {
		return change.Plan{}, in, err
	}
	g, config, err := c.CurrentConfig(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	if err := explain.Unlocked(g, config.Values["lock"]); err != nil {
		return change.Plan{}, in, err
	}
	disk, err := growableDisk(g, config, in.Disk)
	if err != nil {
		return change.Plan{}, in, err
	}
	by := "to"
	in.Goal = wanted
	if relative {
		by = "by"
		in.Goal = disk.Size.Value + wanted
	}
	if relative && !disk.Size.Set {
		in.Goal = 0
	}
	size := pve.FormatSize(wanted)
	plan := change.Plan{Subject: policy.Guest(in.VMID), About: fmt.Sprintf("Growth of %s of %v (%s) %s %s", disk.Key, g, render.Text(nameIn(config), 60), by, size)}
	if in.Size != given.Size {
		plan.About += fmt.Sprintf(" (as %s was read)", render.Text(given.Size, 40))
	}
	if owner, known := disk.Owner(); known && owner != 0 && owner != in.VMID {
		return plan, in, explain.Refusal("Grow it there.", "%s of %v is a volume of %s; nothing was sent.", disk.Key, g, c.GuestLabel(ctx, owner))
	}
	switch {
	case relative && wanted == 0, !relative && disk.Size.Set && wanted == disk.Size.Value:
		plan.Already = fmt.Sprintf("%s of %v has %s already; nothing was sent.", disk.Key, g, render.Bytes(disk.Size.Value))
	case !relative && wanted < disk.Size.Value:
		return plan, in, explain.Refusal(fmt.Sprintf("%s is the size in all: give a larger one, or +%[1]s to grow it by that.", size),
			"%s of %v has %s; a disk cannot be shrunk to %s.", disk.Key, g, pve.FormatSize(disk.Size.Value), size)
	}
	return plan, in, nil
}

// read parses the size, and writes it in PVE's form.
func (in *resizeIn) read() (bytes int64, relative bool, err error) {
	size, relative := strings.CutPrefix(strings.TrimSpace(in.Size), "+")
	if bytes, err = tool.ReadSize(size); err == nil {
		if in.Size = pve.FormatSize(bytes); relative {
			in.Size = "+" + in.Size
		}
		return bytes, relative, nil
	}
	problem, example := "is no size", "20G"
	if strings.Trim(size, "0123456789") == "" && size != "" {
		problem, example = "has no unit", size+"G"
	}
	return 0, false, tool.BadArgument("size", fmt.Sprintf("is %q, which %s: %s makes it that large in all, +%[3]s adds that much", render.Text(in.Size, 40), problem, example))
}

// growableDisk finds a disk that can grow. The error lists those that can.
func growableDisk(g pve.GuestRef, config pve.GuestConfig, key string) (pve.Disk, error) {
	var disks []string
	for _, d := range config.Disks(g.Kind) {
		switch {
		case d.IsCDROM() || d.Bus == "unused" || d.Volume.Storage == "":
			continue
		case d.Key == key:
			return d, nil
		case d.Size.Set:
			disks = append(disks, fmt.Sprintf("%s (%s)", d.Key, pve.FormatSize(d.Size.Value)))
		default:
			disks = append(disks, d.Key)
		}
	}
	next := fmt.Sprintf("The disks of %v that can grow are %s.", g, render.List(disks))
	if _, there := config.Values[key]; there {
		return pve.Disk{}, explain.Refusal(next, "%s of %v cannot be resized.", render.Text(key, 40), g)
	}
	return pve.Disk{}, explain.Refusal(next, "%v has no disk %q.", g, render.Text(key, 40))
}

func startResize(ctx context.Context, c *tool.Call, in *resizeState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.ResizeDisk(ctx, g, in.Disk, in.Size, "")
	})
	return change.Job{UPID: upid}, err
}

func finishResize(ctx context.Context, c *tool.Call, in resizeState, end change.End) (resizeOut, error) {
	g, config, err := c.CurrentConfig(ctx, in.VMID)
	if err != nil {
		return resizeOut{}, err
	}
	out := resizeOut{VMID: in.VMID, Node: g.Node, Disk: in.Disk}
	out.Size, out.SizeHuman = show.Bytes(pve.DiskOf(g.Kind, in.Disk, config.Values[in.Disk]).Size)
	if out.Size != nil && *out.Size < in.Goal {
		out.SetOutcome(tool.Failed, "Look at the disk with pve_guest_config before you try again.", "PVE accepted the resize of %s of %v, but its size is %s, not %s.",
			in.Disk, g, render.Bytes(*out.Size), render.Bytes(in.Goal))
		return out, nil
	}
	if g.Kind == pve.QEMU && end.Status.Succeeded() {
		out.Note = "the partitions and file systems in it grow only when the guest itself grows them"
	}
	return out, nil
}
