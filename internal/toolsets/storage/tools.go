// Package storage has the tools about storages.
package storage

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{listStorage(), storageContent()}
}
