package maintenance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// chooseReturning chooses the guests that come back to the node, those whose failback HA gets
// back, and those that are started.
func (p *drainPlan) chooseReturning(ctx context.Context) error {
	back, err := p.chosen("guests", p.Guests)
	if err == nil && p.Guests == "" && p.Failback == "" && p.Start == "" {
		back, err = p.movedAway(ctx)
	}
	if err != nil {
		return err
	}
	if err := p.refuseWhileLeaving(); err != nil {
		return err
	}
	if back, err = p.firstOf(back); err != nil {
		return err
	}
	release, err := p.chosen("failback", p.Failback)
	if err != nil {
		return err
	}
	start, err := p.chosen("start", p.Start)
	if err != nil {
		return err
	}
	var all, moving []pve.Resource
	for _, g := range slices.Concat(back, release, start) {
		if isIn(all, g.VMID) {
			continue
		}
		all = append(all, g)
		if isIn(back, g.VMID) && g.Node.Value != p.Node {
			moving = append(moving, g)
		}
	}
	p.facts.ReadNeeds(ctx, p.c.View, moving, p.nodesOf(moving))
	p.board = p.facts.Board(nil)
	if len(moving) > 0 {
		if err := p.place(ctx, p.units(moving), []string{p.Node}); err != nil {
			return err
		}
	}
	if err := p.add(ctx, p.lastOfGroups(release), holdName, map[string]any{"hold": false}, ""); err != nil {
		return err
	}
	return p.add(ctx, start, "pve_guest_power", map[string]any{"action": "start"}, "start")
}

// firstOf leaves the guests that one call can bring back. Of those that PVE's tasks tell, the
// others are for calls of their own.
func (p *drainPlan) firstOf(back []pve.Resource) ([]pve.Resource, error) {
	switch n := len(back); {
	case n <= mostGuests:
		return back, nil
	case p.Guests != "":
		return nil, explain.Refusal("Make it several calls.", "%s: it is about %d guests, and one call acts on at most %d. Nothing was sent.", p.about(), n, mostGuests)
	default:
		p.Left = n - mostGuests
		return back[:mostGuests], nil
	}
}

// refuseWhileLeaving refuses the way back while guests are still on their way from the node: they
// would be said to be there.
func (p *drainPlan) refuseWhileLeaving() error {
	var leaving []string
	for _, g := range p.facts.Guests {
		if g.Node.Value == p.Node && g.Lock.Value == "migrate" {
			leaving = append(leaving, cluster.GuestName(g))
		}
	}
	if leaving == nil {
		return nil
	}
	return explain.Refusal("Follow that first: by the handle of the drain, or with pve_list_tasks.",
		"%s: a migration from %s is under way of %s, such as by a drain. Nothing was sent.", p.about(), p.Node, render.List(leaving))
}

func isIn(list []pve.Resource, id pve.VMID) bool {
	return slices.ContainsFunc(list, func(g pve.Resource) bool { return g.VMID == id })
}

// chosen are the guests that an argument selects.
func (p *drainPlan) chosen(argument, text string) ([]pve.Resource, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	out, err := selection.Choose(text, p.facts.Guests)
	if err == nil && len(out) == 0 {
		err = tool.BadArgument(argument, fmt.Sprintf("is %q, which fits none of %d guests", render.Text(text, 100), len(p.facts.Guests)))
	}
	return out, err
}

// nodesOf are the node and those on which guests are.
func (p *drainPlan) nodesOf(guests []pve.Resource) []string {
	out := []string{p.Node}
	for _, g := range guests {
		if name := g.Node.Value; !slices.Contains(out, name) && p.isOnline(name) {
			out = append(out, name)
		}
	}
	return out
}

// movedAway are the guests that this token has moved away from the node lately, and that are
// elsewhere now, as PVE's tasks tell.
func (p *drainPlan) movedAway(ctx context.Context) ([]pve.Resource, error) {
	var out []pve.Resource
	for _, kind := range []string{"qmigrate", "vzmigrate", "hamigrate"} {
		tasks, _, err := p.c.PVE.NodeTasks(ctx, p.Node, pve.TaskFilter{Type: kind, Since: p.c.Now().Add(-tool.HandleTime), Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, t := range tasks {
			id, named := pve.GuestOf(t.UPID)
			g, seen := p.facts.Guest(id)
			status := proxmox.TaskStatus{Status: "stopped", ExitStatus: t.Status}
			fits := named && seen && t.Type == kind && t.UPID.User == p.c.Host().Explain.TokenID && status.Succeeded()
			if fits && g.Node.Value != p.Node && !isIn(out, id) {
				out = append(out, g)
			}
		}
	}
	p.Notes = append(p.Notes, fmt.Sprintf("The guests are those that this token has moved away from %s in the last %s, as PVE's tasks tell. "+
		"Whether a drain moved them, whose failback it held and what it shut down is not known: failback and start name those.", p.Node, render.Duration(tool.HandleTime)))
	return out, nil
}

// lastOfGroups leaves, of guests that share an HA group, the one that is begun last: its failback
// is that of all members.
func (p *drainPlan) lastOfGroups(release []pve.Resource) []pve.Resource {
	place := func(id pve.VMID) int {
		return slices.IndexFunc(p.items, func(i change.Item) bool { return i.Guest == id })
	}
	last := map[string]pve.Resource{}
	var out []pve.Resource
	for _, g := range release {
		group := p.facts.HA.Resources[g.VMID].Group
		if group == "" {
			out = append(out, g)
			continue
		}
		if known, has := last[group]; !has || place(g.VMID) > place(known.VMID) {
			last[group] = g
		}
	}
	for _, g := range release {
		if group := p.facts.HA.Resources[g.VMID].Group; group != "" && last[group].VMID == g.VMID {
			out = append(out, g)
		}
	}
	return out
}

// add adds a call to the items of guests, which comes after those that move them.
func (p *drainPlan) add(ctx context.Context, guests []pve.Resource, name string, args map[string]any, task string) error {
	for _, g := range guests {
		if p.isStuck(g) {
			continue
		}
		full := map[string]any{"vmid": int(g.VMID)}
		for key, value := range args {
			full[key] = value
		}
		call := callOf(name, full, task)
		call.Anew = true
		call, err := change.PlanCall(ctx, p.c.Fork(p.c.Request()), call)
		switch {
		case tool.FaultOf(err) == tool.BadArguments:
			return err
		case err != nil:
			e := p.c.Explain(err)
			p.Cannot = append(p.Cannot, cannot{cluster.GuestName(g), e.What, e.Next})
			continue
		case call.Plan.Already != "":
			continue
		}
		i := slices.IndexFunc(p.items, func(i change.Item) bool { return i.Guest == g.VMID })
		if i < 0 {
			i = len(p.items)
			p.items = append(p.items, change.Item{Guest: g.VMID, Node: g.Node.Value, Name: cluster.GuestName(g)})
		}
		p.items[i].Calls = append(p.items[i].Calls, call)
	}
	return nil
}

// isStuck reports whether a guest cannot come back.
func (p *drainPlan) isStuck(g pve.Resource) bool {
	return slices.ContainsFunc(p.Cannot, func(c cannot) bool { return c.Guest == cluster.GuestName(g) })
}
