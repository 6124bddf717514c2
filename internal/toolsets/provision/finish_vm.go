package provision

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// finishVM looks at the VM, and waits until it is as reachable as the call wants it.
func finishVM(ctx context.Context, c *tool.Call, s createState, end change.End) (createOut, error) {
	g, st, err := c.LiveMadeBy(ctx, end.Status, s.VMID, s.Place.Node)
	if pve.Elsewhere(err) {
		var out createOut
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but there is no VM %v.", s.VMID)
		return out, nil
	}
	if err != nil {
		return createOut{}, err
	}
	name := render.Text(st.Name.Value, 60)
	out := createOut{
		Guest: fmt.Sprintf("%v %s", s.VMID, name), Node: g.Node, Status: st.State(), Address: s.Address, Chosen: s.Chosens, Notes: s.Notes,
		Undo: &tool.NextCall{Tool: "pve_delete_guest", Arguments: map[string]any{"vmid": int(s.VMID)}},
	}
	label := fmt.Sprintf("VM %v (%s)", s.VMID, name)
	switch {
	case !s.Run:
		out.Message = fmt.Sprintf("%s is on %s, and is not started.", label, g.Node)
		return out, nil
	case st.Status != "running":
		out.Message = fmt.Sprintf("%s is on %s, and is not running yet.", label, g.Node)
		return out, change.ErrNotYet
	case s.WaitFor == "none" || s.WaitFor == "started":
		out.Message = fmt.Sprintf("%s runs on %s.", label, g.Node)
		return out, nil
	}
	return s.reach(ctx, c, g, label, out)
}

// reach looks whether the VM answers.
func (s createState) reach(ctx context.Context, c *tool.Call, g pve.GuestRef, label string, out createOut) (createOut, error) {
	r, err := newguest.ReadReach(ctx, c.View, g)
	if err != nil {
		return out, err
	}
	out.Address, out.Agent = cmp.Or(r.Address, s.Address), r.Why
	if r.Answers {
		out.Agent = "answers"
	}
	switch {
	case !r.Answers && s.Address != "" && s.WaitFor == "address":
		out.Message = fmt.Sprintf("%s runs on %s with the address %s, which it was given; whether it answers is not known: %s.", label, g.Node, s.Address, r.Why)
		return out, nil
	case !r.Answers, r.Address == "" && s.WaitFor == "address":
		out.Message = fmt.Sprintf("%s runs on %s, and does not answer yet: %s.", label, g.Node, r.Why)
		out.Next = "The first boot takes a minute or two. Look again with pve_guest_status; if it stays so, its console shows why."
		return out, change.ErrNotYet
	}
	out.Message = fmt.Sprintf("%s runs on %s and answers", label, g.Node)
	switch {
	case out.Address != "" && s.User != "":
		out.Message += fmt.Sprintf(": ssh %s@%s", s.User, out.Address)
	case out.Address != "":
		out.Message += " at " + out.Address
	}
	return out, nil
}
