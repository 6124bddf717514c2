package maintenance_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// hands is a role with all that a drain and a reboot need. It does not show the list of permissions.
func hands(m *pvesim.Model) {
	m.Roles = map[string][]string{"Operator": {"Sys.Audit", "Sys.PowerMgmt", "VM.Audit", "VM.Migrate", "VM.PowerMgmt", "Datastore.Audit"}}
	for _, path := range []string{"/nodes", "/vms", "/storage"} {
		sim.Grant(path, "Operator")(m)
	}
	m.Roles["Cluster"] = []string{"Sys.Audit"}
	for _, who := range []string{"none@pve", "none@pve!mcp"} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: who, Role: "Cluster", NoPropagate: true})
	}
}

// withoutNIC takes the network interface off a guest.
func withoutNIC(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) { delete(g.Config, "net0") })
}

// PVE leaves a guest under NoAccess out of every list, and out of the permissions. A node on which
// one runs is neither called empty nor taken down as if it were.
func TestNoAccessHidesAGuest(t *testing.T) {
	admin, noAccess := sim.Grant("/", "Administrator"), sim.Grant("/vms/106", "NoAccess")
	inPool := func(m *pvesim.Model) {
		m.Pools = []pvesim.Pool{{ID: "secret", VMIDs: []int{106}}}
		sim.Grant("/pool/secret", "NoAccess")(m)
	}
	for _, tt := range []struct {
		name              string
		model             []func(*pvesim.Model)
		plan, left, power string // what the plan of a drain, its end and a reboot say
	}{
		{"with an interface", []func(*pvesim.Model){admin, noAccess}, "It runs on pve2, and this token does not see it", "106, which this token does not see", "VM.Audit on /vms/106"},
		{"without one", []func(*pvesim.Model){admin, noAccess, withoutNIC(106)}, "VM.Audit on /vms/106", "it does not see all (VM.Audit on /vms/106)", "VM.Audit on /vms/106"},
		{"in a pool", []func(*pvesim.Model){admin, inPool, withoutNIC(106)}, "VM.Audit on /pool/secret", "it does not see all", "VM.Audit on /pool/secret"},
		{"the list of permissions cannot be read", []func(*pvesim.Model){hands, noAccess}, "It runs on pve2, and this token does not see it", "106, which this token does not see", "106, which this token does not see"},
		{"nor an interface", []func(*pvesim.Model){hands, noAccess, withoutNIC(106)}, "a guest without a network interface would go unnoticed", "a guest without a network interface would go unnoticed", "a guest without a network interface would go unnoticed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: sim.Cluster(append([]func(*pvesim.Model){only(101, 106)}, tt.model...)...), Token: "none@pve!mcp"})
				if a := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","plan":true}`); !strings.Contains(a.Text, tt.plan) {
					t.Errorf("the plan does not say %q: %s", tt.plan, a.Text)
				}
				if a := w.Call("pve_node_power", `{"node":"pve2","action":"reboot","guests":"101"}`); !strings.Contains(a.Text, tt.power) || len(ordered(w)) > 0 {
					t.Errorf("a reboot does not say %q: %s", tt.power, a.Text)
				}
				if a := drained(w, `{"node":"pve2","action":"drain","immovable":"leave"}`); !strings.Contains(a.Text, tt.left) {
					t.Errorf("the end does not say %q: %s", tt.left, a.Text)
				}
			})
		})
	}
}

// Nothing begins if a guest runs on the node that the token does not see, unless that is accepted.
func TestDrainIsRefusedForAHiddenGuest(t *testing.T) {
	w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 106), hands, sim.Grant("/vms/106", "NoAccess")), Token: "none@pve!mcp"})
	a := w.Call("pve_drain_node", `{"node":"pve2","action":"drain"}`)
	if a.Outcome != tool.Failed || len(sim.Writes(w.Sent())) > 0 || !strings.Contains(a.Text, "1 of 2 guests cannot move") {
		t.Errorf("%v: %s", a.Outcome, a.Text)
	}
}

// A hidden guest that goes down because everything may is named.
func TestHiddenGuestGoesDownByName(t *testing.T) {
	w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 106), hands, sim.Grant("/vms/106", "NoAccess")), Token: "none@pve!mcp"})
	a := w.Call("pve_node_power", `{"node":"pve2","action":"reboot","guests":"all"}`)
	if a.Outcome != tool.NeedsConfirmation || !strings.Contains(a.Text, "goes down with pve2: 106, which this token does not see") {
		t.Errorf("%v: %s", a.Outcome, a.Text)
	}
}

// A protected guest that the token does not see is protected all the same.
func TestProtectedGuestIsHidden(t *testing.T) {
	rules, err := policy.ParseRules("106")
	if err != nil {
		t.Fatal(err)
	}
	w := sim.New(t, sim.Options{Model: sim.Cluster(only(101, 106), hands, sim.Grant("/vms/106", "NoAccess")), Token: "none@pve!mcp", Policy: policy.Policy{Protect: rules}})
	a := w.Call("pve_node_power", `{"node":"pve2","action":"reboot","guests":"all","confirm":true}`)
	if a.Outcome != tool.Failed || slices.Contains(ordered(w), "pve2") || !strings.Contains(a.Text, "which guests depend on node pve2 is unknown: guest 106 runs on pve2") {
		t.Errorf("%v: %s", a.Outcome, a.Text)
	}
}
