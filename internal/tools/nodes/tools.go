// Package nodes has the tools about the cluster and its nodes.
package nodes

import "pve-mcp/internal/tool"

// Tools are the tools of this package.
var Tools = []tool.Tool{clusterStatus, listNodes, nodeStatus}
