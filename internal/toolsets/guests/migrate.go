package guests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type migrateIn struct {
	VMID          pve.VMID `json:"vmid"`
	Target        string   `json:"target" jsonschema:"a node"`
	Restart       bool     `json:"restart,omitzero" jsonschema:"of a running container"`
	LocalDisks    bool     `json:"with_local_disks,omitzero" jsonschema:"move local disks of a running VM"`
	TargetStorage string   `json:"targetstorage,omitzero" jsonschema:"for local disks, or pairs local:nfs; default: same"`
	change.WaitArgument
	change.PlanArguments
}

type migrateState struct {
	migrateIn
	Running bool   `json:"running"` // before
	Source  string `json:"source"`  // node
}

type migrateOut struct {
	change.Answer
	VMID   pve.VMID `json:"vmid,omitzero"`
	Name   string   `json:"name,omitzero"`
	Node   string   `json:"node,omitzero" jsonschema:"where it is now"`
	Status string   `json:"status,omitzero"`
}

func migrateGuest() tool.Tool {
	return change.New(change.Spec[migrateIn, migrateState, migrateOut]{
		Name:  "pve_migrate_guest",
		Title: "Migrate a guest to another node",
		Doc:   "Migrate or move a guest to another node, live if it runs.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":105,"target":"pve1","targetstorage":"nfs"}`},
			{Arguments: `{"vmid":204,"target":"pve2"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Migrate"),
			tool.On(tool.OnGuest, "VM.Config.Disk").If("targetstorage"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("targetstorage"),
			tool.On(tool.OnStorage, "Datastore.Audit").If("a container").Else("a storage that its target lacks is not seen before"),
		},
		Plan:   planMigrate,
		Start:  startMigrate,
		Finish: finishMigrate,
	})
}

func planMigrate(ctx context.Context, c *tool.Call, given migrateIn) (change.Plan, migrateState, error) {
	in := migrateState{migrateIn: given}
	if _, err := c.OnlineNode(ctx, in.Target); err != nil {
		return change.Plan{}, in, err
	}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	in.Running, in.Source = s.Status == "running", g.Node
	plan := change.Plan{
		Subject: policy.Guest(in.VMID),
		About:   fmt.Sprintf("Migration of %v (%s) from %s to %s", g, render.Text(s.Name.Value, 60), g.Node, in.Target),
	}
	switch {
	case g.Node == in.Target:
		plan.Already = fmt.Sprintf("%v is on %s already; nothing was sent.", g, g.Node)
		return plan, in, nil
	case s.Lock.Value != "":
		return plan, in, explain.Unlocked(g, s.Lock.Value)
	case g.Kind == pve.LXC && in.LocalDisks:
		return plan, in, tool.BadArgument("with_local_disks", "is for VMs; a container's volumes are always moved")
	case g.Kind == pve.QEMU && in.Restart:
		return plan, in, tool.BadArgument("restart", "is for containers; a running VM is moved without interruption")
	case g.Kind == pve.LXC && in.Running && !in.Restart:
		return plan, in, explain.Refusal("Allow it with restart: true, or shut the container down first.",
			"%v runs, and a container can only be moved by stopping it for a while.", g)
	}
	maintained, err := c.NodesInMaintenance(ctx)
	if err != nil {
		return plan, in, err
	}
	if maintained[in.Target] {
		plan.About += ", which is in HA maintenance"
		if s.HA.Managed.Value {
			return plan, in, explain.Refusal("Choose another node, or end the maintenance first.", "HA manages %v, and does not move guests to %s while that is in maintenance.", g, in.Target)
		}
	}
	g, m, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (pve.Migration, error) { return c.PVE.CheckMigration(ctx, g, in.Target) })
	var said *proxmox.Error
	if err != nil && !(errors.As(err, &said) && said.Status == http.StatusNotImplemented) { // of containers before PVE 9
		return plan, in, err
	}
	var taken []string
	for _, id := range m.MovedTogether() {
		taken = append(taken, c.GuestLabel(ctx, id))
	}
	if taken != nil {
		plan.About += ", and with it, by rules of HA, " + render.List(taken)
	}
	return plan, in, checkMigration(ctx, c, in, g, m)
}

// checkMigration explains why PVE would refuse a migration.
func checkMigration(ctx context.Context, c *tool.Call, in migrateState, g pve.GuestRef, m pve.Migration) (err error) {
	refused := m.NotAllowed[in.Target]
	missing := refused.Storages
	if g.Kind == pve.LXC {
		if missing, err = missingThere(ctx, c, in); err != nil {
			return err
		}
	}
	var rules []string
	for _, b := range slices.Concat(refused.HA, m.NotAllowedCT[in.Target].HA) {
		rules = append(rules, render.Text(fmt.Sprintf("%s (%s)", b.SID.Value, b.Cause.Value), 100))
	}
	switch {
	case len(missing) > 0 && in.TargetStorage == "":
		return explain.Refusal("Name a storage of that node with targetstorage, or move the disks first.",
			"%s has no storage %s, on which %v has disks.", in.Target, render.List(missing), g)
	case len(refused.Resources) > 0:
		return explain.Refusal("Remove them from the VM, or choose another node.", "%s does not offer %s, which %v uses.", in.Target, render.List(refused.Resources), g)
	case len(clones(m)) > 0:
		return explain.Refusal("Make a full clone of it (pve_clone_guest, full: true) and migrate that, or have its disk moved to a storage that both nodes share.",
			"%v is a linked clone, and PVE does not migrate one from a local storage: %s.", g, render.List(clones(m)))
	case len(m.LocalResources) > 0:
		return explain.Refusal("Remove them from the VM first.", "%v uses devices of its node: %s.", g, render.List(m.LocalResources))
	case len(rules) > 0:
		return explain.Refusal("Choose another node, or change the HA rules.", "HA does not let %v go to %s because of %s.", g, in.Target, render.List(rules))
	case g.Kind == pve.QEMU && in.Running:
		return refuseLocal(in, g, m)
	}
	return nil
}

// missingThere lists the storages of a container that the target does not have, as far as the
// token sees storages. PVE itself reports that for VMs only.
func missingThere(ctx context.Context, c *tool.Call, in migrateState) ([]string, error) {
	g, config, err := c.CurrentConfig(ctx, in.VMID)
	if err != nil {
		return nil, err
	}
	all, err := c.List(ctx, "storage")
	if err != nil {
		return nil, err
	}
	storages := all.Resources()
	on := func(node, storage string) bool {
		return slices.ContainsFunc(storages, func(r pve.Resource) bool { return r.Node.Value == node && r.Storage.Value == storage })
	}
	var missing []string
	for _, d := range config.Disks(g.Kind) {
		if name := d.Volume.Storage; on(g.Node, name) && !on(in.Target, name) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// refuseLocal explains which local volumes keep a running VM on its node.
func refuseLocal(in migrateState, g pve.GuestRef, m pve.Migration) error {
	var disks []string
	for _, d := range m.LocalDisks {
		volume := render.Text(d.Volume.Value, 100)
		switch {
		case d.IsCloudInit() || d.Unused.Value:
			continue
		case d.CDROM.Value:
			return explain.Refusal(fmt.Sprintf("Eject it: pve_update_guest_config, set %s: none,media=cdrom.", d.Drive.Or("ide2")),
				"The CD drive %s of %v holds %s, which only its node has.", d.Drive.Value, g, volume)
		case d.Size.Set:
			volume += fmt.Sprintf(" (%s)", render.Bytes(d.Size.Value))
		}
		disks = append(disks, volume)
	}
	if disks == nil || in.LocalDisks {
		return nil
	}
	return explain.Refusal("With with_local_disks: true they are copied while it runs, which can take long.",
		"%v runs and has disks that only its node has: %s.", g, render.List(disks))
}

func startMigrate(ctx context.Context, c *tool.Call, in *migrateState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.Migrate(ctx, g, in.Target, pve.MigrateOptions{
			Storage: in.TargetStorage, LocalDisks: in.LocalDisks,
			Online: in.Running && g.Kind == pve.QEMU, Restart: in.Running && g.Kind == pve.LXC && in.Restart,
		})
	})
	return change.Job{UPID: upid}, err
}

// finishMigrate checks which node the guest is on, and whether it is running again. HA moves a
// guest only after the task has ended.
func finishMigrate(ctx context.Context, c *tool.Call, in migrateState, end change.End) (migrateOut, error) {
	g, s, err := c.Live(ctx, in.VMID)
	switch {
	case err != nil && pve.EndsEarly(end.Status.UPID):
		return migrateOut{}, errors.Join(change.ErrNotYet, err)
	case err != nil:
		return migrateOut{}, err
	}
	out := migrateOut{VMID: in.VMID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State()}
	stands := in.Running && s.Status != "running"
	switch early := pve.EndsEarly(end.Status.UPID); {
	case end.Failed() && g.Node == in.Target && in.Source != in.Target:
		in.moved(ctx, c, &out, g, s)
		return out, nil
	case !end.Status.Succeeded() || g.Node == in.Target && !stands:
		return out, nil
	case early:
		return out, change.ErrNotYet
	case g.Node != in.Target:
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %v is on %s, not on %s.", g, g.Node, in.Target)
	default:
		out.SetOutcome(tool.Warnings, "Start it with pve_guest_power.", "%v is on %s now, and does not run there: it is %s.", g, g.Node, s.State())
	}
	return out, nil
}

// moved describes a migration that failed after the guest had moved.
func (in migrateState) moved(ctx context.Context, c *tool.Call, out *migrateOut, g pve.GuestRef, s pve.GuestStatus) {
	text := fmt.Sprintf("The migration ended with problems, and %v has moved: it is %s on %s now.", g, s.State(), g.Node)
	stores, err := c.Stores(ctx)
	stores = slices.DeleteFunc(stores, func(s cluster.Store) bool {
		return s.Shared.Value || s.Node.Value != in.Source || !s.Holds("images") && !s.Holds("rootdir")
	})
	left, unseen := leftVolumes(ctx, c, stores, in.VMID)
	if err != nil {
		unseen = c.Explain(err).What
	}
	next := "Read the log with pve_task_status before you migrate it again."
	switch {
	case len(left) > 0:
		text += fmt.Sprintf(" Volumes of it are left on %s: %s.", in.Source, render.List(left))
		next = fmt.Sprintf("An administrator removes them on %s: pvesm free VOLUME.", in.Source)
	case unseen != "":
		text += fmt.Sprintf(" Volumes of it may be left on %s, which cannot be checked: %s", in.Source, unseen)
	}
	if in.Running && s.Status != "running" {
		next = "Start it with pve_guest_power. " + next
	}
	out.SetOutcome(tool.Warnings, next, "%s", text)
}

// cloneRE matches a volume that is linked to a base volume.
var cloneRE = lazyregexp.New(`:(?:.*/)?base(?:vol)?-\d+-[^/]*/[^/]+$`)

// clones lists the local disks of a guest that are linked clones.
func clones(m pve.Migration) []string {
	var out []string
	for _, d := range m.LocalDisks {
		if !d.IsCloudInit() && cloneRE.MatchString(d.Volume.Value) {
			out = append(out, render.Text(d.Volume.Value, 100))
		}
	}
	return out
}
