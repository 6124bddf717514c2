package nodes_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// What any node says of itself.
func TestAnyNode(t *testing.T) {
	sim.Tell(t, "pve_node_status", []sim.Story{
		{Name: "one that is online", On: sim.NoGuest, Args: `{"node":"$node"}`, Outcome: tool.OK, Says: []string{`"node":"$node","status":"online","pve_version":"`, `"load":[`}},
		{Name: "no such node", On: sim.NoGuest, Args: `{"node":"nowhere"}`, Outcome: tool.Failed, Says: []string{"nowhere", "$node"}},
	})
	sim.Tell(t, "pve_list_nodes", []sim.Story{
		{Name: "one that is online", On: sim.NoGuest, Args: `{}`, Outcome: tool.OK, Says: []string{`{"node":"$node","status":"online"`}},
	})
	sim.Tell(t, "pve_cluster_status", []sim.Story{
		{Name: "one that is online", On: sim.NoGuest, Args: `{}`, Outcome: tool.OK, Says: []string{`{"node":"$node","status":"online"`}},
	})
}
