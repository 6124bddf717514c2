package guests

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

type updateIn struct {
	VMID   pve.VMID      `json:"vmid"`
	Set    tool.Settings `json:"set,omitzero" jsonschema:"PVE's keys: cores: 4; an object changes parts: net0: {\"tag\": 30}"`
	Delete []string      `json:"delete,omitzero" jsonschema:"keys to remove; a disk is detached"`
	Digest string        `json:"digest,omitzero" jsonschema:"of pve_guest_config"`
	Force  bool          `json:"force,omitzero" jsonschema:"destroy deleted disks of a VM"`
	change.ConfirmArgument
	change.WaitArgument
}

type updateState struct {
	updateIn
	Set    tool.Values                 `json:"set,omitzero"` // whole values
	Before map[string]pve.PendingValue `json:"before"`       // of the keys that are changed, where they were set
}

// update is a change while it is planned.
type update struct {
	updateState
	before map[string]pve.PendingValue // the whole configuration
}

type updateOut struct {
	change.Answer
	VMID    pve.VMID    `json:"vmid,omitzero"`
	Name    string      `json:"name,omitzero"`
	Node    string      `json:"node,omitzero"`
	Digest  string      `json:"digest,omitzero"`
	Changes []changeRow `json:"changes,omitzero"`
	Restart bool        `json:"restart_needed,omitzero" jsonschema:"something waits for the next start"`
}

type changeRow struct {
	Key     string `json:"key"`
	Before  string `json:"before,omitzero"`
	After   string `json:"after,omitzero" jsonschema:"in force now"`
	Pending string `json:"pending,omitzero" jsonschema:"from the next start on"`
	Removed bool   `json:"removed,omitzero"`
	Waits   bool   `json:"waits,omitzero" jsonschema:"for the next start"`
}

func updateConfig() tool.Tool {
	return change.New(change.Spec[updateIn, updateState, updateOut]{
		Name:  "pve_update_guest_config",
		Title: "Change the configuration of a guest",
		Doc: "Set or change a guest's hardware and options: more cores, memory, name (rename), NIC, VLAN, CD, start at boot, tags, GPU passthrough. Says what waits " +
			"for a restart.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":100,"set":{"cores":8,"memory":8192}}`},
			{Arguments: `{"vmid":105,"set":{"cores":2,"memory":2048,"scsi1":"nfs:1","ide2":"none,media=cdrom","net0":"virtio,bridge=vmbr0","ipconfig0":"ip=dhcp","vga":"std","description":"x"}}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Config.Disk", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network",
				"VM.Config.HWType", "VM.Config.Options", "VM.Config.Cloudinit"),
			tool.On(tool.OnGuest, "VM.Config.CPU").If("cores, sockets, cpu, cpulimit, cpuunits, numa, vcpus"),
			tool.On(tool.OnGuest, "VM.Config.Memory").If("memory, balloon, shares, swap"),
			tool.On(tool.OnGuest, "VM.Config.Disk").If("disks, boot"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("new disks"),
			tool.On(tool.OnGuest, "VM.Config.CDROM").If("CD drives"),
			tool.On(tool.OnGuest, "VM.Config.Network").If("netN; of containers nameserver, searchdomain and hostname too"),
			tool.On(tool.OnBridge, "SDN.Use").Since(8).If("netN"),
			tool.On(tool.OnGuest, "VM.Config.Cloudinit", "VM.Config.Network").If("cloud-init"),
			tool.On(tool.OnGuest, "VM.Config.HWType").If("other hardware"),
			tool.On(tool.OnGuest, "VM.Config.Options").If("name, notes, tags, agent, onboot, protection and other options"),
		},
		Risk: func(given updateIn) policy.Risk {
			in := updateState{updateIn: given, Set: given.Set.Text()}
			if in.Force || in.makesTemplate() || in.namesOthers() || slices.ContainsFunc(in.Delete, destroys) {
				return policy.Destructive
			}
			return policy.Write
		},
		Plan:   planUpdate,
		Start:  startUpdate,
		Finish: finishUpdate,
	})
}

func planUpdate(ctx context.Context, c *tool.Call, given updateIn) (change.Plan, updateState, error) {
	in := update{updateState: updateState{updateIn: given, Set: given.Set.Text()}}
	if err := in.check(); err != nil {
		return change.Plan{}, in.updateState, err
	}
	g, values, err := pending(ctx, c, in.VMID)
	if err != nil {
		return change.Plan{}, in.updateState, err
	}
	before := byKey(values)
	if in.Set, err = guestconfig.Merge(g.Kind, given.Set, func(key string) string { return before[key].Pending.Or(before[key].Value.Value) }); err != nil {
		return change.Plan{}, in.updateState, err
	}
	said, err := guestconfig.Understand(g.Kind, in.Set)
	if err != nil {
		return change.Plan{}, in.updateState, err
	}
	in.emptyTags()
	digest, lock := before["digest"].Value.Value, before["lock"].Value.Value
	plan := change.Plan{Subject: policy.Guest(in.VMID), About: fmt.Sprintf("Change of %v (%s) on %s", g, nameOf(before), g.Node)}
	if said != nil {
		plan.About += " (" + strings.Join(said, "; ") + ")"
	}
	switch {
	case in.Digest != "" && in.Digest != digest:
		return plan, in.updateState, explain.Refusal("Read it again with pve_guest_config, and base the change on what it says now.",
			"The configuration of %v was changed since it had the digest %s; nothing was sent.", g, render.Text(in.Digest, 40))
	case in.Force && g.Kind == pve.LXC:
		return plan, in.updateState, tool.BadArgument("force", "is for VMs; of a container, delete the mount point and then the unusedN that it becomes")
	case lock != "" && !slices.Contains(in.Delete, "vmstate"):
		return plan, in.updateState, explain.Unlocked(g, lock)
	}
	in.Digest = digest
	in.before, in.Before = before, maps.Clone(before)
	maps.DeleteFunc(in.Before, func(key string, _ pve.PendingValue) bool { return !in.touches(key) })
	runs, err := in.runs(ctx, c, g.Kind)
	if err != nil {
		return plan, in.updateState, err
	}
	owners, others := c.ForeignVolumes(ctx, g, in.Set)
	plan.Consequences = slices.Concat(others, in.losses(ctx, c, g.Kind, runs))
	plan.Destructive = len(plan.Consequences) > 0
	plan.Target = change.GuestTarget(http.MethodPut, g, "/config")
	plan.Target.Also = policy.Guests(owners)
	if in.takesTime(g.Kind) {
		plan.Target.Method = http.MethodPost
	}
	return plan, in.updateState, nil
}

func byKey(values []pve.PendingValue) map[string]pve.PendingValue {
	out := map[string]pve.PendingValue{}
	for _, v := range values {
		out[v.Key] = v
	}
	return out
}

func nameOf(config map[string]pve.PendingValue) string {
	return render.Text(config["name"].Value.Value+config["hostname"].Value.Value, 60)
}

// check refuses settings that have no meaning, or were probably not meant.
func (in *updateState) check() error {
	// Split as PVE will split it, so the keys that are checked are those that PVE deletes.
	in.Delete = apischema.SplitList(strings.ReplaceAll(strings.Join(in.Delete, ","), "\x00", ","))
	if len(in.Set) == 0 && len(in.Delete) == 0 {
		return tool.BadArgument("set", "is missing, and so is \"delete\": there is nothing to change")
	}
	for _, key := range in.Delete {
		if _, both := in.Set[key]; both {
			return tool.BadArgument("set", fmt.Sprintf("has %q, which is in \"delete\" too", render.Text(key, 60)))
		}
	}
	if err := guestconfig.Check(in.Set); err != nil {
		return err
	}
	if in.Force && len(in.Delete) == 0 {
		return tool.BadArgument("force", "is for \"delete\" only")
	}
	return nil
}

// emptyTags deletes the tags if none is left.
func (in *updateState) emptyTags() {
	if tags, set := in.Set["tags"]; set && tags == "" {
		delete(in.Set, "tags")
		in.Delete = append(in.Delete, "tags")
	}
}

// newVolumeRE matches the source of a new disk: STORAGE:SIZE.
var newVolumeRE = lazyregexp.New(`^[^:/\s]+:\d+(\.\d+)?$`)

// takesTime reports whether the change should run as a task of PVE.
func (in updateState) takesTime(kind pve.Kind) bool {
	if kind == pve.LXC {
		return false // there is no such task
	}
	for key, value := range in.Set {
		if d := pve.DiskOf(kind, key, value); pve.IsDiskKey(kind, key) && newVolumeRE.MatchString(d.Source) {
			return true
		}
	}
	return in.Force || slices.ContainsFunc(in.Delete, destroys)
}

func startUpdate(ctx context.Context, c *tool.Call, in *updateState) (change.Job, error) {
	wanted := pve.ConfigChange{Set: guestconfig.Params(in.Set), Delete: in.Delete, Digest: in.Digest, Force: in.Force}
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		if in.takesTime(g.Kind) {
			return c.PVE.StartConfig(ctx, g, wanted)
		}
		return proxmox.UPID{}, c.PVE.UpdateConfig(ctx, g, wanted)
	})
	var said *proxmox.Error
	if errors.As(err, &said) && in.isPending(ctx, c, said.Params) {
		return change.Job{Warning: "PVE could not apply all of it now, and keeps the rest for the next start:  " + said.Refused()}, nil
	}
	return change.Job{UPID: upid}, err
}

// isPending reports whether a change that PVE refused waits for the next start anyway, as one
// does that PVE cannot make while the guest is running.
func (in updateState) isPending(ctx context.Context, c *tool.Call, refused map[string]string) bool {
	if len(refused) == 0 {
		return false
	}
	_, values, err := pending(ctx, c, in.VMID)
	return err == nil && slices.ContainsFunc(values, func(v pve.PendingValue) bool {
		before := in.Before[v.Key]
		anew := v.Pending != before.Pending || v.Delete != before.Delete
		asked := v.Pending.Set && v.Pending.Value == in.Set[v.Key] || slices.Contains(in.Delete, v.Key)
		return in.touches(v.Key) && refused[v.Key] != "" && v.Waits() && (anew || asked)
	})
}

// touches reports whether the change sets or deletes a key.
func (in updateState) touches(key string) bool {
	_, set := in.Set[key]
	return set || slices.Contains(in.Delete, key)
}

func finishUpdate(ctx context.Context, c *tool.Call, in updateState, end change.End) (updateOut, error) {
	g, values, err := pending(ctx, c, in.VMID)
	if err != nil {
		return updateOut{}, err
	}
	now := byKey(values)
	out := updateOut{VMID: in.VMID, Node: g.Node, Name: nameOf(now), Digest: now["digest"].Value.Value}
	out.Restart = slices.ContainsFunc(values, pve.PendingValue.Waits)
	for _, key := range slices.Concat(slices.Sorted(maps.Keys(in.Set)), in.Delete) {
		out.Changes = append(out.Changes, changeOf(key, in.Before[key].Value.Value, now[key]))
	}
	if !end.Failed() {
		in.compare(&out, g, now)
	}
	return out, nil
}

func changeOf(key, before string, now pve.PendingValue) changeRow {
	return changeRow{
		Key: key, Before: shown(key, before), After: shown(key, now.Value.Value), Pending: shown(key, now.Pending.Value),
		Removed: !now.Value.Set && !now.Pending.Set || now.Delete.Value != 0, Waits: now.Waits(),
	}
}
