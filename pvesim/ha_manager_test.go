package pvesim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// resources is a cluster with shared disks and three resources of HA: VMs 100 and 101, CT 200.
func resources(options map[string]string, rules ...pvesim.HASection) pvesim.Model {
	m := pvesim.Cluster()
	m.HARules = rules
	for i, g := range m.Guests {
		m.Guests[i].HA = ""
		if slices.Contains([]int{100, 101, 200}, g.VMID) {
			m.Guests[i].HA, m.Guests[i].HAOptions = "started", options
			for key, value := range g.Config {
				m.Guests[i].Config[key] = strings.Replace(value, "local-zfs:subvol-", "nfs:200/vm-", 1)
				m.Guests[i].Config[key] = strings.Replace(m.Guests[i].Config[key], "local-zfs:", "nfs:", 1)
			}
		}
	}
	return m
}

func rule(id, kind string, options ...string) pvesim.HASection {
	out := pvesim.HASection{ID: id, Type: kind, Options: map[string]string{}}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		out.Options[key] = value
	}
	return out
}

func (w *world) setPower(node string, on bool) {
	w.Helper()
	if err := w.sim.SetPower(node, on); err != nil {
		w.Fatal(err)
	}
}

func (w *world) maintain(node string, on bool) {
	w.Helper()
	if err := w.sim.SetMaintenance(node, on); err != nil {
		w.Fatal(err)
	}
}

// nodeOf is the node of a guest, and whether it runs.
func (w *world) nodeOf(id int) string {
	w.Helper()
	row := w.resource(id)
	return row["node"].(string) + " " + row["status"].(string)
}

// The resources of a node that dies start on others when it is fenced, and return to
// the node that they prefer when it is back. Other guests wait for it.
func TestHAFailsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, resources(nil, rule("home", "node-affinity", "resources=vm:100,ct:200", "nodes=pve1:2,pve3:1")))
	w.setPower("pve1", false)
	began := w.clock.Now()
	w.node = "pve2"
	w.story(`
		wait 20s
		GET /cluster/ha/status/current#service:vm:100#state      => started
		GET /cluster/ha/status/manager_status#manager_status#node_status#pve1 => unknown
		wait 50s
		GET /cluster/ha/status/current#service:vm:100#state      => fence
		GET /cluster/ha/status/manager_status#manager_status#node_status#pve1 => fence
		GET /cluster/resources#node/pve1#hastate                 => fence
		GET /cluster/ha/status/current#lrm:pve1#status           => pve1 (old timestamp - dead?, Sun Nov 22 12:00:00 2026)
		wait 70s
		GET /cluster/ha/status/current#service:vm:100#state      => started
		GET /nodes/pve3/qemu/100/status/current#status           => running
		GET /nodes/pve3/lxc/200/status/current#status            => running
		GET /cluster/resources#node/pve1#hastate                 => unknown
	`)
	if got := w.nodeOf(104); got != "pve1 running" && got != "pve1 unknown" {
		t.Errorf("a guest that HA does not know is at %s", got)
	}
	if got := w.tasksOf("pve3", began); !slices.Equal(got, []string{"vzstart 200 root@pam", "qmstart 100 root@pam"}) {
		t.Errorf("%q", got)
	}
	w.setPower("pve1", true)
	w.story(`
		wait 200s
		GET /nodes/pve1/qemu/100/status/current#status           => running
		GET /nodes/pve1/lxc/200/status/current#status            => running
	`)
	if got := w.tasksOf("pve3", began)[2:]; !slices.Equal(got, []string{"vzmigrate 200 root@pam", "qmigrate 100 root@pam"}) {
		t.Errorf("%q", got)
	}
}

// failback 0, and nofailback of a group, keep a resource where it is.
func TestHADoesNotFailBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options map[string]string
		change  func(*pvesim.Model)
	}{
		{"resource", map[string]string{"failback": "0"}, func(m *pvesim.Model) {
			m.HARules = []pvesim.HASection{rule("home", "node-affinity", "resources=vm:100", "nodes=pve1:2,pve3:1")}
		}},
		{"group", map[string]string{"group": "home"}, func(m *pvesim.Model) {
			m.PVE = "8.4.1"
			m.HAGroups = []pvesim.HASection{rule("home", "group", "nodes=pve1:2,pve3:1", "nofailback=1")}
		}},
	} {
		m := resources(tt.options)
		tt.change(&m)
		w := newWorld(t, m)
		w.setPower("pve1", false)
		w.node = "pve2"
		w.story(`
			wait 3m
			GET /nodes/pve3/qemu/100/status/current#status => running
		`)
		w.setPower("pve1", true)
		w.story(`
			wait 10m
			GET /nodes/pve3/qemu/100/status/current#status => running
		`)
	}
}

// A resource that was moved from the node that it prefers is pulled back.
func TestHAPullsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, resources(nil, rule("home", "node-affinity", "resources=vm:100", "nodes=pve1:2,pve3:1")))
	w.story(`
		POST /nodes/pve1/qemu/100/migrate?target=pve3&online=1 => OK
		wait 18s
		GET /nodes/pve3/qemu/100/status/current#status         => running
		wait 20s
		GET /nodes/pve1/qemu/100/status/current#status         => running
		PUT /cluster/ha/resources/vm:100?failback=0            => null
		POST /nodes/pve1/qemu/100/migrate?target=pve3&online=1 => OK
		wait 10m
		GET /nodes/pve3/qemu/100/status/current#status         => running
		PUT /cluster/ha/resources/vm:100?failback=1            => null
		wait 30s
		GET /nodes/pve1/qemu/100/status/current#status         => running
	`)
}

// Maintenance moves resources away while it lasts, and back when it ends.
func TestHAMaintenance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, resources(nil))
	w.maintain("pve1", true)
	w.story(`
		wait 40s
		GET /cluster/ha/status/current#lrm:pve1#status          => pve1 (maintenance mode, Sun Nov 22 12:00:40 2026)
		GET /cluster/resources#node/pve1#hastate                => maintenance
		GET /cluster/ha/status/manager_status#manager_status#service_status#vm:100#maintenance_node => pve1
	`)
	for _, id := range []int{100, 200} {
		if got := w.nodeOf(id); strings.HasPrefix(got, "pve1") || !strings.HasSuffix(got, "running") {
			t.Errorf("guest %d is at %s", id, got)
		}
	}
	if got := w.nodeOf(104); got != "pve1 running" {
		t.Errorf("a guest that HA does not know is at %s", got)
	}
	w.maintain("pve1", false)
	w.story(`
		wait 40s
		GET /cluster/ha/status/current#lrm:pve1#status          => pve1 (active, Sun Nov 22 12:01:20 2026)
		GET /nodes/pve1/qemu/100/status/current#status          => running
		GET /nodes/pve1/lxc/200/status/current#status           => running
	`)
	if err := w.sim.SetMaintenance("pve9", true); err == nil || err.Error() != `there is no node "pve9"` {
		t.Error(err)
	}
}

// What a node does with its resources when it shuts down is the cluster's policy.
func TestHAShutdownPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		policy, command string
		during, after   string // where VM 100 is while the node is off, and when it is back
	}{
		{"", "reboot", "pve1 stopped freeze", "pve1 running started"},
		{"", "shutdown", "pve2 running started", "pve2 running started"},
		{"freeze", "shutdown", "pve1 stopped freeze", "pve1 running started"},
		{"failover", "reboot", "pve2 running started", "pve2 running started"},
		{"migrate", "reboot", "pve2 running started", "pve1 running started"},
	} {
		m := resources(nil)
		m.Nodes[0].BootTakes = 4 * time.Minute
		for i, g := range m.Guests {
			if g.VMID != 100 {
				m.Guests[i].HA = ""
			}
		}
		if tt.policy != "" {
			m.Files = map[string][]pvesim.Section{"datacenter.cfg": {{Options: map[string]string{"ha": "shutdown_policy=" + tt.policy}}}}
		}
		w := newWorld(t, m)
		w.story("POST /nodes/pve1/status?command=" + tt.command + " => null")
		w.node = "pve2"
		w.clock.Advance(3 * time.Minute)
		state := func() string { return w.nodeOf(100) + " " + w.resource(100)["hastate"].(string) }
		if got := state(); got != tt.during {
			t.Errorf("%s by %q: the VM is %s while the node is off, not %s", tt.command, tt.policy, got, tt.during)
		}
		if tt.command == "shutdown" {
			w.setPower("pve1", true)
		}
		w.clock.Advance(10 * time.Minute)
		if got := state(); got != tt.after {
			t.Errorf("%s by %q: the VM is %s when the node is back, not %s", tt.command, tt.policy, got, tt.after)
		}
	}
}

// Disks on a storage of the node that died are not there on another: the start is
// tried again, then elsewhere, and then given up.
func TestHAFailoverNeedsTheDisks(t *testing.T) {
	t.Parallel()
	m := pvesim.Cluster()
	m.HARules = nil
	w := newWorld(t, m)
	w.setPower("pve3", false)
	w.story(`
		wait 10m
		GET /cluster/ha/status/current#service:vm:103#state  => error
		GET /cluster/resources#node/pve3#hastate             => unknown
	`)
	m.Replications = []pvesim.Replication{{ID: "103-0", Target: "pve2", Synced: time.Minute}}
	m.HARules = []pvesim.HASection{rule("home", "node-affinity", "resources=vm:103", "nodes=pve3:2,pve2:1")}
	w = newWorld(t, m)
	w.setPower("pve3", false)
	w.story(`
		wait 10m
		GET /nodes/pve2/qemu/103/status/current#status       => running
	`)
}

// Rules keep resources together and apart, and what a migration needs says so.
func TestHAAffinity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, resources(map[string]string{"failback": "0"},
		rule("pair", "resource-affinity", "resources=vm:100,ct:200", "affinity=positive"),
		rule("rivals", "resource-affinity", "resources=vm:100,vm:101", "affinity=negative"),
	))
	w.story(`
		GET /nodes/pve1/qemu/100/migrate#dependent-ha-resources                        => [ct:200]
		GET /nodes/pve1/qemu/100/migrate#not_allowed_nodes#pve2#blocking-ha-resources  => [map[cause:resource-affinity sid:vm:101]]
		GET /nodes/pve1/qemu/100/migrate#allowed_nodes                                 => [pve3]
		POST /nodes/pve1/qemu/100/migrate?target=pve2&online=1                         => command 'ha-manager migrate vm:100 pve2' failed: exit code 255
		POST /cluster/ha/resources/vm:100/migrate?node=pve2#blocking-resources         => [map[cause:resource-affinity sid:vm:101]]
		wait 1m
		GET /nodes/pve1/qemu/100/status/current#status                                 => running
		POST /cluster/ha/resources/vm:100/migrate?node=pve3#comigrated-resources       => [ct:200]
		wait 1m
		GET /nodes/pve3/qemu/100/status/current#status                                 => running
		GET /nodes/pve3/lxc/200/status/current#status                                  => running
		GET /nodes/pve2/qemu/101/status/current#status                                 => running
	`)
	w.setPower("pve3", false)
	w.story(`
		wait 5m
		GET /nodes/pve1/qemu/100/status/current#status                                 => running
		GET /nodes/pve1/lxc/200/status/current#status                                  => running
	`)
}

// A node that loses the others while it runs resources resets itself: they start elsewhere,
// and never in two places.
func TestHANodeAloneResets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, resources(nil, rule("home", "node-affinity", "resources=vm:100", "nodes=pve1:2,pve3:1")))
	if err := w.sim.SetOnline("pve1", false); err != nil {
		t.Fatal(err)
	}
	w.node = "pve2"
	w.story(`
		wait 4m
		GET /nodes/pve3/qemu/100/status/current#status => running
	`)
	if err := w.sim.SetOnline("pve1", true); err != nil {
		t.Fatal(err)
	}
	w.story(`
		wait 1m
		GET /nodes/pve1/qemu/100/status/current#status => running
		GET /nodes/pve1/qemu/104/status/current#status => stopped
	`)
	if up := w.get("/nodes/pve1/status")["uptime"].(float64); up > 300 {
		t.Errorf("the node has been up for %v s", up)
	}
}

// A resource that stops by itself is started again.
func TestHARestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, resources(nil))
	w.story(`
		POST /nodes/pve1/qemu/100/monitor?command=quit
		wait 1s
		GET /nodes/pve1/qemu/100/status/current#status      => stopped
		wait 20s
		GET /nodes/pve1/qemu/100/status/current#status      => running
	`)
}

// A disarmed manager recovers and moves nothing, until it is armed again.
func TestHADisarmed(t *testing.T) {
	t.Parallel()
	m := resources(nil)
	m.PVE = "9.2.0"
	w := newWorld(t, m)
	w.story(`
		POST /cluster/ha/status/disarm-ha?resource-mode=freeze    => null
		GET /cluster/ha/status/current#fencing#armed-state        => armed
		wait 11s
		GET /cluster/ha/status/current#fencing#armed-state        => disarming
		wait 20s
		GET /cluster/ha/status/current#fencing#status             => disarmed, resource mode: freeze (CRM watchdog released)
		GET /cluster/ha/status/current#service:vm:100#state       => freeze
		POST /cluster/ha/resources/vm:100/migrate?node=pve2       => map[requested-node:pve2 sid:vm:100]
		wait 60s
	`)
	if at := w.nodeOf(100); at != "pve1 running" {
		t.Errorf("it is on %s", at)
	}
	w.story(`
		POST /cluster/ha/status/arm-ha                            => null
		wait 60s
		GET /cluster/ha/status/current#fencing#armed-state        => armed
	`)
	if at := w.nodeOf(100); at != "pve2 running" {
		t.Errorf("it is on %s", at)
	}
}
