// Package guests has the tools about VMs and containers.
package guests

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{
		tool.Read(listGuests),
		tool.Read(guestStatus),
		tool.Change(guestPower),
	}
}
