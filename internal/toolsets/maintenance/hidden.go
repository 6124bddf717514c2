package maintenance

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// missingOnGuests says which privilege hides guests from a token that does not see all of them.
func missingOnGuests(perms pve.Permissions) string {
	all, except := perms.Below("/vms", "VM.Audit")
	if !all {
		except = []string{"/vms"}
	}
	return "VM.Audit on " + render.Text(render.List(except), 200)
}

// hiddenOn are the guests that run on a node and that this token does not see. A guest that the
// node does not list may be on its way: the cluster lists it then.
func hiddenOn[T any](ctx context.Context, c *tool.Call, node string, here map[pve.VMID]T) ([]pve.VMID, error) {
	return cluster.HiddenGuestsOn(ctx, c.PVE, node, func(id pve.VMID) bool {
		if _, is := here[id]; is {
			return true
		}
		_, err := c.PVE.FindGuest(ctx, id)
		return err == nil
	})
}

// hiddenName names a guest of which a token sees no more than that it runs.
func hiddenName(id pve.VMID) string { return fmt.Sprintf("%v, which this token does not see", id) }

// unnoticed says which guests on a node this token would not notice, "" if there are none. Perms
// are those with gaps, and counted says whether the node has shown the interfaces of its guests.
func unnoticed(perms pve.Permissions, counted bool) string {
	switch {
	case !perms.OnAll("/vms", "VM.Audit") || perms.ShowGaps():
		return ""
	case counted:
		return "a guest without a network interface would go unnoticed if a NoAccess hides it from this token, which Sys.Audit on /access would show"
	}
	return "a guest would go unnoticed if a NoAccess hides it from this token, which Sys.Audit on /access would show"
}
