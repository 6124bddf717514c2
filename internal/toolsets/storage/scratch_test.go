package storage_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// What is on the storages of guests that can be anywhere.
func TestContentOfScratchGuests(t *testing.T) {
	sim.Tell(t, "pve_storage_content", []sim.Story{
		{Name: "a disk", On: sim.VM, Args: `{"storage":"$storage","node":"$node","vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"volid":"$storage:`, `"content":"images"`, `"size_human":"1 GiB"`, `"vmid":$vmid,`, `"node":"$node"`, `"total":1`}},
		{Name: "a disk of a CT", On: sim.CT, Args: `{"storage":"$storage","node":"$node","vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"volid":"$storage:`, `"content":"rootdir"`, `"total":1`}},
		{Name: "none", On: sim.NoGuest, Args: `{"storage":"$storage","node":"$node","vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"content":[]`, `"total":0`}},
		{Name: "no such storage", On: sim.NoGuest, Args: `{"storage":"nowhere","node":"$node"}`, Outcome: tool.Failed, Says: []string{"nowhere"}},
	})
	sim.Tell(t, "pve_list_storage", []sim.Story{
		{Name: "of a node", On: sim.NoGuest, Args: `{"node":"$node"}`, Outcome: tool.OK, Says: []string{`{"storage":"$storage","type":"`, `"status":"available"`}},
	})
}
