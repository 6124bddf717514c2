package maintenance

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// votes says what becomes of the quorum.
func (p *powerPlan) votes(ctx context.Context, c *tool.Call) []string {
	if p.Alone {
		return nil
	}
	q := c.Quorum(ctx, p.items)
	least, when := q.Online, "while it is down"
	for _, n := range p.Nodes {
		least = min(least, q.Without(n.Name))
	}
	switch {
	case p.Action == "shutdown":
		least, when = q.Without(namesOf(p.Nodes)...), "afterwards"
	case len(p.Nodes) > 1:
		when = "while one of them is down"
	}
	said := q.Remaining(least, when)
	switch {
	case least >= q.Needed():
		return []string{"the cluster keeps its quorum: " + said}
	case p.Action == "shutdown" && p.Node == allNodes:
		return []string{"the cluster loses its quorum on the way, and is off in the end: " + said}
	}
	lost := "THE CLUSTER LOSES ITS QUORUM: " + said + ". Without it no guest can be started or changed, and no backup runs"
	if slices.ContainsFunc(p.guests, isUnderHA) {
		lost += "; nodes on which HA has guests reset themselves after about a minute, with every guest on them"
	}
	if q.All == 2 && len(p.nodes) == 2 {
		lost += "; unless corosync has the setting two_node, which the API does not show"
	}
	return []string{lost}
}

// isUnderHA reports whether HA takes care of a guest.
func isUnderHA(g pve.Resource) bool { return g.HAState.Value != "" && g.HAState.Value != "ignored" }
