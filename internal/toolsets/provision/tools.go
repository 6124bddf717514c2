// Package provision has the tools that make guests, and what they are made from.
package provision

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "provision",
		Title: "Making guests",
		Doc:   "Makes VMs and containers from images, templates and installers, and gets and removes what they are made from.",
		Instructions: `
A new guest: pve_create_vm, pve_create_container.`,
		Standard: []tool.Tool{createVM(), createContainer(), download()},
		Tools:    []tool.Tool{deleteVolume(), moveDisk(), makeTemplate()},
	}
}
