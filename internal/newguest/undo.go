package newguest

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// own are the types of the tasks by which a guest is made and started.
var own = []string{"qmcreate", "qmclone", "qmconfig", "resize", "qmstart", "vzcreate", "vzclone", "vzstart", "qmigrate", "vzmigrate"}

// UndoCreation deletes the guest that a task has made. It does so only if no task but those
// that make a guest, of the same user, has worked on it since.
func UndoCreation[State any](g pve.GuestRef) *change.Undo[State] {
	destroy := "qmdestroy"
	if g.Kind == pve.LXC {
		destroy = "vzdestroy"
	}
	label := fmt.Sprintf("%s %v", g.Kind.Noun(), g.VMID)
	return &change.Undo[State]{
		About: "Removal of " + label, Target: change.GuestTarget(http.MethodDelete, g, ""), Guest: g.VMID, Task: destroy,
		Rest: fmt.Sprintf("pve_delete_guest with vmid %v removes %s.", g.VMID, label),
		Unchanged: func(ctx context.Context, c *tool.Call, _ State, made proxmox.UPID) (bool, error) {
			ctx = proxmox.ReadAgain(ctx)
			now, _, err := c.Live(ctx, g.VMID)
			if err != nil {
				return false, err
			}
			for _, node := range slices.Compact([]string{g.Node, now.Node}) { // it may have been migrated
				tasks, _, err := c.PVE.NodeTasks(ctx, node, pve.TaskFilter{Source: "all", VMID: g.VMID, Since: made.Start, Limit: 100})
				if err != nil {
					return false, err
				}
				if slices.ContainsFunc(tasks, func(t pve.Task) bool { return t.UPID.User != made.User || !slices.Contains(own, t.Type) }) {
					return false, nil
				}
			}
			return true, nil
		},
		Send: func(ctx context.Context, c *tool.Call, _ *State) (change.Job, error) {
			now, s, err := c.Live(proxmox.ReadAgain(ctx), g.VMID)
			if err != nil {
				return change.Job{}, err
			}
			if s.Status == "running" {
				upid, err := c.PVE.Power(ctx, now, "stop", pve.PowerOptions{})
				if err == nil {
					_, err = c.PVE.Wait(ctx, upid, nil)
				}
				if err != nil {
					return change.Job{}, err
				}
			}
			upid, err := c.PVE.DeleteGuest(ctx, now, pve.Deletion{Purge: true})
			return change.Job{UPID: upid}, err
		},
	}
}

// VolumeTarget is the deletion of a volume on a node, which a consent is good for.
func VolumeTarget(node string, id pve.VolID) policy.Target {
	return policy.Target{
		Method: http.MethodDelete, Path: "/nodes/*/storage/*/content/*",
		Subject: policy.Subject{Kind: policy.VolumeKind, ID: id.String()},
	}
}

// removal says what removes a volume.
func removal(id pve.VolID) string {
	return fmt.Sprintf("pve_delete_volume with volumes [%q] removes that file.", id)
}

// KeepDownload leaves what was downloaded where it is: it was asked for by itself, and is of
// use for the next attempt.
func KeepDownload[State any](id pve.VolID) *change.Undo[State] {
	return &change.Undo[State]{About: "Removal of " + id.String(), Kept: true, Rest: removal(id)}
}

// UndoUpload deletes a file that a task has put on a storage. Its name has a random part, so
// nobody else has made it.
func UndoUpload[State any](node string, id pve.VolID) *change.Undo[State] {
	return &change.Undo[State]{
		About: "Removal of " + id.String(), Target: VolumeTarget(node, id), Task: "imgdel",
		Rest: removal(id),
		Unchanged: func(ctx context.Context, c *tool.Call, _ State, _ proxmox.UPID) (bool, error) {
			list, err := c.PVE.Content(proxmox.ReadAgain(ctx), node, id.Storage, pve.VolumeFilter{Content: "iso"})
			return slices.ContainsFunc(list, func(v pve.Volume) bool { return v.VolID == id }), err
		},
		Send: func(ctx context.Context, c *tool.Call, _ *State) (change.Job, error) {
			upid, err := c.PVE.DeleteVolume(ctx, node, id)
			return change.Job{UPID: upid}, err
		},
	}
}
