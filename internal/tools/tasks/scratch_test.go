package tasks_test

import (
	"testing"

	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
)

// Tasks of guests that can be anywhere.
func TestTasksOfScratchGuests(t *testing.T) {
	simtest.Tell(t, "pve_task_status", []simtest.Story{
		{Name: "of a snapshot", On: simtest.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"upid":"${upid}"}`, Outcome: tool.OK,
			Says: []string{`"upid":"${upid}"`, `"type":"qmsnapshot"`, `"state":"ok"`, `"exit_status":"OK"`}},
		{Name: "of a stop", On: simtest.RunningCT, First: `pve_guest_power {"vmid":$vmid,"action":"stop"}`, Args: `{"upid":"${upid}"}`, Outcome: tool.OK, Says: []string{`"type":"vzstop"`, `"state":"ok"`}},
	})
	simtest.Tell(t, "pve_list_tasks", []simtest.Story{
		{Name: "of a guest", On: simtest.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}`, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"upid":"${upid}","type":"qmsnapshot","id":"$vmid","node":"$node"`}},
		{Name: "none under way", On: simtest.VM, Args: `{"vmid":$vmid,"running":true}`, Outcome: tool.OK, Says: []string{`"tasks":[]`}},
	})
}
