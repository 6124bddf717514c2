package backups

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type restoreIn struct {
	Archive    pve.VolID `json:"archive,omitzero" jsonschema:"the backup's volid"`
	Source     pve.VMID  `json:"source_guest,omitzero" jsonschema:"in place of archive: whose newest good backup"`
	VMID       pve.VMID  `json:"vmid,omitzero" guest:"new" jsonschema:"default: next free"`
	Node       string    `json:"node,omitzero" jsonschema:"default: the original's"`
	Storage    string    `json:"storage,omitzero" jsonschema:"of its disks; default: as backed up"`
	Overwrite  bool      `json:"overwrite,omitzero" jsonschema:"replace the guest vmid"`
	Unique     bool      `json:"unique,omitzero" jsonschema:"new MACs"`
	Name       string    `json:"name,omitzero" jsonschema:"default: the original's"`
	Pool       string    `json:"pool,omitzero" jsonschema:"default: none"`
	Disconnect bool      `json:"disconnect_nics,omitzero" jsonschema:"NICs down: a copy takes no address"`
	Run        bool      `json:"start,omitzero" jsonschema:"start it afterwards"`
	change.ConfirmArgument
	change.WaitArgument
	change.PlanArguments
}

type restoreState struct {
	restoreIn
	Kind     pve.Kind          `json:"kind"`
	Original pve.VMID          `json:"original"`        // that the backup is of
	Chosen   bool              `json:"chosen,omitzero"` // VMID was chosen here
	Down     map[string]string `json:"down,omitzero"`   // NICs by key, as they are to be
	Notes    []string          `json:"notes"`
	Old      replaced          `json:"old,omitzero"`
}

type restoreOut struct {
	change.Answer
	VMID   pve.VMID `json:"vmid,omitzero"`
	Name   string   `json:"name,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero"`
	Notes  []string `json:"notes,omitzero"`
}

func restoreBackup() tool.Tool {
	backup := []tool.Given{{Word: "$ARCHIVE", Tool: "pve_list_backups", Arguments: `{"vmid":100,"storage":"nfs"}`, Field: "backups.0.volid"}}
	return change.New(change.Spec[restoreIn, restoreState, restoreOut]{
		Name:  "pve_restore_backup",
		Title: "Restore a guest from a backup",
		Doc:   "Restore a guest from its last or an older backup: as a copy under a new id, or with overwrite in place of an existing one, whose disks are lost.",
		Examples: []tool.Example{
			{Arguments: `{"archive":"$ARCHIVE","start":true}`, Given: backup},
			{Arguments: `{"source_guest":100,"name":"copy","disconnect_nics":true}`},
			{Arguments: `{"archive":"$ARCHIVE","vmid":105,"overwrite":true,"storage":"nfs","confirm":true}`, Given: backup},
		},
		Worst: policy.Destructive,
		Risk: func(in restoreIn) policy.Risk {
			if in.Overwrite {
				return policy.Destructive
			}
			return policy.Write
		},
		Needs: []tool.Need{
			tool.On(tool.OnNewGuest, "VM.Allocate").If("a new guest"),
			tool.On(tool.OnNewGuest, "VM.Audit").Else("no guest can be overwritten, and what was restored is not shown"),
			tool.On(tool.OnGuest, "VM.Backup").If("the original, or the one that is overwritten"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("the backup's storage, unless its guest keeps its id, and that of the disks"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the node and, of a container, the storage must be named"),
			tool.On(tool.OnNewGuest, "VM.PowerMgmt").If("start of a VM").Since(9),
			tool.On(tool.OnNewGuest, "VM.Config.Options").If("name of a VM"),
			tool.On(tool.OnNewGuest, "VM.Config.Network").If("disconnect_nics, name of a container"),
			tool.On(tool.OnBridge, "SDN.Use").If("disconnect_nics").Since(8),
		},
		Plan:   planRestore,
		Steps:  restoreSteps,
		Finish: finishRestore,
	})
}

func planRestore(ctx context.Context, c *tool.Call, given restoreIn) (change.Plan, restoreState, error) {
	in := restoreState{restoreIn: given}
	if in.Overwrite && in.VMID == 0 {
		return change.Plan{}, in, tool.BadArgument("overwrite", "needs a vmid")
	}
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return change.Plan{}, in, err
	}
	if err := in.chooseArchive(ctx, c, perms); err != nil {
		return change.Plan{}, in, err
	}
	kind, original, ok := archive(in.Archive)
	if !ok {
		return change.Plan{}, in, tool.BadArgument("archive", fmt.Sprintf("is %q, which is not the name of a backup; pve_list_backups lists them", render.Text(in.Archive.String(), 200)))
	}
	in.Kind, in.Original = kind, original
	plan := change.Plan{}
	if in.Overwrite {
		plan.Consequences, err = in.overwrites(ctx, c)
	} else {
		err = in.newID(ctx, c, perms)
	}
	if err != nil {
		return plan, in, err
	}
	if err := in.place(ctx, c, perms); err != nil {
		return plan, in, err
	}
	if in.Disconnect {
		if err := in.disconnectNICs(ctx, c); err != nil {
			return plan, in, err
		}
	}
	warnings, err := in.checkTwin(ctx, c)
	if err != nil {
		return plan, in, err
	}
	in.Notes = append(in.Notes, warnings...)
	if warnings != nil {
		plan.Later = "Then " + strings.Join(warnings, "; ") + "."
	}
	if in.Overwrite {
		plan.Consequences = append(plan.Consequences, warnings...)
	} else {
		plan.Consequences = in.Notes
	}
	plan.Subject = policy.Guest(in.VMID)
	plan.About = in.about()
	return plan, in, nil
}

// restoreSteps are the restore and, if asked for, the start, which PVE makes by itself.
func restoreSteps(in restoreState) []change.Step[restoreState] {
	steps := []change.Step[restoreState]{{About: in.about(), Target: in.target(), Send: startRestore}}
	if in.Run {
		steps = append(steps, change.Step[restoreState]{About: "the start", Guest: in.VMID, Task: "start"})
	}
	return steps
}

func (in restoreState) about() string {
	return fmt.Sprintf("Restore of %s %v from %s on %s", in.Kind.Noun(), in.VMID, render.Text(in.Archive.String(), 200), in.Node)
}

func (in restoreState) target() policy.Target {
	return policy.Target{Method: http.MethodPost, Path: "/nodes/*/" + string(in.Kind), Subject: policy.Guest(in.VMID), Snapshot: policy.AllSnapshots}
}

// newID finds the id of the new guest.
func (in *restoreState) newID(ctx context.Context, c *tool.Call, perms pve.Permissions) (err error) {
	in.Chosen = in.VMID == 0
	wanted := in.VMID
	in.VMID, err = c.ChooseID(ctx, wanted)
	var taken *explain.Explanation
	if errors.As(err, &taken) {
		return explain.Refusal("Give another one, or none for the next free one; overwrite: true replaces the guest that has it.", "%s", taken.What)
	}
	if err != nil {
		return err
	}
	return cluster.CheckMayCreate(perms, in.VMID, in.Pool)
}

// note adds a remark to the answer.
func (in *restoreState) note(format string, args ...any) {
	in.Notes = append(in.Notes, fmt.Sprintf(format, args...))
}

func startRestore(ctx context.Context, c *tool.Call, in *restoreState) (change.Job, error) {
	planned := in.VMID
	upid, err := c.CreateWithFreeID(ctx, &in.VMID, in.Chosen, func(id pve.VMID) (proxmox.UPID, error) {
		return c.PVE.RestoreGuest(ctx, in.Node, in.Kind, in.restoration(id))
	})
	if in.VMID != planned {
		in.note("the id %v was taken meanwhile, so it has %v", planned, in.VMID)
	}
	return change.Job{UPID: upid}, err
}

// restoration returns the parameters of the restore.
func (in *restoreState) restoration(id pve.VMID) pve.Restoration {
	unique := in.Unique
	if in.Kind == pve.LXC {
		// With unique, PVE ignores NICs in the request. Those that are given here have no
		// address, so they get new ones all the same.
		unique = unique && len(in.Down) == 0
	}
	return pve.Restoration{
		VMID: id, Archive: in.Archive, Storage: in.Storage, Name: in.Name, Pool: in.Pool,
		Overwrite: in.Overwrite, Unique: unique, Start: in.Run, Config: in.Down,
	}
}

// finishRestore checks that the guest is there, is the one from the backup, and is running if
// it should be.
func finishRestore(ctx context.Context, c *tool.Call, in restoreState, end change.End) (restoreOut, error) {
	g, s, err := c.LiveMadeBy(ctx, end.Status, in.VMID, in.Node)
	if pve.Elsewhere(err) {
		out := restoreOut{Notes: in.Notes}
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but there is no guest %v.", in.VMID)
		return out, nil
	}
	if err != nil {
		return restoreOut{}, err
	}
	out := restoreOut{VMID: in.VMID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State()}
	if in.Overwrite && end.Status.Succeeded() {
		if err := in.checkReplaced(ctx, c, g, end, &out.Answer); err != nil {
			return restoreOut{}, err
		}
	}
	if in.Run && end.Status.Succeeded() && s.Status != "running" {
		in.note("it was restored, but is not running yet")
	}
	if in.Disconnect {
		in.checkNICs(ctx, c, g)
	}
	out.Notes = in.Notes
	return out, nil
}
