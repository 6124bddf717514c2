package provision

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type moveIn struct {
	VMID    pve.VMID `json:"vmid"`
	Disk    string   `json:"disk" jsonschema:"its key: scsi0, rootfs, mp0"`
	Storage string   `json:"storage,omitzero" jsonschema:"where it goes"`
	Format  string   `json:"format,omitzero" enum:"raw,qcow2,vmdk" jsonschema:"of a VM's disk on storage; default: as it is"`
	To      pve.VMID `json:"target_vmid,omitzero" jsonschema:"in place of storage: the guest that gets it"`
	ToDisk  string   `json:"target_disk,omitzero" jsonschema:"its key there; default: the next free"`
	Delete  bool     `json:"delete,omitzero" jsonschema:"delete the original when the copy is verified; default: it stays as unusedN"`
	change.ConfirmArgument
	change.PlanArguments
	change.WaitArgument
}

type moveState struct {
	moveIn
	Guest     pve.GuestRef `json:"guest"` // that has it
	Who       string       `json:"who"`   // that guest, for a person
	Receiver  string       `json:"receiver,omitzero"`
	Original  pve.VolID    `json:"original"`
	Size      int64        `json:"size,omitzero"`
	Formatted string       `json:"formatted,omitzero"` // the original's format, of a disk that is a file
	Shared    bool         `json:"shared,omitzero"`    // the original's storage
	Digest    string       `json:"digest"`             // of the guest, and of the one that gets it
	ToDigest  string       `json:"to_digest,omitzero"`
	There     bool         `json:"there,omitzero"` // before
	Notes     []string     `json:"notes,omitzero"`
}

type moveOut struct {
	change.Answer
	Guest   string         `json:"guest,omitzero" jsonschema:"that has the disk now"`
	Node    string         `json:"node,omitzero"`
	Disk    string         `json:"disk,omitzero"`
	Volume  string         `json:"volume,omitzero"`
	Size    string         `json:"size,omitzero"`
	Left    *leftDisk      `json:"left,omitzero" jsonschema:"the original"`
	Deleted string         `json:"deleted,omitzero" jsonschema:"the original"`
	Notes   []string       `json:"notes,omitzero"`
	Undo    *tool.NextCall `json:"undo,omitzero"`
}

type leftDisk struct {
	Disk   string        `json:"disk"`
	Volume string        `json:"volume"`
	Remove tool.NextCall `json:"remove"`
}

func moveDisk() tool.Tool {
	return change.New(change.Spec[moveIn, moveState, moveOut]{
		Name:  "pve_move_disk",
		Title: "Move a disk to another storage or guest",
		Doc: "Move or put the disk of a VM (also while it runs) or the volume of a stopped container on another, faster or larger storage, convert it (qcow2, raw), " +
			"or give it to another guest. Room, format and snapshots are checked first; the original stays as an unused disk unless delete is set.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":105,"disk":"scsi0","storage":"nfs","format":"qcow2","wait":45}`},
			{Arguments: `{"vmid":204,"disk":"rootfs","storage":"nfs","delete":true,"confirm":true,"wait":45}`},
			{Arguments: `{"vmid":104,"disk":"unused0","target_vmid":100,"confirm":true,"wait":45}`},
		},
		Worst: policy.Destructive,
		Risk: func(in moveIn) policy.Risk {
			if in.Delete || in.To != 0 {
				return policy.Destructive
			}
			return policy.Write
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Config.Disk"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("a storage that is not seen cannot be chosen"),
		},
		Plan:   planMove,
		Steps:  moveSteps,
		Finish: finishMove,
	})
}

// moveSteps are the move and, if the original is to go, its deletion. PVE could delete it in
// the same task, but then nobody would have looked at the copy.
func moveSteps(s moveState) []change.Step[moveState] {
	task := "move"
	if s.Guest.Kind == pve.LXC {
		task = "move_volume"
	}
	steps := []change.Step[moveState]{{
		About: s.about(), Target: s.target(), Guest: s.VMID, Task: task, Send: sendMove, Rest: "Look where the disk is, and make the call anew.",
	}}
	if s.Delete {
		steps = append(steps, change.Step[moveState]{
			About: "Deletion of the original " + render.Text(s.Original.String(), 200), Target: configTarget(s.Guest), Guest: s.VMID, Task: "config",
			Send: deleteOriginal, Done: originalIsGone,
			Rest: fmt.Sprintf(`Then delete the original: pve_delete_volume {"volumes":[%q]}.`, s.Original),
		})
	}
	return steps
}

func (s moveState) about() string {
	if s.To != 0 {
		return fmt.Sprintf("Move of %s of %s to %s as %s", s.Disk, s.Who, s.Receiver, s.ToDisk)
	}
	text := fmt.Sprintf("Move of %s of %s on %s from %s to %s", s.Disk, s.Who, s.Guest.Node, render.Text(s.Original.Storage, 60), render.Text(s.Storage, 60))
	if s.Format != "" {
		text += " as " + s.Format
	}
	return text
}

// target is the request that needs consent: a copy needs none.
func (s moveState) target() policy.Target {
	if s.To == 0 {
		return policy.Target{}
	}
	call := "/move_disk"
	if s.Guest.Kind == pve.LXC {
		call = "/move_volume"
	}
	t := change.GuestTarget(http.MethodPost, s.Guest, call)
	t.Snapshot, t.Also = policy.AllSnapshots, []policy.Subject{policy.Guest(s.To)}
	return t
}

func sendMove(ctx context.Context, c *tool.Call, s *moveState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.MoveDisk(ctx, g, s.Disk, pve.DiskMove{
			Storage: s.Storage, Format: s.Format, Guest: s.To, Key: s.ToDisk, Digest: s.Digest, GuestDigest: s.ToDigest,
		})
	})
	return change.Job{UPID: upid}, err
}

// deleteOriginal deletes the original if the copy is what it should be. The digest is that of
// the configuration that shows both.
func deleteOriginal(ctx context.Context, c *tool.Call, s *moveState) (change.Job, error) {
	kept := func(format string, args ...any) error {
		return explain.Refusal("Look at both with pve_guest_config and pve_storage_content before you delete one.",
			"The original %s was not deleted: %s", render.Text(s.Original.String(), 200), strings.TrimSuffix(fmt.Sprintf(format, args...), ".")+".")
	}
	g, config, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (pve.GuestConfig, error) { return c.PVE.CurrentConfig(ctx, g) })
	if err != nil {
		return change.Job{}, kept("the copy could not be looked at: %s", c.Explain(err).What)
	}
	switch _, problem, err := s.verify(ctx, c, g, config); {
	case err != nil:
		return change.Job{}, kept("the copy could not be looked at: %s", c.Explain(err).What)
	case problem != "":
		return change.Job{}, kept("%s", problem)
	}
	key := unusedKey(g.Kind, config, s.Original)
	if key == "" {
		return change.Job{}, kept("%s does not have it as an unused disk", s.Who)
	}
	upid, err := guestconfig.Start(ctx, c, g, pve.ConfigChange{Delete: []string{key}, Digest: config.Digest})
	return change.Job{UPID: upid}, err
}

// verify looks at the copy. The problem is "" if it is where it was to be, as large as the
// original.
func (s moveState) verify(ctx context.Context, c *tool.Call, g pve.GuestRef, config pve.GuestConfig) (d pve.Disk, problem string, err error) {
	d = pve.DiskOf(g.Kind, s.Disk, config.Values[s.Disk])
	now := render.Text(d.Source, 200)
	switch {
	case d.Source == "":
		return d, fmt.Sprintf("%s has no %s any more", s.Who, s.Disk), nil
	case d.Volume == s.Original:
		return d, fmt.Sprintf("%s is still %s", s.Disk, now), nil
	case d.Volume.Storage != s.Storage:
		return d, fmt.Sprintf("%s is %s, which is not on %s", s.Disk, now, render.Text(s.Storage, 60)), nil
	}
	info, err := c.PVE.VolumeInfo(ctx, g.Node, d.Volume)
	switch {
	case err != nil || d.Bus == "efidisk" || d.IsCloudInit(): // made anew, in the size that the storage gives it
	case d.Size.Set && d.Size.Value < s.Size:
		problem = fmt.Sprintf("the copy %s has %s, and the original %s", now, render.Bytes(d.Size.Value), render.Bytes(s.Size))
	case info.Size.Set && info.Size.Value < s.Size:
		problem = fmt.Sprintf("the copy %s has %s on its storage, and the original %s", now, render.Bytes(info.Size.Value), render.Bytes(s.Size))
	}
	return d, problem, err
}

// unusedKey is the key by which a guest keeps a volume that it does not use, or "".
func unusedKey(kind pve.Kind, config pve.GuestConfig, id pve.VolID) string {
	disks := config.Disks(kind)
	if i := slices.IndexFunc(disks, func(d pve.Disk) bool { return d.Bus == "unused" && d.Volume == id }); i >= 0 {
		return disks[i].Key
	}
	return ""
}

// originalIsGone reports whether the storage no longer has the original.
func originalIsGone(ctx context.Context, c *tool.Call, s moveState) (bool, error) {
	there, err := isThere(ctx, c, removal{Volume: s.Original, Node: s.Guest.Node})
	return !there, err
}
