package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// cluster is what the hosts belong to.
type cluster struct {
	*doctor
	hosts []*host // that let the token in
	items []pve.ClusterItem
}

// members asks each host which cluster it is of: several have to be of one.
func (c *cluster) members(ctx context.Context) Check {
	var names []string
	for _, h := range c.hosts {
		items, err := h.client.ClusterStatus(ctx)
		switch {
		case proxmox.IsDenied(err):
			check := c.failed(err)
			check.Status = NotChecked
			return check
		case err != nil:
			return c.failed(err)
		}
		c.items, names = items, append(names, clusterName(items))
	}
	if others := slices.Compact(slices.Clone(names)); len(others) > 1 {
		var text []string
		for i, h := range c.hosts {
			text = append(text, h.base+" is of "+names[i])
		}
		return Check{Status: Failed, Text: "The hosts are not of one cluster: " + render.List(text) + ".", Remedy: "Name hosts of one cluster in PVE_HOST."}
	}
	var down []string
	nodes := 0
	for _, i := range c.items {
		if i.Type != "node" {
			continue
		}
		if nodes++; !i.Online.Value {
			down = append(down, render.Text(i.Name, 60))
		}
	}
	if len(down) > 0 {
		return Check{
			Status: Warning, Text: fmt.Sprintf("%s: %s of %d nodes offline", names[0], render.List(down), nodes),
			Remedy: "Look at these nodes and at their network (pvecm status on another one); what is on them cannot be reached.",
		}
	}
	return Check{Status: OK, Text: fmt.Sprintf("%s: all nodes (%d) online", names[0], nodes)}
}

// clusterName names the cluster, or the node that is in none.
func clusterName(items []pve.ClusterItem) string {
	for _, i := range items {
		if i.Type == "cluster" {
			return "the cluster " + render.Text(i.Name, 60)
		}
	}
	for _, i := range items {
		if i.Local.Value {
			return "the node " + render.Text(i.Name, 60) + ", which is in no cluster"
		}
	}
	return "a node without a name"
}

func (c *cluster) quorum(context.Context) Check {
	for _, i := range c.items {
		switch {
		case i.Type != "cluster":
		case i.Quorate.Value:
			return Check{Status: OK, Text: "there are enough nodes to change anything"}
		default:
			return Check{
				Status: Failed, Text: "There is no quorum: PVE shows what there is, and refuses every change.",
				Remedy: "Bring nodes back until more than half are online; pvecm status on a node shows the votes.",
			}
		}
	}
	return Check{Status: OK, Text: "none is needed"}
}
