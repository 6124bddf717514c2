package guests

import (
	"context"
	"fmt"
	"net/url"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type cloneIn struct {
	VMID     pve.VMID `json:"vmid" jsonschema:"the original"`
	NewID    pve.VMID `json:"newid,omitzero" jsonschema:"id of the clone; default: next free"`
	Name     string   `json:"name,omitzero" jsonschema:"of the clone"`
	Full     *bool    `json:"full,omitzero" jsonschema:"copy the disks; default: unless a template"`
	Snapname string   `json:"snapname,omitzero" jsonschema:"snapshot to clone; default: as it is now"`
	Target   string   `json:"target,omitzero" jsonschema:"node of the clone; default: the same"`
	Storage  string   `json:"storage,omitzero" jsonschema:"of a full clone; default: the same"`
	Pool     string   `json:"pool,omitzero" jsonschema:"for the clone; default: none"`
	Run      bool     `json:"start,omitzero" jsonschema:"start the clone"`
	tool.Waits

	chosen bool // NewID was chosen here
}

type cloneOut struct {
	tool.Changed
	VMID   pve.VMID `json:"vmid,omitzero" jsonschema:"of the original"`
	NewID  pve.VMID `json:"newid,omitzero"`
	Name   string   `json:"name,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero"`
}

func cloneGuest() tool.Tool {
	return tool.Change(tool.ChangeSpec[cloneIn, cloneOut]{
		Name:  "pve_clone_guest",
		Title: "Clone a guest",
		Doc:   "Clones a guest: a template linked, anything else in full, unless full says otherwise.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":900,"start":true}`},
			{Arguments: `{"vmid":105,"storage":"nfs","full":true}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Clone"),
			tool.On(tool.OnNewGuest, "VM.Allocate"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnBridge, "SDN.Use").Since(8),
			tool.On(tool.OnNewGuest, "VM.PowerMgmt").If("start"),
		},
		Plan:   planClone,
		Start:  startClone,
		Then:   startNew,
		Finish: finishClone,
	})
}

func planClone(ctx context.Context, c *tool.Call, in *cloneIn) (tool.Plan, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return tool.Plan{}, err
	}
	if err := refuseClone(ctx, c, *in, g, s); err != nil {
		return tool.Plan{}, err
	}
	if in.Target != "" {
		if _, err := c.OnlineNode(ctx, in.Target); err != nil {
			return tool.Plan{}, err
		}
	}
	in.chosen = in.NewID == 0
	if in.NewID, err = c.NewID(ctx, in.NewID); err != nil {
		return tool.Plan{}, err
	}
	plan := tool.Plan{
		Subject: policy.Guest(in.NewID),
		About:   fmt.Sprintf("Clone of %v (%s) as %v", g, render.Text(s.Name.Value, 60), in.NewID),
	}
	if plan.Starts = in.Run; in.Run {
		plan.Later = fmt.Sprintf("Then start the clone with pve_guest_power: vmid %v.", in.NewID)
	}
	return plan, nil
}

// refuseClone explains what PVE would refuse.
func refuseClone(ctx context.Context, c *tool.Call, in cloneIn, g pve.GuestRef, s pve.GuestStatus) error {
	linked := s.Template.Value
	if in.Full != nil {
		linked = !*in.Full
	}
	switch {
	case s.Lock.Value != "":
		return explain.Unlocked(g, s.Lock.Value)
	case linked && in.Storage != "":
		return tool.BadArgument("storage", "is for full clones; a linked clone stays on the storage of its original")
	case linked && !s.Template.Value && in.Snapname == "":
		return explain.Refusal("Make a full clone, or a template of it first.", "%v is no template, so there are no linked clones of it.", g)
	case !linked && g.Kind == pve.LXC && s.Status == "running" && in.Snapname == "":
		return explain.Refusal("Name a snapshot with snapname, or shut it down first.", "%v runs, and a running container is copied from a snapshot only.", g)
	case !linked:
		return nil
	}
	_, f, err := tool.AtGuest(ctx, c, in.VMID, func(g pve.GuestRef) (pve.Feature, error) { return c.PVE.Feature(ctx, g, "clone", in.Snapname) })
	if err == nil && !f.Has.Value {
		return explain.Refusal("Make a full clone: full: true.", "The storage of %v cannot make linked clones.", g)
	}
	return err
}

func startClone(ctx context.Context, c *tool.Call, in *cloneIn) (tool.Job, error) {
	upid, err := tool.WithNewID(ctx, c, &in.NewID, in.chosen, func(id pve.VMID) (proxmox.UPID, error) {
		_, upid, err := tool.AtGuest(ctx, c, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
			params := url.Values{"newid": {id.String()}}
			name := "name"
			if g.Kind == pve.LXC {
				name = "hostname"
			}
			for key, value := range map[string]string{
				name: in.Name, "snapname": in.Snapname, "target": in.Target, "storage": in.Storage, "pool": in.Pool,
			} {
				if value != "" {
					params.Set(key, value)
				}
			}
			if in.Full != nil {
				params.Set("full", tool.Flag(*in.Full))
			}
			return c.PVE.Clone(ctx, g, params)
		})
		return upid, err
	})
	return tool.Job{UPID: upid}, c.NotMade(ctx, err, in.NewID, in.Pool)
}

func startNew(ctx context.Context, c *tool.Call, in *cloneIn) (tool.Job, error) {
	_, upid, err := tool.AtGuest(ctx, c, in.NewID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.Power(ctx, g, "start", nil)
	})
	return tool.Job{UPID: upid}, err
}

func finishClone(ctx context.Context, c *tool.Call, in cloneIn, end tool.End) (cloneOut, error) {
	g, s, err := c.Made(ctx, in.NewID, end, in.Target)
	if pve.Elsewhere(err) {
		out := cloneOut{VMID: in.VMID}
		out.Tell(tool.Failed, "pve_task_status shows what its task did.", "PVE's task ended well, and there is no guest %v.", in.NewID)
		return out, nil
	}
	if err != nil {
		return cloneOut{}, err
	}
	out := cloneOut{VMID: in.VMID, NewID: in.NewID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State()}
	out.Message = fmt.Sprintf("%v (%s) on %s is a clone of %v.", g, out.Name, g.Node, in.VMID) // not always under the planned id
	return out, nil
}
