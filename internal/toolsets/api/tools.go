// Package api has the tools that reach all of PVE's API, as safely as the others: a request is
// checked before it is sent, and the guard's table says what it can do.
package api

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:         "api",
		Title:        "The whole API",
		Doc:          "Finds any endpoint of PVE's API, reads it, and changes what has no tool of its own.",
		Instructions: "What has no tool: pve_api_search finds the API path, pve_api_read reads it, pve_api_change changes it.",
		Standard:     []tool.Tool{search(), read(), changes()},
	}
}
