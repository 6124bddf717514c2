// Package maintenance has the tools that act on many guests or on whole nodes.
package maintenance

import (
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/maintenance/firewall"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/maintenance/ha"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/maintenance/whatif"
)

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "maintenance",
		Title: "Maintenance",
		Doc:   "Does one thing to many guests, or empties a node, with one plan, one consent and an answer for each guest. Reboots and shuts down nodes. Says what would happen. Lists, sets and runs backup jobs, shows and changes the firewall, high availability and replication.",
		Instructions: `
Many guests: pve_bulk_action.
Empty a node: pve_drain_node.
Reboot: pve_node_power.
What if, balance: pve_what_if.`,
		Standard: []tool.Tool{bulkAction(), drainNode()},
		Tools:    []tool.Tool{listBackupJobs(), setBackupJob(), nodePower(), whatif.Tool(), firewall.Show(), firewall.Change(), ha.Show(), ha.Change()},
		Parts:    []tool.Tool{holdFailback(), awaitGuest()},
	}
}
