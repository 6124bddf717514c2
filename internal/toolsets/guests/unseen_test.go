package guests_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A task that was begun and never seen says why it could not be looked at.
func TestATaskThatIsNeverSeen(t *testing.T) {
	start := []string{"POST /nodes/{node}/qemu/{vmid}/status/start"}
	sim.Tell(t, "pve_guest_power", []sim.Story{
		{Name: "a page of a proxy", Fault: pvesim.Fault{Match: "GET /nodes/*/tasks/*/status", Proxy: true, Status: 503, Message: "<html>"}, Args: `{"vmid":105,"action":"start","wait":5}`,
			Outcome: tool.Running, Writes: start, Says: []string{"Start of VM 105 (build-1) on pve3 was begun, and how far it is cannot be seen now. Something before PVE answered", "503 Service Unavailable, a web page", `"upid":"UPID:pve3:`}},
		{Name: "a state that says nothing", Fault: pvesim.Fault{Match: "GET /nodes/*/tasks/*/status", Proxy: true, Status: 200, Message: `{"data":{"exitstatus":"OK"}}`}, Args: `{"vmid":105,"action":"start","wait":5}`,
			Outcome: tool.Running, Writes: start, Says: []string{"cannot be seen now.", "does not say whether the task runs"}},
	})
}
