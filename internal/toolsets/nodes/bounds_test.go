package nodes_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Of many nodes the list has those with all their numbers that are away or have least left, and the
// names of the others.
func TestListOfManyNodes(t *testing.T) {
	m := pvesim.Sized(1, 30, 30, 30)
	away := m.Nodes[27].Name
	m.Nodes[27].Offline = true
	w := sim.New(t, sim.Options{Model: &m, Token: "root@pam!full"})
	a := w.Call("pve_list_nodes", `{}`)
	rows, _ := a.Fields["nodes"].([]any)
	if len(rows) != 12 || rows[0].(map[string]any)["node"] != away || a.Fields["left_out"] != float64(18) || len(a.Text) > 5000 {
		t.Errorf("%d bytes: %s", len(a.Text), a.Text)
	}
}

// The health of disks is asked for by a word of its own.
func TestStatusShowsSMART(t *testing.T) {
	w := sim.New(t, sim.Options{Token: "root@pam!full"})
	if a := w.Call("pve_node_status", `{"node":"pve1","include":["smart"]}`); !strings.Contains(a.Text, `"smart":["/dev/`) || !strings.Contains(a.Text, "PASSED") {
		t.Errorf("%s", a.Text)
	}
}

// A node that runs an older kernel than is installed needs a reboot.
func TestStatusShowsRebootNeeded(t *testing.T) {
	old := sim.Cluster(func(m *pvesim.Model) { m.Nodes[0].RunningKernel = "5.15.1-1-pve" })
	w := sim.New(t, sim.Options{Token: "root@pam!full", Model: old})
	if a := w.Call("pve_node_status", `{"include":["updates"]}`); strings.Count(a.Text, `"reboot_needed":["the kernel `) != 1 || !strings.Contains(a.Text, "5.15.1-1 runs") {
		t.Errorf("%s", a.Text)
	}
}

// A call that asked to wait for longer than it may says so.
func TestWaitIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		a := w.Call("pve_guest_power", `{"vmid":106,"action":"shutdown","timeout":170,"wait":600}`)
		if !strings.Contains(a.Text, "A call waits for 45s at most, and this one asked for 600 s.") {
			t.Errorf("%s", a.Text)
		}
	})
}
