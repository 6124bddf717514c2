// Package snapshots has the tools about snapshots of guests.
package snapshots

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
var Tools = []tool.Tool{listSnapshots, createSnapshot, rollbackSnapshot, deleteSnapshot}
