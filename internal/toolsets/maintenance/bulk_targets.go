package maintenance

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// targetOf is the node to which a guest goes, "" if none is named. A name that is a number is not
// looked for: it would be the id of another guest.
func (in bulkIn) targetOf(g pve.Resource) string {
	byName := ""
	if _, err := pve.ParseVMID(g.Name.Value); err != nil {
		byName = in.Targets[g.Name.Value]
	}
	return cmp.Or(in.Targets[g.VMID.String()], byName, in.Target)
}

// chooseTargets chooses the best node for each guest for which none is named, counting what else
// moves there. A guest for which there is none cannot be migrated.
func (p *bulkPlan) chooseTargets(ctx context.Context, c *tool.Call) error {
	facts, err := reading.Read(ctx, c.View)
	if err != nil {
		return err
	}
	var nodes []string
	for _, n := range facts.Nodes {
		nodes = append(nodes, n.Node.Value)
	}
	facts.ReadNeeds(ctx, c.View, p.chosen, nodes)
	board := facts.Board(nil)
	p.Targets = maps.Clone(p.Targets)
	if p.Targets == nil {
		p.Targets = tool.Values{}
	}
	p.chosen = slices.DeleteFunc(p.chosen, func(g pve.Resource) bool { return !p.chooseTarget(board, g) })
	return nil
}

// chooseTarget chooses a node for a guest and all that go with it, and reports whether there is
// one.
func (p *bulkPlan) chooseTarget(board *placement.Board, g pve.Resource) bool {
	unit, to := board.Unit(g.VMID), p.targetOf(g)
	if to == "" {
		fit, refused := board.Choices(unit, nil)
		if len(fit) == 0 {
			var why []string
			for _, r := range refused {
				why = append(why, r.String()+".")
			}
			p.Cannot = append(p.Cannot, cannot{Guest: cluster.GuestName(g), Why: cmp.Or(strings.Join(why, " "), "There is no other node.")})
			return false
		}
		to = fit[0]
	}
	board.Move(unit, to)
	for _, id := range unit {
		p.Targets[id.String()] = to
	}
	return true
}
