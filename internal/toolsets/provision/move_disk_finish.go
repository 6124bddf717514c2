package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// finishMove looks where the disk is now.
func finishMove(ctx context.Context, c *tool.Call, s moveState, end change.End) (moveOut, error) {
	g, config, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (pve.GuestConfig, error) { return c.PVE.CurrentConfig(ctx, g) })
	if err != nil {
		return moveOut{}, err
	}
	out := moveOut{Node: g.Node, Notes: s.Notes}
	if s.To != 0 {
		return s.finishGift(ctx, c, out, g, config, end)
	}
	d := pve.DiskOf(g.Kind, s.Disk, config.Values[s.Disk])
	if s.There {
		out.show(s.Who, d)
		return out, nil
	}
	d, problem, err := s.verify(ctx, c, g, config)
	out.show(s.Who, d)
	if key := unusedKey(g.Kind, config, s.Original); key != "" {
		out.Left = s.left(c, g, key)
	}
	switch {
	case err != nil:
		out.SetOutcome(tool.Warnings, "Look at it with pve_guest_config and pve_storage_content.", "%s of %s is %s now, which could not be looked at: %s", s.Disk, s.Who, out.Volume, c.Explain(err).What)
	case problem != "" && !end.Failed():
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did. The original was not deleted.", "PVE's task succeeded, but %s.", problem)
	case problem == "":
		return s.finishCopy(ctx, c, out, g, end)
	}
	return out, nil
}

// finishCopy describes a copy that is as it should be.
func (s moveState) finishCopy(ctx context.Context, c *tool.Call, out moveOut, g pve.GuestRef, end change.End) (moveOut, error) {
	out.Message = fmt.Sprintf("%s of %s is on %s now: %s.", s.Disk, s.Who, render.Text(s.Storage, 60), out.Volume)
	if moves(end) {
		out.SetOutcome(tool.Warnings, readLog, "The task failed, and the disk was moved all the same: %s", out.Message)
	}
	out.Undo = s.undo(map[string]any{"storage": s.Original.Storage})
	if s.Formatted != "" && g.Kind == pve.QEMU {
		out.Undo.Arguments["format"] = s.Formatted
	}
	return out, s.showOriginal(ctx, c, &out, end)
}

// readLog is what to do about a task that has failed and made the change all the same.
const readLog = "Read its log with pve_task_status."

// moves reports whether the task that has failed is that of the move, not of what comes after
// it.
func moves(failed change.End) bool {
	return failed.Failed() && slices.Contains([]string{"qmmove", "move_volume"}, failed.Status.UPID.Type)
}

// show says what the disk is.
func (out *moveOut) show(who string, d pve.Disk) {
	out.Guest, out.Disk, out.Volume = who, d.Key, render.Text(d.Source, 200)
	if d.Size.Set {
		out.Size = render.Bytes(d.Size.Value)
	}
}

func (s moveState) undo(more map[string]any) *tool.NextCall {
	more["vmid"], more["disk"] = int(s.VMID), s.Disk
	return &tool.NextCall{Tool: "pve_move_disk", Arguments: more}
}

// left is the original, which stays as an unused disk.
func (s moveState) left(c *tool.Call, g pve.GuestRef, key string) *leftDisk {
	remove := map[string]any{"volumes": []string{s.Original.String()}}
	if !s.Shared {
		remove["node"] = g.Node
	}
	return &leftDisk{
		Disk: key, Volume: render.Text(s.Original.String(), 200),
		Remove: c.Host().Offered(tool.NextCall{Tool: "pve_delete_volume", Arguments: remove}),
	}
}

// showOriginal says what has become of the original.
func (s moveState) showOriginal(ctx context.Context, c *tool.Call, out *moveOut, end change.End) error {
	volume := render.Text(s.Original.String(), 200)
	switch {
	case out.Left != nil && s.Delete && end.Status.Succeeded():
		out.SetOutcome(tool.Warnings, "Delete it with the call that left shows.", "%s The original was to be deleted, and is still there as %s.", out.Message, out.Left.Disk)
		return nil
	case out.Left != nil:
		out.Message += fmt.Sprintf(" The original stays as %s.", out.Left.Disk)
		return nil
	}
	gone, err := originalIsGone(ctx, c, s)
	switch {
	case err != nil:
		return err
	case gone && s.Delete:
		out.Deleted = volume
		out.Message += " The original is deleted."
	case gone:
		out.SetOutcome(tool.Warnings, "", "%s The original %s was to stay, and is not there any more.", out.Message, volume)
	default:
		out.SetOutcome(tool.Warnings, "pve_storage_content shows it, and pve_delete_volume deletes it.",
			"%s The original %s is still on its storage, and the guest does not have it as an unused disk.", out.Message, volume)
	}
	return nil
}

// finishGift looks at the disk that another guest was to get.
func (s moveState) finishGift(ctx context.Context, c *tool.Call, out moveOut, g pve.GuestRef, config pve.GuestConfig, end change.End) (moveOut, error) {
	if left := pve.DiskOf(g.Kind, s.Disk, config.Values[s.Disk]); left.Volume == s.Original {
		out.show(s.Who, left)
		if end.Status.Succeeded() {
			out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %s still has %s.", s.Who, s.Disk)
		}
		return out, nil
	}
	to, theirs, err := cluster.AtGuest(ctx, c.View, s.To, func(g pve.GuestRef) (pve.GuestConfig, error) { return c.PVE.CurrentConfig(ctx, g) })
	if err != nil {
		return out, err
	}
	waits := ""
	if theirs.Values[s.ToDisk] == "" {
		if theirs, err = c.PVE.GuestConfig(ctx, to); err != nil {
			return out, err
		}
		waits = ", from its next start on"
	}
	d := pve.DiskOf(to.Kind, s.ToDisk, theirs.Values[s.ToDisk])
	if owner, _ := d.Owner(); d.Volume.Storage != s.Original.Storage || owner != s.To {
		out.Notes = append(out.Notes, fmt.Sprintf("neither guest has the disk: look with pve_storage_content for %s, or for a volume of %v beside it", render.Text(s.Original.String(), 200), s.To))
		out.SetOutcome(tool.Unknown, "Look with pve_guest_config at both guests, and with pve_storage_content at the storage.",
			"%s no longer has %s, and %s does not have it as %s.", s.Who, s.Disk, s.Receiver, s.ToDisk)
		return out, nil
	}
	out.show(s.Receiver, d)
	out.Message = fmt.Sprintf("%s of %s is %s of %s now%s: %s.", s.Disk, s.Who, s.ToDisk, s.Receiver, waits, out.Volume)
	if moves(end) {
		out.SetOutcome(tool.Warnings, readLog, "The task failed, and the disk was moved all the same: %s", out.Message)
	}
	out.Undo = &tool.NextCall{Tool: "pve_move_disk", Arguments: map[string]any{
		"vmid": int(s.To), "disk": s.ToDisk, "target_vmid": int(s.VMID), "target_disk": s.Disk,
	}}
	return out, nil
}
