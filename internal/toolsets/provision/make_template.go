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
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type templateIn struct {
	VMID pve.VMID `json:"vmid"`
	change.ConfirmArgument
	change.PlanArguments
	change.WaitArgument
}

type templateState struct {
	VMID pve.VMID `json:"vmid"`
	Was  bool     `json:"was,omitzero"` // a template before
}

type templateOut struct {
	change.Answer
	Guest    string         `json:"guest,omitzero" jsonschema:"id and name"`
	Node     string         `json:"node,omitzero"`
	Template bool           `json:"template,omitzero"`
	Clone    *tool.NextCall `json:"clone,omitzero" jsonschema:"the call that makes a guest from it"`
}

func makeTemplate() tool.Tool {
	return change.New(change.Spec[templateIn, templateState, templateOut]{
		Name:  "pve_make_template",
		Title: "Convert a guest to a template",
		Doc: "Convert or turn a stopped VM or container into a template (golden image) from which others are cloned. It never runs again itself. Refused while it " +
			"runs or has snapshots, with the calls that change that.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":"$GUEST","confirm":true,"wait":45}`, Given: []tool.Given{{Word: "$GUEST", Tool: "pve_list_guests", Arguments: `{"status":"stopped","type":"qemu","sort":"name"}`, Field: "guests.0.name"}}},
		},
		Worst: policy.Destructive,
		Risk:  func(templateIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Allocate"),
		},
		Plan:   planTemplate,
		Start:  startTemplate,
		Finish: finishTemplate,
	})
}

func planTemplate(ctx context.Context, c *tool.Call, in templateIn) (change.Plan, templateState, error) {
	state := templateState{VMID: in.VMID}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, state, err
	}
	state.Was = s.Template.Value
	label := fmt.Sprintf("%v (%s)", g, render.Text(s.Name.Value, 60))
	plan := change.Plan{
		Subject: policy.Guest(in.VMID), About: fmt.Sprintf("Conversion of %s on %s to a template", label, g.Node),
		Target: change.GuestTarget(http.MethodPost, g, "/template"),
	}
	if s.Template.Value {
		plan.Already, plan.ReadOnly = label+" is a template already.", true
		return plan, state, nil
	}
	if err := checkTemplate(ctx, c, g, s, label); err != nil {
		return plan, state, err
	}
	config, err := c.PVE.CurrentConfig(ctx, g)
	if err != nil {
		return plan, state, err
	}
	plan.Consequences = templateConsequences(g, s, config)
	return plan, state, nil
}

// checkTemplate returns an error if PVE would not convert the guest now.
func checkTemplate(ctx context.Context, c *tool.Call, g pve.GuestRef, s pve.GuestStatus, label string) error {
	if err := explain.Unlocked(g, s.Lock.Value); err != nil {
		return err
	}
	if s.Status != "stopped" {
		return explain.Refusal(fmt.Sprintf(`Shut it down first: pve_guest_power {"vmid":%v,"action":"shutdown"}.`, g.VMID),
			"%s is %s; only a stopped guest becomes a template. Nothing was sent.", label, s.State())
	}
	snapshots, err := c.PVE.Snapshots(ctx, g)
	if err != nil {
		return err
	}
	var names []string
	for _, snap := range snapshots {
		if snap.Name != pve.Current {
			names = append(names, render.Text(snap.Name, 40))
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	return explain.Refusal(fmt.Sprintf(`Delete them first, which loses those states: pve_delete_snapshot {"vmid":%v,"snapname":%q}; or make a full clone with pve_clone_guest and convert that.`, g.VMID, names[0]),
		"%s has snapshots (%s), and PVE makes no template of a guest that has some. Nothing was sent.", label, render.List(names))
}

// templateConsequences say what the conversion means.
func templateConsequences(g pve.GuestRef, s pve.GuestStatus, config pve.GuestConfig) []string {
	out := []string{
		"it never runs again, and cannot become a guest again: a full clone of it can",
		"its disks become read-only bases; it cannot be deleted as long as linked clones need them, which is not so on LVM-thin",
	}
	cloud := slices.ContainsFunc(config.Disks(g.Kind), pve.Disk.IsCloudInit)
	switch {
	case g.Kind == pve.LXC:
		out = append(out, "each clone has its SSH host keys and passwords, unless they were removed in it")
	case cloud:
		out = append(out, "it has a cloud-init drive: clones get user, keys and addresses by it; its cloud-init is to be clean (cloud-init clean), or they will not read them")
	default:
		out = append(out, "it has no cloud-init drive: each clone has its host name, machine id, keys and addresses inside, unless they were removed in it")
	}
	for _, n := range config.NICs(g.Kind) {
		if strings.Contains(config.Values[n.Key], "ip=") && !strings.Contains(config.Values[n.Key], "ip=dhcp") {
			out = append(out, fmt.Sprintf("%s has a fixed address, which each clone has as well until it is changed", n.Key))
		}
	}
	if s.HA.Managed.Value {
		out = append(out, "it is managed by HA, which can never start it: remove it there")
	}
	return out
}

func startTemplate(ctx context.Context, c *tool.Call, s *templateState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (proxmox.UPID, error) { return c.PVE.MakeTemplate(ctx, g) })
	return change.Job{UPID: upid}, err
}

// finishTemplate looks whether the guest is a template now. PVE tells no task of a
// container's conversion, so that this shows when it is done.
func finishTemplate(ctx context.Context, c *tool.Call, s templateState, end change.End) (templateOut, error) {
	g, st, err := c.Live(proxmox.ReadAgain(ctx), s.VMID)
	if err != nil {
		return templateOut{}, err
	}
	name := render.Text(st.Name.Value, 60)
	out := templateOut{Guest: fmt.Sprintf("%v %s", s.VMID, name), Node: g.Node, Template: st.Template.Value}
	switch {
	case out.Template:
		out.Clone = &tool.NextCall{Tool: "pve_clone_guest", Arguments: map[string]any{"vmid": int(s.VMID)}}
		if s.Was {
			return out, nil
		}
		out.Message = fmt.Sprintf("%v (%s) on %s is a template.", g, name, g.Node)
		return out, nil
	case end.Status.Succeeded():
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %v (%s) is no template.", g, name)
		return out, nil
	}
	return out, change.ErrNotYet
}
