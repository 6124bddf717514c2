// Package snapshots has the tools about snapshots of guests.
package snapshots

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{listSnapshots(), createSnapshot(), rollbackSnapshot(), deleteSnapshot()}
}
