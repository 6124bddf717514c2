// Package tasks has the tools about PVE's tasks.
package tasks

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
var Tools = []tool.Tool{listTasks, taskStatus, stopTask}
