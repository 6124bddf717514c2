package nodes_test

import (
	"testing"

	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
)

// What any node says of itself.
func TestAnyNode(t *testing.T) {
	simtest.Tell(t, "pve_node_status", []simtest.Story{
		{Name: "one that is online", On: simtest.NoGuest, Args: `{"node":"$node"}`, Outcome: tool.OK, Says: []string{`"node":"$node","status":"online","pve_version":"`, `"load":[`}},
		{Name: "no such node", On: simtest.NoGuest, Args: `{"node":"nowhere"}`, Outcome: tool.Failed, Says: []string{"nowhere", "$node"}},
	})
	simtest.Tell(t, "pve_list_nodes", []simtest.Story{
		{Name: "one that is online", On: simtest.NoGuest, Args: `{}`, Outcome: tool.OK, Says: []string{`{"node":"$node","status":"online"`}},
	})
	simtest.Tell(t, "pve_cluster_status", []simtest.Story{
		{Name: "one that is online", On: simtest.NoGuest, Args: `{}`, Outcome: tool.OK, Says: []string{`{"node":"$node","status":"online"`}},
	})
}
