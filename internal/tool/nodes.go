package tool

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Nodes lists the nodes of the cluster by name, offline ones too. They are asked for once
// in a call.
func (c *Call) Nodes(ctx context.Context) ([]pve.Resource, error) {
	if c.nodes != nil {
		return c.nodes, nil
	}
	all, err := c.Listed(ctx, "node")
	if err != nil {
		return nil, err
	}
	c.keepNodes(all)
	return c.nodes, nil
}

// keepNodes remembers the nodes in a list of resources.
func (c *Call) keepNodes(all *pve.ResourceList) {
	var rows []*pve.Row
	for r := range all.Rows() {
		if r.Type() == "node" {
			rows = append(rows, r)
		}
	}
	c.nodes = pve.Decoded(rows)
	slices.SortFunc(c.nodes, func(a, b pve.Resource) int { return pve.CompareNames(a.Node.Value, b.Node.Value) })
}

// Node finds a node by its name. The error for one that is not there names those that
// are.
func (c *Call) Node(ctx context.Context, name string) (pve.Resource, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return pve.Resource{}, err
	}
	var names []string
	for _, n := range nodes {
		if n.Node.Value == name {
			return n, nil
		}
		names = append(names, n.Node.Value)
	}
	return pve.Resource{}, &explain.Explanation{
		What: fmt.Sprintf("There is no node %q.", render.Text(name, 60)),
		Next: "The nodes are " + render.List(names) + ".",
	}
}

// OnlineNode is Node for one that something is to be put on.
func (c *Call) OnlineNode(ctx context.Context, name string) (pve.Resource, error) {
	n, err := c.Node(ctx, name)
	if err == nil && n.Status.Value != "online" {
		err = explain.Refusal("Other nodes still answer.", "The node %s is %s.", name, n.Status.Or("unknown"))
	}
	return n, err
}
