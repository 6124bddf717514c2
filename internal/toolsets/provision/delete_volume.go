package provision

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type removeIn struct {
	Volumes    []string `json:"volumes,omitzero" jsonschema:"volids"`
	KeepNewest *int     `json:"keep_newest,omitzero" min:"1" jsonschema:"in place of volumes: delete the older backups of vmid on storage"`
	VMID       pve.VMID `json:"vmid,omitzero" guest:"new" jsonschema:"whose backups; it may be deleted already"`
	Storage    string   `json:"storage,omitzero" jsonschema:"of the backups"`
	Node       string   `json:"node,omitzero" jsonschema:"of a storage that each node has for itself; default: the one that has the volume"`
	change.ConfirmArgument
	change.PlanArguments
	change.WaitArgument
}

// removal is a volume that is to go.
type removal struct {
	Volume pve.VolID `json:"volume"`
	Node   string    `json:"node"`
	Size   int64     `json:"size,omitzero"`
	// Guest and Key are where a detached disk is kept: PVE destroys it together with that.
	Guest pve.GuestRef `json:"guest,omitzero"`
	Key   string       `json:"key,omitzero"`
	// Unused says that it is a disk that no guest had when the call was planned.
	Unused bool `json:"unused,omitzero"`
}

func (r removal) about() string { return "Deletion of " + render.Text(r.Volume.String(), 200) }

type removeState struct {
	Remove []removal `json:"remove,omitzero"`
	Notes  []string  `json:"notes,omitzero"`
}

type removeOut struct {
	change.Answer
	Deleted []string `json:"deleted,omitzero"`
	Left    []string `json:"left,omitzero" jsonschema:"still there"`
	Freed   string   `json:"freed,omitzero"`
	Notes   []string `json:"notes,omitzero"`
}

func deleteVolume() tool.Tool {
	return change.New(change.Spec[removeIn, removeState, removeOut]{
		Name:  "pve_delete_volume",
		Title: "Delete ISOs, images, templates, backups or unused disks",
		Doc: "Delete or erase ISO files, images, container templates, orphaned or unused disks, or old backups (keep only the newest few) from a storage. Says what " +
			"each is, who uses it and whether a newer backup exists; what a guest uses, or what is protected, is refused.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"volumes":["$VOLID"],"confirm":true}`, Given: []tool.Given{{Word: "$VOLID", Tool: "pve_list_backups", Arguments: `{"vmid":108,"storage":"nfs"}`, Field: "backups.0.volid"}}},
			{Arguments: `{"volumes":["local-zfs:vm-104-disk-1"],"confirm":true}`},
			{Arguments: `{"volumes":["local:iso/virtio-win-0.1.271.iso"],"node":"pve1","confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk:  func(removeIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnStorage, "Datastore.Audit"),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("not a backup or a detached disk").ForAdmins(),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("a backup or a detached disk"),
			tool.On(tool.OnGuest, "VM.Backup").If("a backup"),
			tool.On(tool.OnGuest, "VM.Config.Disk").If("a detached disk"),
			tool.On(tool.OnGuest, "VM.Audit").Else("whether a guest uses it is not seen"),
		},
		Plan:   planRemove,
		Steps:  removeSteps,
		Finish: finishRemove,
	})
}

func removeSteps(s removeState) []change.Step[removeState] {
	var steps []change.Step[removeState]
	for i, r := range s.Remove {
		step := change.Step[removeState]{
			About: r.about(), Target: newguest.VolumeTarget(r.Node, r.Volume), Task: "imgdel",
			Send: func(ctx context.Context, c *tool.Call, _ *removeState) (change.Job, error) {
				if i > 0 && r.Unused { // the deletions before it have taken time
					if err := checkUnused(ctx, c, r.Volume); err != nil {
						return change.Job{}, err
					}
				}
				upid, err := c.PVE.DeleteVolume(ctx, r.Node, r.Volume)
				return change.Job{UPID: upid}, err
			},
			Done: func(ctx context.Context, c *tool.Call, _ removeState) (bool, error) {
				there, err := isThere(ctx, c, r)
				return !there, err
			},
			Rest: "Look what is left, and make the call anew for that.",
		}
		if r.Key != "" {
			step = r.ofGuest(step)
		}
		if len(s.Remove) > 1 {
			step.About = fmt.Sprintf("%s (%d of %d)", step.About, i+1, len(s.Remove))
		}
		steps = append(steps, step)
	}
	return steps
}

// checkUnused returns an error if a guest has got a disk since the call was planned.
func checkUnused(ctx context.Context, c *tool.Call, id pve.VolID) error {
	ctx = proxmox.ReadAgain(ctx)
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return err
	}
	now, err := usesOf(ctx, c, perms, []pve.VolID{id})
	if err == nil && len(now.of[id]) > 0 {
		err = explain.Refusal("Leave it, or make the call anew.", "%s is in use by now: %v. It was not deleted.", render.Text(id.String(), 200), now.of[id][0])
	}
	return err
}

// ofGuest removes a detached disk together with the key by which the guest keeps it.
func (r removal) ofGuest(step change.Step[removeState]) change.Step[removeState] {
	step.Guest, step.Task, step.Target = r.Guest.VMID, "config", configTarget(r.Guest)
	step.Send = func(ctx context.Context, c *tool.Call, _ *removeState) (change.Job, error) {
		_, upid, err := cluster.AtGuest(ctx, c.View, r.Guest.VMID, func(g pve.GuestRef) (proxmox.UPID, error) { return r.deleteKey(ctx, c, g) })
		return change.Job{UPID: upid}, err
	}
	return step
}

// configTarget is the request by which [guestconfig.Start] changes a configuration.
func configTarget(g pve.GuestRef) policy.Target {
	method := http.MethodPost
	if g.Kind == pve.LXC {
		method = http.MethodPut
	}
	return change.GuestTarget(method, g, "/config")
}

// deleteKey deletes the key if the disk is still kept by it: it may have become that of another.
// PVE refuses what has changed after this look.
func (r removal) deleteKey(ctx context.Context, c *tool.Call, g pve.GuestRef) (upid proxmox.UPID, err error) {
	config, err := c.PVE.CurrentConfig(ctx, g)
	if err != nil {
		return upid, err
	}
	if d := pve.DiskOf(g.Kind, r.Key, config.Values[r.Key]); d.Volume != r.Volume {
		return upid, explain.Refusal("Make the call anew: it looks where the disk is now.",
			"%s of %v is not %s any more, so it was not deleted.", r.Key, g, render.Text(r.Volume.String(), 200))
	}
	return guestconfig.Start(ctx, c, g, pve.ConfigChange{Delete: []string{r.Key}, Digest: config.Digest})
}

// isThere reports whether the storage lists the volume.
func isThere(ctx context.Context, c *tool.Call, r removal) (bool, error) {
	list, err := c.PVE.Content(ctx, r.Node, r.Volume.Storage, pve.VolumeFilter{})
	return slices.ContainsFunc(list, func(v pve.Volume) bool { return v.VolID == r.Volume }), err
}

// finishRemove looks which volumes are gone.
func finishRemove(ctx context.Context, c *tool.Call, s removeState, end change.End) (removeOut, error) {
	out := removeOut{Notes: s.Notes}
	var freed int64
	for _, r := range s.Remove {
		there, err := isThere(ctx, c, r)
		if err != nil {
			return out, err
		}
		if there {
			out.Left = append(out.Left, render.Text(r.Volume.String(), 200))
			continue
		}
		out.Deleted = append(out.Deleted, render.Text(r.Volume.String(), 200))
		freed += r.Size
	}
	if freed > 0 {
		out.Freed = render.Bytes(freed)
	}
	switch {
	case len(s.Remove) == 0 || end.Failed():
	case len(out.Left) > 0:
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE reported success, but still there is %s.", render.List(out.Left))
	case len(s.Remove) > 1:
		out.Message = fmt.Sprintf("%d volumes are deleted.", len(s.Remove))
	}
	return out, nil
}
