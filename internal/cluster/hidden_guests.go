package cluster

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/pve"
)

// HiddenGuestsOn returns the guests that run on a node and are not among those that are seen. PVE
// leaves a guest out of every list if the token may not see it; the counters of a node's network
// interfaces name it all the same (Sys.Audit on the node). A guest without an interface, or one
// that is off, has none.
func HiddenGuestsOn(ctx context.Context, client *pve.Client, node string, isSeen func(pve.VMID) bool) ([]pve.VMID, error) {
	running, err := client.GuestsOnNetwork(ctx, node)
	return slices.DeleteFunc(running, isSeen), err
}
