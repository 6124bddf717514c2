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
		if s.ISO.Name != "" {
			out.Next = "Its installer is on the screen, for the user in PVE's web interface; pve_console shows it."
		}
		return out, nil
	}
	look, err := newguest.LookFor(ctx, c.View, g, newguest.Goal{For: s.WaitFor, Label: label, Address: s.Address, User: s.User})
	out.Address, out.Agent, out.Message, out.Next = cmp.Or(look.Address, s.Address), look.Agent, look.Message, look.Next
	return out, err
}
