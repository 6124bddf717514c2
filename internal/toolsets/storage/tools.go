// Package storage has the tools about storages.
package storage

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "storage",
		Title: "Storages",
		Doc:   "Shows the storages, how full they are and what is on them.",
		Core:  []tool.Tool{listStorage(), storageContent()},
	}
}
