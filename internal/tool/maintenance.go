package tool

import (
	"context"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// InMaintenance returns the nodes from which HA has moved its guests away because somebody
// maintains them, as far as the token may know. PVE has it in its list of nodes from 8.3 on,
// once HA was used; where the list has nothing of the kind, HA is asked.
func (c *Call) InMaintenance(ctx context.Context) (map[string]bool, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out, told := map[string]bool{}, len(nodes) < 2
	for _, n := range nodes {
		told = told || n.HAState.Set
		out[n.Node.Value] = n.HAState.Value == "maintenance"
	}
	if told {
		return out, nil
	}
	items, err := c.PVE.HAStatus(ctx)
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
