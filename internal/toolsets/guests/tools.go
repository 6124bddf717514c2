// Package guests has the tools about VMs and containers.
package guests

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{listGuests(), guestStatus(), guestConfig(), guestPower(), updateConfig(), resizeDisk(), cloneGuest(), migrateGuest(), deleteGuest(), vmExec()}
}
