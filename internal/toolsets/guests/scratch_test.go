package guests_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// What is seen of guests that can be anywhere.
func TestStatusOfScratchGuests(t *testing.T) {
	sim.Tell(t, "pve_guest_status", []sim.Story{
		{Name: "stopped VM", On: sim.VM, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 2, Says: []string{`{"vmid":$vmid,"name":"scratch","type":"qemu","node":"$node","status":"stopped"`}, Lacks: []string{`"uptime"`}},
		{Name: "running VM", On: sim.RunningVM, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"status":"running"`, `"addresses_unknown":"`}},
		{Name: "paused VM", On: sim.RunningVM, First: `pve_guest_power {"vmid":$vmid,"action":"suspend"}`, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"status":"paused"`, "resume continues it"}},
		{Name: "template", On: sim.Template, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"template":true`, "only cloned"}},
		{Name: "running CT", On: sim.RunningCT, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 3, Says: []string{`"name":"scratch","type":"lxc","node":"$node","status":"running"`}, Lacks: []string{`"agent"`}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
	})
	sim.Tell(t, "pve_list_guests", []sim.Story{
		{Name: "by name", On: sim.VM, Args: `{"name":"scratch","fields":["vmid","name","status"]}`, Outcome: tool.OK, Sent: 3, Says: []string{`{"vmid":$vmid,"name":"scratch","status":"stopped"}`}},
		{Name: "after an own change", On: sim.VM, First: `pve_guest_power {"vmid":$vmid,"action":"start"}`, Args: `{"name":"scratch","fields":["vmid","status"]}`, Outcome: tool.OK, Says: []string{`{"vmid":$vmid,"status":"running"}`}},
	})
}
