// Package insight has the tools that say what is wrong, what is at risk, what will run out,
// what used how much, and which guest has what.
package insight

import (
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/backupstatus"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/diagnose"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/find"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/metrics"
)

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "insight",
		Title: "Health, risks and history",
		Doc:   "Says what is wrong in the cluster, what is at risk, what used how much and what will run out.",
		Instructions: "Is it healthy, what is wrong or at risk: pve_audit. Report its blind spots with its findings.\n" +
			"Which guests have no good backup, and why: pve_backup_status.\n" +
			"Which guest has an address, disk, image, VLAN, device or setting, what uses a storage: pve_find.\n" +
			"Why does a guest, node, storage or task not work: pve_diagnose.\n" +
			"What used how much, what uses most, when is it full: pve_metrics.",
		Standard: []tool.Tool{audit(), backupstatus.Tool(), diagnose.Tool(), find.Tool(), metrics.Metrics()},
		Tools:    []tool.Tool{metrics.Chart()},
	}
}
