// Package tasks has the tools about PVE's tasks.
package tasks

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "tasks",
		Title: "Tasks",
		Doc:   "Shows who did what and when, follows what runs, and stops it.",
		Core:  []tool.Tool{listTasks(), taskStatus()},
		Tools: []tool.Tool{stopTask()},
	}
}
