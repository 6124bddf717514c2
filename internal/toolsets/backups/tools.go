// Package backups has the tools about backups.
package backups

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{listBackups(), createBackup(), restoreBackup()}
}
