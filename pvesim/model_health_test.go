package pvesim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// knob is a fault of a model, and what shows it: an answer, without the fault and with it.
type knob struct {
	name      string
	plant     func(m *pvesim.Model)
	ask       string
	well, ill string
}

// Every fault shows where PVE would show it, and without it the answer is another one. What
// was planted is saved.
func TestKnobs(t *testing.T) {
	for _, knobs := range [][]knob{nodeKnobs} {
		for _, k := range knobs {
			t.Run(k.name, func(t *testing.T) {
				well, m := newWorld(t, pvesim.Cluster()), pvesim.Cluster()
				k.plant(&m)
				ill := newWorld(t, m)
				for w, want := range map[*world]string{well: k.well, ill: k.ill, ill.loaded(0): k.ill} {
					if got := w.answer("GET", k.ask); got != want && !(strings.HasSuffix(want, "…") && strings.HasPrefix(got, strings.TrimSuffix(want, "…"))) {
						t.Errorf("%s\n     => %s\nwant => %s", k.ask, got, want)
					}
				}
			})
		}
	}
}

// The first node of the cluster, to which the faults of nodes happen.
func node(change func(*pvesim.Node)) func(*pvesim.Model) {
	return func(m *pvesim.Model) { change(&m.Nodes[0]) }
}

var nodeKnobs = []knob{
	{"ClockAhead", node(func(n *pvesim.Node) { n.ClockAhead = 90 * time.Second }), "/nodes/pve1/time#time", "1.7953488e+09", "1.79534889e+09"},
	{"RunningKernel", node(func(n *pvesim.Node) { n.RunningKernel = "6.8.12-4-pve" }), "/nodes/pve1/status#current-kernel#release", "6.14.11-2-pve", "6.8.12-4-pve"},
	{"RunningKernel in versions", node(func(n *pvesim.Node) { n.RunningKernel = "6.8.12-4-pve" }), "/nodes/pve1/apt/versions#proxmox-ve#RunningKernel", "6.14.11-2-pve", "6.8.12-4-pve"},
	{"RunningKernel, installed", node(func(n *pvesim.Node) { n.RunningKernel = "6.8.12-4-pve" }), "/nodes/pve1/apt/versions#proxmox-kernel-6.8.12-4-pve-signed#Version", "null", "6.8.12-4"},
	{"PVE", node(func(n *pvesim.Node) { n.PVE = "8.4.14" }), "/nodes/pve1/version#version", "9.0.11", "8.4.14"},
	{"FailedServices", node(func(n *pvesim.Node) { n.FailedServices = []string{"pvestatd"} }), "/nodes/pve1/services#pvestatd#active-state", "active", "failed"},
	{"Stopped", node(func(n *pvesim.Node) { n.Stopped = []string{"pvestatd"} }), "/nodes/pve1/services#pvestatd#state", "running", "dead"},
	{"Updates", node(func(n *pvesim.Node) { n.Updates = map[string]string{"pve-manager": "9.0.12"} }), "/nodes/pve1/apt/update#pve-manager#Version", "null", "9.0.12"},
	{"Offline", func(m *pvesim.Model) { m.Nodes[2].Offline = true }, "/cluster/resources?type=node#node/pve3#status", "online", "offline"},
	{"StatusHangs", func(m *pvesim.Model) { m.Nodes[2].StatusHangs = true }, "/cluster/resources?type=node#node/pve3#status", "online", "unknown"},
	{"StatusHangs, guests", func(m *pvesim.Model) { m.Nodes[2].StatusHangs = true }, "/cluster/resources?type=vm#lxc/202#status", "running", "unknown"},
	{"StatusHangs, storages", func(m *pvesim.Model) { m.Nodes[2].StatusHangs = true }, "/cluster/resources?type=storage#storage/pve3/nfs#status", "available", "unknown"},
	{"Maintenance", node(func(n *pvesim.Node) { n.Maintenance = true }), "/cluster/ha/status/manager_status#lrm_status#pve1#mode", "active", "maintenance"},
	{"Maintenance, to the manager", node(func(n *pvesim.Node) { n.Maintenance = true }), "/cluster/ha/status/manager_status#manager_status#node_status#pve1", "online", "maintenance"},
	{"Offline, to HA", func(m *pvesim.Model) { m.Nodes[2].Offline = true }, "/cluster/ha/status/manager_status#manager_status#node_status#pve3", "online", "unknown"},
	{"Fenced", func(m *pvesim.Model) { m.Nodes[2].Offline, m.Nodes[2].Fenced = true, true }, "/cluster/ha/status/manager_status#manager_status#node_status#pve3", "online", "fence"},
	{"NoQuorum", func(m *pvesim.Model) { m.NoQuorum = true }, "/cluster/status#cluster#quorate", "1", "0"},
	{"NoQuorum, to HA", func(m *pvesim.Model) { m.NoQuorum = true }, "/cluster/ha/status/current#quorum#quorate", "1", "0"},
	{"CPU", node(func(n *pvesim.Node) { n.CPU = 1 }), "/nodes/pve1/status#cpu", "0.0…", "1"},
	{"IOWait", node(func(n *pvesim.Node) { n.IOWait = 0.4 }), "/nodes/pve1/status#wait", "0.00…", "0.4"},
	{"MemoryUsed", node(func(n *pvesim.Node) { n.MemoryUsed = n.Memory }), "/nodes/pve1/status#memory#free", "1.2…", "0"},
	{"SwapUsed", node(func(n *pvesim.Node) { n.Swap, n.SwapUsed = 8, 8 }), "/nodes/pve1/status#swap#used", "0", "8"},
	{"RootUsed", node(func(n *pvesim.Node) { n.RootUsed = n.Disk }), "/nodes/pve1/status#rootfs#avail", "7.5698798593e+10", "0"},
}
