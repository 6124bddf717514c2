// Package tasks has the tools about PVE's tasks.
package tasks

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{listTasks(), taskStatus(), stopTask()}
}
