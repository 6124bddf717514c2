// Package catalog knows which tools exist and which of them a policy offers.
package catalog

import (
	"slices"
	"strings"

	"pve-mcp/internal/guard"
	"pve-mcp/internal/tool"
	"pve-mcp/internal/tools/backup"
	"pve-mcp/internal/tools/guests"
	"pve-mcp/internal/tools/nodes"
	"pve-mcp/internal/tools/snapshots"
	"pve-mcp/internal/tools/storage"
	"pve-mcp/internal/tools/tasks"
)

// All returns every tool, sorted by name.
func All() []tool.Tool {
	all := slices.Concat(backup.Tools, guests.Tools, nodes.Tools, snapshots.Tools, storage.Tools, tasks.Tools)
	slices.SortFunc(all, func(a, b tool.Tool) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Offered returns the tools that a policy allows, and why the others are off, by
// name. A tool that is off does not exist for a client.
func Offered(p guard.Policy) (on []tool.Tool, off map[string]string) {
	off = map[string]string{}
	for _, t := range All() {
		if reason := p.Refusal(t.Risk); reason != "" {
			off[t.Name] = reason
			continue
		}
		on = append(on, t)
	}
	return on, off
}
