// Package nodes has the tools about the cluster and its nodes.
package nodes

import "github.com/pve-mcp/pve-mcp/internal/tool"

// Set returns the toolset.
func Set() tool.Set {
	return tool.Set{
		Name:  "nodes",
		Title: "Cluster and nodes",
		Doc:   "Shows how the cluster and its nodes are.",
		Core:  []tool.Tool{clusterStatus(), listNodes(), nodeStatus()},
	}
}
