// Package nodes has the tools about the cluster and its nodes.
package nodes

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Tools returns the tools of this package.
func Tools() []tool.Tool {
	return []tool.Tool{clusterStatus(), listNodes(), nodeStatus()}
}
