package guests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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

type powerIn struct {
	VMID      pve.VMID `json:"vmid"`
	Action    string   `json:"action" enum:"start,shutdown,stop,reboot,reset,suspend,resume" jsonschema:"stop, reset: like pulling the plug"`
	Timeout   int      `json:"timeout,omitzero" min:"1" max:"3600" jsonschema:"seconds to shut down; default: PVE's"`
	ForceStop bool     `json:"forceStop,omitzero" jsonschema:"after the timeout"`
	ToDisk    bool     `json:"todisk,omitzero" jsonschema:"suspend: RAM to disk"`
	change.WaitArgument
}

type powerOut struct {
	change.Answer
	VMID   pve.VMID `json:"vmid,omitzero"`
	Name   string   `json:"name,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero" jsonschema:"state after the call"`
}

func guestPower() tool.Tool {
	return change.New(change.Spec[powerIn, powerIn, powerOut]{
		Name:  "pve_guest_power",
		Title: "Start, stop, suspend or resume a guest",
		Doc:   "Start, shut down, stop (power off, pull the plug), reboot, reset, pause, hibernate or resume a guest, and wait for it.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":104,"action":"reboot"}`},
			{Arguments: `{"vmid":100,"action":"suspend","todisk":true}`},
			{Arguments: `{"vmid":204,"action":"stop"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.PowerMgmt"),
			tool.On(tool.OnGuest, "VM.Config.Disk").If("suspend with todisk"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("suspend with todisk"),
			tool.On(tool.OnNode, "Sys.Audit").If("a guest that is in the wanted state already").Else("tasks of others that may change it are not seen"),
		},
		Plan:   planPower,
		Start:  startPower,
		Finish: finishPower,
	})
}

// goal is the state that a call leads to.
func goal(in powerIn) string {
	switch in.Action {
	case "shutdown", "stop":
		return "stopped"
	case "suspend":
		if in.ToDisk {
			return "suspended"
		}
		return "paused"
	}
	return "running"
}

// isAtGoal reports whether a guest has the state that the call asks for, and HA leaves it
// there. A sleeping guest is suspended too, but not to disk.
func isAtGoal(in powerIn, s pve.GuestStatus) bool {
	return s.State() == goal(in) && (!in.ToDisk || s.Status == "stopped") && (!asksHA(in, s) || haWants(in, s))
}

// asksHA reports whether PVE hands a call on to the HA manager.
func asksHA(in powerIn, s pve.GuestStatus) bool {
	handedOn := in.Action == "start" || in.Action == "stop" || in.Action == "shutdown"
	return handedOn && s.HA.Managed.Value && s.HA.State.Value != "ignored"
}

// haWants reports whether the HA manager would keep the state that the call leads to.
func haWants(in powerIn, s pve.GuestStatus) bool {
	if goal(in) == "running" {
		return s.HA.State.Value == "started"
	}
	return s.HA.State.Value == "stopped" || s.HA.State.Value == "disabled"
}

func planPower(ctx context.Context, c *tool.Call, in powerIn) (change.Plan, powerIn, error) {
	if err := refuseArguments(in); err != nil {
		return change.Plan{}, in, err
	}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	plan := change.Plan{
		Subject: policy.Guest(in.VMID),
		About:   fmt.Sprintf("%s of %v (%s) on %s", title(in.Action), g, render.Text(s.Name.Value, 60), g.Node),
	}
	switch {
	case !isAtGoal(in, s) || in.Action == "reboot" || in.Action == "reset":
		return plan, in, refusePower(in, g, s)
	case goal(in) == "stopped" && s.Lock.Value == "backup":
		return plan, in, explain.Unlocked(g, s.Lock.Value) // the backup starts it again
	}
	plan.Already = fmt.Sprintf("%v is %s already; nothing was sent.", g, s.State())
	return plan, in, refuseWhileChanging(ctx, c, g, s)
}

// refuseArguments refuses an argument that the action does not take.
func refuseArguments(in powerIn) error {
	switch is := func(actions ...string) bool { return slices.Contains(actions, in.Action) }; {
	case in.Timeout > 0 && !is("shutdown", "reboot"):
		return tool.BadArgument("timeout", "is for shutdown and reboot only")
	case in.ForceStop && !is("shutdown"):
		return tool.BadArgument("forceStop", "is for shutdown only")
	case in.ToDisk && !is("suspend"):
		return tool.BadArgument("todisk", "is for suspend only")
	}
	return nil
}

// changesPower matches the types of tasks after which a guest may have another state.
var changesPower = lazyregexp.New(`^(qm|vz)(start|stop|shutdown|reboot|reset|pause|suspend|resume|rollback|restore|migrate|destroy)$|^qmigrate$`)

// refuseWhileChanging refuses to report that nothing has to be done while a task is changing
// the guest's state.
func refuseWhileChanging(ctx context.Context, c *tool.Call, g pve.GuestRef, s pve.GuestStatus) error {
	active, _, err := c.PVE.NodeTasks(ctx, g.Node, pve.TaskFilter{Source: "active", VMID: g.VMID})
	if err != nil {
		return err
	}
	for _, t := range active {
		if !t.EndTime.Set && changesPower.MatchString(t.Type) {
			return &explain.Explanation{
				What: fmt.Sprintf("%v is %s, and a task that may change this is under way: %v. Nothing was sent.", g, s.State(), t.UPID),
				Next: "Wait for its end with pve_task_status, then look again.",
			}
		}
	}
	return nil
}

func title(action string) string {
	return map[string]string{
		"start": "Start", "shutdown": "Shutdown", "stop": "Stop", "reboot": "Reboot",
		"reset": "Reset", "suspend": "Suspension", "resume": "Resumption",
	}[action]
}

// refusePower explains what PVE would refuse, before a task is started.
func refusePower(in powerIn, g pve.GuestRef, s pve.GuestStatus) error {
	state, starts, byHA := s.State(), in.Action == "start" || in.Action == "resume", asksHA(in, s)
	switch {
	case g.Kind == pve.LXC && in.Action == "reset":
		return explain.Refusal("Use reboot, or stop and start.", "A container cannot be reset; %v was not touched.", g)
	case g.Kind == pve.LXC && (in.Action == "suspend" || in.Action == "resume"):
		return explain.Refusal("Use shutdown and start.", "PVE cannot suspend containers reliably; %v was not touched.", g)
	case s.Template.Value && starts:
		return explain.Refusal("Clone it and start the clone.", "%v is a template, which cannot be started.", g)
	case in.Action == "start" && s.Status == "running" && !byHA:
		return explain.Refusal("Use resume, or look at why it is in this state.", "%v is %s, so it cannot be started.", g, state)
	case !starts && s.Status != "running" && !byHA:
		return explain.Refusal("Start it first.", "%v is %s, so %s is not possible.", g, state, in.Action)
	case in.Action == "resume" && state == "stopped":
		return explain.Refusal("Use start.", "%v is stopped, not suspended.", g)
	case state == "paused" && in.Action == "shutdown" && !in.ForceStop:
		return explain.Refusal("Resume it first, or use stop.", "%v is paused, so it cannot shut down.", g)
	}
	switch s.Lock.Value {
	case "", "suspended", "mounted":
		return nil
	case "backup":
		if in.Action == "resume" || in.Action == "suspend" && !in.ToDisk {
			return nil
		}
	}
	return explain.Unlocked(g, s.Lock.Value)
}

func startPower(ctx context.Context, c *tool.Call, in *powerIn) (change.Job, error) {
	options := pve.PowerOptions{Timeout: time.Duration(in.Timeout) * time.Second, ForceStop: in.ForceStop, ToDisk: in.ToDisk}
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.Power(ctx, g, in.Action, options)
	})
	return change.Job{UPID: upid}, err
}

// finishPower reads the state. The task may end before its goal is reached, so the state may
// still change.
func finishPower(ctx context.Context, c *tool.Call, in powerIn, end change.End) (powerOut, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil && pve.EndsEarly(end.Status.UPID) {
		return powerOut{}, errors.Join(change.ErrNotYet, err)
	}
	if err != nil {
		return powerOut{}, err
	}
	out := powerOut{VMID: in.VMID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State()}
	if end.Status.Succeeded() && !isAtGoal(in, s) {
		return out, change.ErrNotYet
	}
	return out, nil
}
