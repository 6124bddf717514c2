package cli

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// auditTool is the tool that checks the health of a cluster.
const auditTool = "pve_audit"

// healthCheckCommand checks the cluster. Its flags are made only if it is named.
func (a *app) healthCheckCommand(named bool) *cobra.Command {
	cmd := &cobra.Command{Run: func(*cobra.Command, []string) {}} // help lists only what can run
	if t, ok := toolset.Named(auditTool); named && ok {
		cmd = a.callWith(t, func(ctx context.Context, args map[string]any, o *output) error { return a.callOffered(ctx, t, args, o) })
	}
	cmd.Use, cmd.Short = "health-check", "Check the health of the cluster: what is wrong or at risk, worst first"
	cmd.Long = "Looks through the whole cluster for what is wrong or at risk, as the tool " + auditTool + " does, whatever tools are offered.\n" +
		"It changes nothing.\n\n" + severityStatuses
	return cmd
}

const severityStatuses = "Exit status: 0 nothing was found, 1 failed, 2 wrong arguments, 11 the worst finding is low, 12 medium, 13 high, 14 critical."

// severityStatus is the exit status of an audit, by its worst finding.
func severityStatus(t tool.Tool, answer json.RawMessage) int {
	var a struct{ Findings []struct{ Severity string } }
	if t.Name != auditTool || json.Unmarshal(answer, &a) != nil || len(a.Findings) == 0 {
		return exitOK
	}
	return map[string]int{"low": 11, "medium": 12, "high": 13, "critical": 14}[a.Findings[0].Severity]
}
