package guestconfig

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Start changes the configuration of a guest: that of a VM by a task, and that of a container at
// once, for which PVE has no task.
func Start(ctx context.Context, c *tool.Call, g pve.GuestRef, wanted pve.ConfigChange) (proxmox.UPID, error) {
	if g.Kind == pve.LXC {
		return proxmox.UPID{}, c.PVE.UpdateConfig(ctx, g, wanted)
	}
	return c.PVE.StartConfig(ctx, g, wanted)
}
