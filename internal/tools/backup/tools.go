// Package backup has the tools about backups.
package backup

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
var Tools = []tool.Tool{listBackups, createBackup, restoreBackup}
