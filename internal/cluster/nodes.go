package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Nodes lists the nodes of the cluster by name, offline ones too. They are asked for once
// in a call.
func (v *View) Nodes(ctx context.Context) ([]pve.Resource, error) {
	if v.nodes != nil {
		return v.nodes, nil
	}
	all, err := v.List(ctx, "node")
	if err != nil {
		return nil, err
	}
	v.keepNodes(all)
	return v.nodes, nil
}

// keepNodes remembers the nodes in a list of resources.
func (v *View) keepNodes(all *pve.ResourceList) {
	var rows []*pve.Row
	for r := range all.Rows() {
		if r.Type() == "node" {
			rows = append(rows, r)
		}
	}
	v.nodes = pve.Decoded(rows)
	slices.SortFunc(v.nodes, func(a, b pve.Resource) int { return pve.CompareNames(a.Node.Value, b.Node.Value) })
}

// Node finds a node by its name. If there is none, the error names the nodes that there
// are.
func (v *View) Node(ctx context.Context, name string) (pve.Resource, error) {
	nodes, err := v.Nodes(ctx)
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

// OnlineNode is Node for a node that something is to be put on.
func (v *View) OnlineNode(ctx context.Context, name string) (pve.Resource, error) {
	n, err := v.Node(ctx, name)
	if err == nil && n.Status.Value != "online" {
		err = explain.Refusal("Other nodes still answer.", "The node %s is %s.", name, n.Status.Or("unknown"))
	}
	return n, err
}

// NodesInMaintenance returns the nodes from which HA has moved its guests away for
// maintenance, as far as the token may know. From 8.3 on, and if HA was ever used, PVE's list
// of nodes says so. If the list says nothing of the kind, HA is asked.
func (v *View) NodesInMaintenance(ctx context.Context) (map[string]bool, error) {
	nodes, err := v.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out, listed := map[string]bool{}, len(nodes) < 2
	for _, n := range nodes {
		listed = listed || n.HAState.Set
		out[n.Node.Value] = n.HAState.Value == "maintenance"
	}
	if listed {
		return out, nil
	}
	items, err := v.PVE.HAStatus(ctx)
	if proxmox.IsDenied(err) {
		return out, nil
	}
	for _, i := range items {
		if i.Type == "lrm" && strings.Contains(i.Status.Value, "(maintenance mode") {
			out[i.Node.Value] = true
		}
	}
	return out, err
}
