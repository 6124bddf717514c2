// Package storage has the tools about storages.
package storage

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
var Tools = []tool.Tool{listStorage, storageContent}
