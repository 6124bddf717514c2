// Package guests has the tools about VMs and containers.
package guests

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
var Tools = []tool.Tool{listGuests, guestStatus, guestConfig, guestPower, updateConfig, resizeDisk, cloneGuest, migrateGuest, deleteGuest, vmExec}
