// Package backup has the tools about backups.
package backup

import "pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{listBackups(), createBackup(), restoreBackup()}
}
