package tasks_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// Tasks of guests that can be anywhere.
func TestTasksOfScratchGuests(t *testing.T) {
	sim.Tell(t, "pve_task_status", []sim.Story{
		{Name: "of a snapshot", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"upid":"${upid}"}`, Outcome: tool.OK,
			Says: []string{`"upid":"${upid}"`, `"type":"qmsnapshot"`, `"state":"ok"`, `"exit_status":"OK"`}},
		{Name: "of a stop", On: sim.RunningCT, First: `pve_guest_power {"vmid":$vmid,"action":"stop"}`, Args: `{"upid":"${upid}"}`, Outcome: tool.OK, Says: []string{`"type":"vzstop"`, `"state":"ok"`}},
	})
	sim.Tell(t, "pve_list_tasks", []sim.Story{
		{Name: "of a guest", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"upid":"${upid}","type":"qmsnapshot","id":"$vmid","node":"$node"`}},
		{Name: "none under way", On: sim.VM, Args: `{"vmid":$vmid,"running":true}`, Outcome: tool.OK, Says: []string{`"tasks":[]`}},
	})
}
