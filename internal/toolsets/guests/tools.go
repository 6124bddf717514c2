// Package guests has the tools about VMs and containers.
package guests

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:         "guests",
		Title:        "VMs and containers",
		Doc:          "Finds VMs and containers, shows how they are, and changes, copies, moves and deletes them.",
		Instructions: "Lists are up to 20 s old; pve_guest_status is live.",
		Core: []tool.Tool{
			listGuests(), guestStatus(), guestConfig(), guestPower(), updateConfig(), resizeDisk(), cloneGuest(), migrateGuest(), deleteGuest(), vmExec(),
		},
	}
}
