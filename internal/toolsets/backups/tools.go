// Package backups has the tools about backups.
package backups

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "backups",
		Title: "Backups",
		Doc:   "Lists, makes and restores backups of guests.",
		Core:  []tool.Tool{listBackups(), createBackup(), restoreBackup()},
	}
}
