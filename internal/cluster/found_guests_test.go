package cluster_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/pve"
)

// A view for each of a hundred guests does not copy the list of ten thousand, and what one of
// them finds or forgets is no other's.
func TestForksShareTheList(t *testing.T) {
	v := cluster.New(nil, cluster.Options{})
	var list []pve.Resource
	for id := pve.VMID(100); id < 10_100; id++ {
		r := pve.Resource{Type: "qemu", VMID: id}
		r.Node.Value, r.Node.Set = "pve1", true
		list = append(list, r)
	}
	v.KnowGuests(list)
	if n := testing.AllocsPerRun(10, func() { v.Fork(nil) }); n > 10 {
		t.Errorf("a fork makes %.0f allocations", n)
	}
	fork := v.Fork(nil)
	fork.ForgetGuest(100)
	list[1].Node.Value = "pve9" // the caller goes on with its list
	moved := list[2]
	moved.Node.Value = "pve2"
	fork.KnowGuests([]pve.Resource{moved})
	for _, tt := range []struct {
		of   *cluster.View
		id   pve.VMID
		node string
	}{{v, 100, "pve1"}, {fork, 100, ""}, {v, 101, "pve1"}, {fork, 101, "pve1"}, {v, 102, "pve1"}, {fork, 102, "pve2"}, {fork, 99, ""}} {
		if node := tt.of.NodeOf(tt.id); node != tt.node {
			t.Errorf("guest %v is on %q, want %q", tt.id, node, tt.node)
		}
	}
	fork.KnowGuests(list)
	if node := fork.NodeOf(100); node != "pve1" {
		t.Errorf("a guest that was forgotten and is listed is on %q", node)
	}
}
