package guests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type cloneIn struct {
	VMID     pve.VMID      `json:"vmid" jsonschema:"the original"`
	NewID    pve.VMID      `json:"newid,omitzero" guest:"new" jsonschema:"default: next free"`
	Name     string        `json:"name,omitzero" jsonschema:"of the clone"`
	Full     *bool         `json:"full,omitzero" jsonschema:"copy the disks; default: unless a template that target reaches"`
	Snapname string        `json:"snapname,omitzero" jsonschema:"snapshot to clone; default: as it is now"`
	Target   string        `json:"target,omitzero" jsonschema:"node; default: the same"`
	Storage  string        `json:"storage,omitzero" jsonschema:"of a full clone; default: the same"`
	Pool     string        `json:"pool,omitzero" jsonschema:"default: none"`
	Set      tool.Settings `json:"set,omitzero" jsonschema:"as in pve_update_guest_config"`
	AddTags  []string      `json:"add_tags,omitzero" jsonschema:"beside the original's"`
	Run      bool          `json:"start,omitzero" jsonschema:"start the clone"`
	WaitFor  string        `json:"wait_for,omitzero" enum:"none,started,agent,address" jsonschema:"with start; default: started"`
	Keep     bool          `json:"keep,omitzero" jsonschema:"after a failure"`
	change.PlanArguments
	change.WaitArgument
}

type cloneState struct {
	cloneIn
	Chosen   bool     `json:"chosen,omitzero"` // NewID was chosen here
	Original string   `json:"who"`             // the original, for a person
	Source   string   `json:"source"`          // its node
	Kind     pve.Kind `json:"kind"`
	// ByDHCP says that the clone asks DHCP for the addresses that its template does not name.
	ByDHCP bool `json:"dhcp,omitzero"`
	// Configured says that the settings were sent, which Set no longer shows.
	Configured bool `json:"configured,omitzero"`
	// Moves means that the clone is made on Source and then migrated, because Target cannot use
	// the disks of the original. MovesTo is the storage for its disks on Target, "" for the
	// storage of the same name.
	Moves   bool   `json:"moves,omitzero"`
	MovesTo string `json:"moves_to,omitzero"`
}

type cloneOut struct {
	change.Answer
	VMID    pve.VMID       `json:"vmid,omitzero" jsonschema:"of the original"`
	NewID   pve.VMID       `json:"newid,omitzero"`
	Name    string         `json:"name,omitzero"`
	Node    string         `json:"node,omitzero"`
	Status  string         `json:"status,omitzero"`
	Address string         `json:"address,omitzero"`
	Agent   string         `json:"agent,omitzero" jsonschema:"answers, or why it does not"`
	Undo    *tool.NextCall `json:"undo,omitzero"`
}

func cloneGuest() tool.Tool {
	return change.New(change.Spec[cloneIn, cloneState, cloneOut]{
		Name:  "pve_clone_guest",
		Title: "Clone a guest",
		Doc: "Clone, copy or duplicate a guest or template, with settings and tags of its own, start it and give its IP: a template linked, others in full. Undone " +
			"if a step fails.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":900,"start":true}`},
			{Arguments: `{"vmid":105,"storage":"nfs","full":true}`},
			{Arguments: `{"vmid":204,"target":"pve1","wait":45}`},
			{Arguments: `{"vmid":901,"set":{"cores":4,"memory":"8G","scsi1":"local-zfs:1","net0":{"firewall":1},"ciuser":"me","vga":"std"},"add_tags":["web"],"start":true,"wait_for":"agent","wait":45}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Clone"),
			tool.On(tool.OnNewGuest, "VM.Allocate"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnBridge, "SDN.Use").Since(8),
			tool.On(tool.OnNewGuest, "VM.Migrate").If("a target that does not reach its disks"),
			tool.On(tool.OnNewGuest, "VM.PowerMgmt").If("start"),
			tool.On(tool.OnNewGuest, "VM.Audit").If("set, add_tags, wait_for").Else("the clone is not shown"),
			tool.On(tool.OnNewGuest, "VM.Config.Disk").If("set: disks"),
			tool.On(tool.OnNewGuest, "VM.Config.CPU").If("set: cores and the like"),
			tool.On(tool.OnNewGuest, "VM.Config.Memory").If("set: memory"),
			tool.On(tool.OnNewGuest, "VM.Config.Network").If("set: netN"),
			tool.On(tool.OnNewGuest, "VM.Config.HWType").If("set: other hardware"),
			tool.On(tool.OnNewGuest, "VM.Config.Options").If("add_tags, set: options"),
			tool.On(tool.OnNewGuest, "VM.Config.Cloudinit", "VM.Config.Network").If("set: cloud-init; wait_for address of a template with a cloud-init drive"),
			tool.On(tool.OnNewGuest, "VM.Monitor").Until(9).If("wait_for address or agent").Else("no address is shown").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnNewGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).If("wait_for address or agent").Else("no address is shown"),
		},
		Plan:   planClone,
		Steps:  cloneSteps,
		Finish: finishClone,
	})
}

func planClone(ctx context.Context, c *tool.Call, given cloneIn) (change.Plan, cloneState, error) {
	in := cloneState{cloneIn: given}
	if !in.Run && in.WaitFor != "" && in.WaitFor != "none" {
		return change.Plan{}, in, tool.BadArgument("wait_for", "needs a clone that is started; give start: true as well")
	}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	if in.Target != "" {
		if _, err := c.OnlineNode(ctx, in.Target); err != nil {
			return change.Plan{}, in, err
		}
	}
	in.Original, in.Source, in.Kind = fmt.Sprintf("%v (%s)", g, render.Text(s.Name.Value, 60)), g.Node, g.Kind
	if g, err = in.planMove(ctx, c, g); err != nil {
		return change.Plan{}, in, err
	}
	if err := refuseClone(ctx, c, in.cloneIn, g, s); err != nil {
		return change.Plan{}, in, err
	}
	in.Chosen = in.NewID == 0
	if in.NewID, err = c.ChooseID(ctx, in.NewID); err != nil {
		return change.Plan{}, in, err
	}
	if s.Template.Value && g.Kind == pve.QEMU && in.WaitFor == "address" {
		if err := in.useDHCP(ctx, c); err != nil {
			return change.Plan{}, in, err
		}
	}
	if err := in.checkSettings(ctx, c, g); err != nil {
		return change.Plan{}, in, err
	}
	plan := change.Plan{Subject: policy.Guest(in.NewID), Also: []policy.Subject{policy.Guest(in.VMID)}, About: in.about()}
	return plan, in, nil
}

// cloneSteps are the clone, its settings, its migration to another node if it needs one, and
// its start. If one of them fails, the clone is deleted again.
func cloneSteps(in cloneState) []change.Step[cloneState] {
	clone := change.Step[cloneState]{About: in.about(), Send: startClone}
	if !in.Keep {
		clone.Undo = newguest.UndoCreation[cloneState](pve.GuestRef{Node: in.madeOn(), Kind: in.Kind, VMID: in.NewID})
	}
	steps := []change.Step[cloneState]{clone}
	if in.configures() {
		steps = append(steps, in.configureStep())
	}
	if in.Moves {
		steps = append(steps, change.Step[cloneState]{
			About: fmt.Sprintf("Migration of the clone %v from %s to %s", in.NewID, in.Source, in.Target), Guest: in.NewID, Task: "migrate",
			Send: moveClone, Done: cloneHasMoved,
			Rest: fmt.Sprintf("Then migrate the clone with pve_migrate_guest: vmid %v, target %s.", in.NewID, in.Target),
		})
	}
	if in.Run {
		steps = append(steps, change.Step[cloneState]{
			About: "the start", Guest: in.NewID, Task: "start", Send: startNew,
			Rest: fmt.Sprintf("Then start the clone with pve_guest_power: vmid %v.", in.NewID),
		})
	}
	return steps
}

// madeOn is the node on which PVE makes the clone.
func (in cloneState) madeOn() string {
	if in.Moves {
		return in.Source
	}
	return cmp.Or(in.Target, in.Source)
}

func (in cloneState) about() string { return fmt.Sprintf("Clone of %s as %v", in.Original, in.NewID) }

// planMove decides how the clone gets to another node. PVE makes it there only if all disks of
// the original are on storages that both nodes share. Otherwise the clone is made in full
// beside the original, and migrated while it is off.
func (in *cloneState) planMove(ctx context.Context, c *tool.Call, g pve.GuestRef) (pve.GuestRef, error) {
	if in.Target == "" || in.Target == g.Node {
		return g, nil
	}
	g, config, err := c.CurrentConfig(ctx, in.VMID)
	if err != nil {
		return g, err
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return g, err
	}
	local, names := false, []string{}
	for _, d := range config.Disks(g.Kind) {
		if name := d.Volume.Storage; name != "" && (!d.IsCDROM() || d.IsCloudInit()) {
			names = append(names, name)
			local = local || reaches(stores, name, g.Node) && !sharedBy(stores, name) // PVE checks storages that the token cannot see
		}
	}
	if !local {
		return g, nil
	}
	if in.Full != nil && !*in.Full {
		return g, explain.Refusal("Leave full out: a full clone is made and migrated.", "%v has disks on storages of its node alone, and a linked clone cannot leave it.", g)
	}
	full := true
	in.Full, in.Moves = &full, true
	if in.Storage != "" && !reaches(stores, in.Storage, g.Node) {
		in.Storage, in.MovesTo = "", in.Storage
	}
	if in.Storage != "" {
		names = []string{in.Storage}
	}
	if in.MovesTo != "" {
		names = []string{in.MovesTo}
	}
	for _, name := range names {
		if !reaches(stores, name, in.Target) {
			return g, explain.Refusal("Name a storage of that node with storage.", "%s has no storage %s, which the disks of the clone need.", in.Target, render.Text(name, 60))
		}
	}
	return g, nil
}

// sharedBy reports whether a storage is shared by its nodes.
func sharedBy(stores []cluster.Store, name string) bool {
	return slices.ContainsFunc(stores, func(s cluster.Store) bool { return s.Storage.Value == name && s.Shared.Value })
}

// reaches reports whether a node has a storage.
func reaches(stores []cluster.Store, name, node string) bool {
	return slices.ContainsFunc(stores, func(s cluster.Store) bool { return s.Storage.Value == name && slices.Contains(s.Nodes, node) })
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
		return explain.Refusal("Make a full clone, or a template of it first.", "%v is not a template, so it cannot have linked clones.", g)
	case !linked && g.Kind == pve.LXC && s.Status == "running" && in.Snapname == "":
		return explain.Refusal("Name a snapshot with snapname, or shut it down first.", "%v is running, and a running container can only be copied from a snapshot.", g)
	case !linked:
		return nil
	}
	_, f, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (pve.Feature, error) { return c.PVE.Feature(ctx, g, "clone", in.Snapname) })
	if err == nil && !f.Has.Value {
		return explain.Refusal("Make a full clone: full: true.", "The storage of %v cannot make linked clones.", g)
	}
	return err
}

func startClone(ctx context.Context, c *tool.Call, in *cloneState) (change.Job, error) {
	upid, err := c.CreateWithFreeID(ctx, &in.NewID, in.Chosen, func(id pve.VMID) (proxmox.UPID, error) {
		_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
			wanted := pve.NewClone{VMID: id, Name: in.Name, Snapshot: in.Snapname, Node: in.Target, Storage: in.Storage, Pool: in.Pool}
			if in.Moves {
				wanted.Node = ""
			}
			if in.Full != nil {
				wanted.Full = lenient.Some(*in.Full)
			}
			return c.StartClone(ctx, g, wanted, in.Chosen)
		})
		return upid, err
	})
	return change.Job{UPID: upid}, c.ExplainCreationRefusal(ctx, err, in.NewID, in.Pool)
}

// moveClone migrates the clone. Its disks move with it, because it is off.
func moveClone(ctx context.Context, c *tool.Call, in *cloneState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, in.NewID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.Migrate(ctx, g, in.Target, pve.MigrateOptions{Storage: in.MovesTo})
	})
	return change.Job{UPID: upid}, err
}

// cloneHasMoved reports whether the clone is on its target node.
func cloneHasMoved(ctx context.Context, c *tool.Call, in cloneState) (bool, error) {
	g, _, err := c.Live(ctx, in.NewID)
	return err == nil && g.Node == in.Target, err
}

func startNew(ctx context.Context, c *tool.Call, in *cloneState) (change.Job, error) {
	return newguest.Start(ctx, c, in.NewID)
}

func finishClone(ctx context.Context, c *tool.Call, in cloneState, end change.End) (cloneOut, error) {
	look, err := in.look(ctx, c, end)
	if errors.Is(err, change.ErrNotYet) {
		out := cloneOut{VMID: in.VMID, NewID: in.NewID, Node: c.NodeOf(in.NewID), Agent: look.Agent, Undo: in.undo()}
		out.Message, out.Next = look.Message, look.Next
		return out, err
	}
	if err != nil {
		return cloneOut{}, err
	}
	g, s, err := c.LiveMadeBy(ctx, end.Status, in.NewID, in.Target)
	if pve.Elsewhere(err) {
		out := cloneOut{VMID: in.VMID}
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but there is no guest %v.", in.NewID)
		return out, nil
	}
	if err != nil {
		return cloneOut{}, err
	}
	out := cloneOut{
		VMID: in.VMID, NewID: in.NewID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State(), Address: look.Address, Agent: look.Agent, Undo: in.undo(),
	}
	out.Message = fmt.Sprintf("%v (%s) on %s is a clone of %v.", g, out.Name, g.Node, in.VMID) // not always under the planned id
	if look.Message != "" {
		out.Message = fmt.Sprintf("%s It is a clone of %v%s.", look.Message, in.VMID, in.sayDHCP())
	}
	return out, nil
}

// look looks whether the clone answers, if the call waits for that. It is asked first, since
// nothing else is asked again and again.
func (in cloneState) look(ctx context.Context, c *tool.Call, end change.End) (newguest.Look, error) {
	if !in.Run || !end.Status.Succeeded() || in.WaitFor != "agent" && in.WaitFor != "address" {
		return newguest.Look{}, nil
	}
	g, err := c.Guest(ctx, in.NewID)
	if err != nil {
		return newguest.Look{}, err
	}
	label := g.Ref().String()
	if name := cmp.Or(in.Name, g.Name.Value); name != "" {
		label += fmt.Sprintf(" (%s)", render.Text(name, 60))
	}
	return newguest.LookFor(ctx, c.View, g.Ref(), newguest.Goal{For: in.WaitFor, Label: label})
}

func (in cloneState) undo() *tool.NextCall {
	return &tool.NextCall{Tool: "pve_delete_guest", Arguments: map[string]any{"vmid": int(in.NewID)}}
}
