// Package insight has the tools that say what is wrong, what is at risk, what will run out,
// and which guest has what.
package insight

import (
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/backupstatus"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/find"
)

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "insight",
		Title: "Health and risks",
		Doc:   "Says what is wrong in the cluster, what is at risk and what will run out.",
		Instructions: "Is it healthy, what is wrong or at risk: pve_audit. Report its blind spots with its findings.\n" +
			"Which guests have no good backup, and why: pve_backup_status.\n" +
			"Which guest has an address, disk, image, VLAN, device or setting, what uses a storage: pve_find.",
		Standard: []tool.Tool{audit(), backupstatus.Tool(), find.Tool()},
	}
}
