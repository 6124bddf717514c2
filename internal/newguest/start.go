package newguest

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Start starts a guest that was made.
func Start(ctx context.Context, c *tool.Call, id pve.VMID) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, id, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.Power(ctx, g, "start", pve.PowerOptions{})
	})
	return change.Job{UPID: upid}, err
}
