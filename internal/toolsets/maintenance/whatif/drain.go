package whatif

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// leaving is a drain while it is planned.
type leaving struct {
	*look
	board *placement.Board
	stuck map[pve.VMID]string // guests that cannot move, and why
	to    map[pve.VMID]string
}

// drain says where the guests of a node would go, and what could not.
func (l *look) drain(ctx context.Context) error {
	if l.in.Node == "" {
		return tool.BadArgument("node", "is missing: the node that would be emptied, such as pve2")
	}
	node, err := l.OnlineNode(ctx, l.in.Node)
	if err != nil {
		return err
	}
	if err := l.readFacts(ctx); err != nil {
		return err
	}
	d := &leaving{look: l, stuck: map[pve.VMID]string{}}
	var running, off, templates []pve.Resource
	for _, g := range l.facts.Guests {
		switch {
		case g.Node.Value != node.Node.Value:
		case g.Template.Value:
			templates = append(templates, g)
		case g.Status.Value == "stopped":
			off = append(off, g)
		default:
			running = append(running, g)
		}
	}
	l.readNeedsOf(ctx, running)
	d.place(running)
	d.ask(running)
	d.say(running, off, templates)
	return nil
}

// place finds a node for each guest, the largest first.
func (d *leaving) place(all []pve.Resource) {
	d.board, d.to = d.facts.Board(nil), map[pve.VMID]string{}
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b pve.Resource) int { return int((b.MaxMem.Value - a.MaxMem.Value) >> 20) })
	for _, g := range order {
		if d.to[g.VMID] != "" || d.stuck[g.VMID] != "" {
			continue
		}
		if g.Lock.Value != "" && g.Status.Value == "running" {
			d.stuck[g.VMID] = "it is locked (" + render.Text(g.Lock.Value, 20) + ")"
			continue
		}
		unit := d.onSameNode(d.board, g)
		fit, refused := d.board.Choices(unit, d.otherNodes(g.Node.Value))
		for _, id := range unit {
			if len(fit) > 0 {
				d.to[id] = fit[0]
			} else {
				d.stuck[id] = reasonOf(refused)
			}
		}
		if len(fit) > 0 {
			d.board.Move(unit, fit[0])
		}
	}
}

// ask asks PVE what it has against the moves, and puts back what cannot go, with the guests that go
// to the same node.
func (d *leaving) ask(all []pve.Resource) {
	asked := slices.DeleteFunc(slices.Clone(all), func(g pve.Resource) bool { return d.to[g.VMID] == "" })
	if over := len(asked) - mostRead; over > 0 {
		asked = asked[:mostRead]
		d.NotSeen("what PVE itself has against a migration", "", fmt.Sprintf("only the first %d guests were asked about", mostRead))
	}
	for _, r := range d.obstacles(asked, func(g pve.Resource) string { return d.to[g.VMID] }) {
		if r.Value != "" {
			d.putBack(r.From, r.Value)
		}
	}
}

// putBack leaves a guest on its node, and those that go with it.
func (d *leaving) putBack(g pve.Resource, why string) {
	to := d.to[g.VMID]
	for _, id := range d.board.Unit(g.VMID) {
		if id != g.VMID && (to == "" || d.to[id] != to) {
			continue
		}
		if d.stuck[id] == "" {
			d.stuck[id] = fmt.Sprintf("it goes with %s, which cannot move", cluster.GuestName(g))
		}
		d.board.Move([]pve.VMID{id}, g.Node.Value)
		delete(d.to, id)
	}
	d.stuck[g.VMID] = why
}

// say describes the moves and what stays.
func (d *leaving) say(all, off, templates []pve.Resource) {
	var cannot fates
	moves := 0
	for _, g := range all {
		if to := d.to[g.VMID]; to == "" {
			cannot.add("cannot move: "+d.stuck[g.VMID], g)
			continue
		}
		if moves++; moves > d.in.Limit {
			d.out.LeftOut++
			continue
		}
		d.out.Moves = append(d.out.Moves, moveRow{Guest: cluster.GuestName(g), To: d.to[g.VMID], How: d.howMoves(g)})
	}
	for _, f := range cannot {
		d.addGroup(f.guests, "%s", f.what)
	}
	d.addGroup(off, "off, and stay on %s", d.in.Node)
	d.addGroup(templates, "templates, and stay on %s", d.in.Node)
	d.addNodes(d.facts.Board(nil), d.board)
	d.out.Message = fmt.Sprintf("Nothing was done. %d of %s that run on %s can go to other nodes.", moves, guests(len(all)), d.in.Node)
	if moves < len(all) {
		d.out.Message = fmt.Sprintf("Nothing was done. Of %s that run on %s %d can go to other nodes, and %d cannot.", guests(len(all)), d.in.Node, moves, len(all)-moves)
	}
	if d.hidden {
		d.out.Message += " This token does not see every guest."
	}
	next := d.call.Host().Offered(tool.NextCall{Tool: "pve_drain_node", Arguments: map[string]any{"node": d.in.Node, "action": "drain", "plan": true}})
	d.out.Next = &next
	d.noteBlind()
}
