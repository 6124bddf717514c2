package guests

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
)

type powerIn struct {
	VMID      pve.VMID `json:"vmid"`
	Action    string   `json:"action" enum:"start,shutdown,stop,reboot,reset,suspend,resume" jsonschema:"stop and reset are like pulling the plug"`
	Timeout   int      `json:"timeout,omitzero" min:"1" max:"3600" jsonschema:"seconds for the guest to shut down"`
	ForceStop bool     `json:"forceStop,omitzero" jsonschema:"shutdown: stop it when the time is up"`
	ToDisk    bool     `json:"todisk,omitzero" jsonschema:"suspend: to disk instead of RAM"`
	tool.Waits
}

type powerOut struct {
	tool.Changed
	VMID   pve.VMID `json:"vmid,omitzero"`
	Name   string   `json:"name,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero" jsonschema:"state after the call"`
}

var guestPower = tool.Change(tool.ChangeSpec[powerIn, powerOut]{
	Name:  "pve_guest_power",
	Title: "Start, stop, suspend or resume a guest",
	Doc:   "Changes the power state of one VM or container and waits for the result. A failed task is reported as failed, with PVE's reason.",
	Needs: []tool.Need{
		tool.On(tool.OnGuest, "VM.Audit"),
		tool.On(tool.OnGuest, "VM.PowerMgmt"),
		tool.On(tool.OnGuest, "VM.Config.Disk").If("suspend with todisk"),
		tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("suspend with todisk"),
	},
	Plan:   planPower,
	Start:  startPower,
	Finish: finishPower,
})

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

func planPower(ctx context.Context, c *tool.Call, in powerIn) (tool.Plan, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return tool.Plan{}, err
	}
	plan := tool.Plan{
		Guest: in.VMID,
		About: fmt.Sprintf("%s of %v (%s) on %s", title(in.Action), g, render.Text(s.Name.Value, 60), g.Node),
	}
	if state := s.State(); state == goal(in) && in.Action != "reboot" && in.Action != "reset" {
		plan.Already = fmt.Sprintf("%v is %s already; nothing was sent.", g, state)
		return plan, nil
	}
	return plan, refusePower(in, g, s)
}

func title(action string) string {
	return map[string]string{
		"start": "Start", "shutdown": "Shutdown", "stop": "Stop", "reboot": "Reboot",
		"reset": "Reset", "suspend": "Suspension", "resume": "Resumption",
	}[action]
}

// refusePower explains what PVE would refuse, before a task is started.
func refusePower(in powerIn, g pve.GuestRef, s pve.GuestStatus) error {
	state, starts := s.State(), in.Action == "start" || in.Action == "resume"
	no := func(next, format string, args ...any) error {
		return &explain.Explanation{What: fmt.Sprintf(format, args...), Next: next}
	}
	switch {
	case g.Kind == pve.LXC && in.Action == "reset":
		return no("Use reboot, or stop and start.", "A container cannot be reset; %v was not touched.", g)
	case g.Kind == pve.LXC && (in.Action == "suspend" || in.Action == "resume"):
		return no("Use shutdown and start.", "PVE cannot suspend containers reliably; %v was not touched.", g)
	case s.Template.Value && starts:
		return no("Clone it and start the clone.", "%v is a template, which cannot be started.", g)
	case in.Action == "start" && s.Status == "running":
		return no("Use resume, or look at why it is in this state.", "%v is %s, so it cannot be started.", g, state)
	case !starts && s.Status != "running":
		return no("Start it first.", "%v is %s, so %s is not possible.", g, state, in.Action)
	case in.Action == "resume" && state == "stopped":
		return no("Use start.", "%v is stopped, not suspended.", g)
	case state == "paused" && in.Action == "shutdown" && !in.ForceStop:
		return no("Resume it first, or use stop.", "%v is paused, so it cannot shut down.", g)
	}
	if lock := s.Lock.Value; lock != "" && lock != "suspended" && lock != "mounted" {
		e := explain.Locked(fmt.Sprintf("%v is locked (%s)", g, lock), lock)
		return &e
	}
	return nil
}

func startPower(ctx context.Context, c *tool.Call, in powerIn) (tool.Job, error) {
	g, err := c.Guest(ctx, in.VMID)
	if err != nil {
		return tool.Job{}, err
	}
	params := url.Values{}
	if in.Timeout > 0 && (in.Action == "shutdown" || in.Action == "reboot") {
		params.Set("timeout", strconv.Itoa(in.Timeout))
	}
	if in.ForceStop && in.Action == "shutdown" {
		params.Set("forceStop", "1")
	}
	if in.ToDisk && in.Action == "suspend" {
		params.Set("todisk", "1")
	}
	upid, err := c.PVE.Power(ctx, g.Ref(), in.Action, params)
	return tool.Job{UPID: upid}, err
}

// finishPower reads the state. The task of a guest that HA manages ends when the
// HA manager was asked, and a VM is started again after the task of its reboot has
// ended: neither has its goal yet.
func finishPower(ctx context.Context, c *tool.Call, in powerIn, end tool.End) (powerOut, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return powerOut{}, err
	}
	out := powerOut{VMID: in.VMID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State()}
	if end.Status.Succeeded() && out.Status != goal(in) {
		return out, tool.ErrNotYet
	}
	return out, nil
}
