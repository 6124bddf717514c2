// Package snapshots has the tools about snapshots of guests.
package snapshots

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "snapshots",
		Title: "Snapshots",
		Doc:   "Lists, takes and deletes snapshots of guests, and takes guests back to them.",
		Core:  []tool.Tool{listSnapshots(), createSnapshot(), rollbackSnapshot(), deleteSnapshot()},
	}
}
