// Package media has tools about the images on a storage. It is the toolset that a test adds
// to a copy of the repository; here it is compiled, so that it follows what it uses.
package media

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:         "media",
		Title:        "Images",
		Doc:          "Shows the images on a storage, and deletes them.",
		Instructions: "pve_list_media shows what pve_delete_medium can delete.",
		Tools:        []tool.Tool{listMedia(), deleteMedium()},
	}
}
