// Package console has the tools that look at the consoles of guests, and type there.
package console

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:         "console",
		Title:        "Consoles of guests",
		Doc:          "Shows what is on the screen or terminal of a guest, and types there.",
		Instructions: "Screens: pve_console.",
		Standard:     []tool.Tool{look()},
		Tools:        []tool.Tool{send(), readFile(), writeFile(), listFiles(), restoreFile()},
	}
}
