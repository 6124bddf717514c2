package storage_test

import (
	"testing"

	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
)

// What is on the storages of guests that can be anywhere.
func TestContentOfScratchGuests(t *testing.T) {
	simtest.Tell(t, "pve_storage_content", []simtest.Story{
		{Name: "a disk", On: simtest.VM, Args: `{"storage":"$storage","node":"$node","vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"volid":"$storage:`, `"content":"images"`, `"size_human":"1 GiB"`, `"vmid":$vmid,`, `"node":"$node"`, `"total":1`}},
		{Name: "a disk of a CT", On: simtest.CT, Args: `{"storage":"$storage","node":"$node","vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"volid":"$storage:`, `"content":"rootdir"`, `"total":1`}},
		{Name: "none", On: simtest.NoGuest, Args: `{"storage":"$storage","node":"$node","vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"content":[]`, `"total":0`}},
		{Name: "no such storage", On: simtest.NoGuest, Args: `{"storage":"nowhere","node":"$node"}`, Outcome: tool.Failed, Says: []string{"nowhere"}},
	})
	simtest.Tell(t, "pve_list_storage", []simtest.Story{
		{Name: "of a node", On: simtest.NoGuest, Args: `{"node":"$node"}`, Outcome: tool.OK, Says: []string{`{"storage":"$storage","type":"`, `"status":"available"`}},
	})
}
