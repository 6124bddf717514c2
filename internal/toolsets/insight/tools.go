// Package insight has the tools that say what is wrong, what is at risk, what will run out,
// what used how much, and which guest has what.
package insight

import (
	"github.com/pve-mcp/pve-mcp/internal/selection"
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
		Instructions: "Healthy, at risk: pve_audit; report its blind spots.\n" +
			"No good backup: pve_backup_status.\n" +
			"Who has an address, image, VLAN, device or storage: pve_find.\n" +
			"Why it does not work: pve_diagnose.\n" +
			"Use, when full: pve_metrics.\n" +
			"guests: " + selection.Doc + ".",
		Standard: []tool.Tool{audit(), backupstatus.Tool(), diagnose.Tool(), find.Tool(), metrics.Metrics()},
		Tools:    []tool.Tool{metrics.Chart()},
	}
}
