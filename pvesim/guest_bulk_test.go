package pvesim_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// All guests of a node are started, stopped, suspended and moved by a task that starts
// one for each.
func TestBulkActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		POST /nodes/pve1/stopall?vms=100,200&timeout=90                  => OK
		wait 30s
		GET /nodes/pve1/qemu/100/status/current#status                   => stopped
		GET /nodes/pve1/lxc/200/status/current#status                    => stopped
		POST /nodes/pve1/startall?vms=100,200                            => OK
		GET /nodes/pve1/qemu/100/status/current#status                   => stopped
		POST /nodes/pve1/startall?vms=100,200&force=1                    => OK
		wait 30s
		GET /nodes/pve1/qemu/100/status/current#status                   => running
		GET /nodes/pve1/lxc/200/status/current#status                    => running
		POST /nodes/pve1/migrateall?target=pve1                          => 400 Parameter verification failed. target: target is local node.
		POST /nodes/pve1/migrateall?target=nowhere                       => 500 no such cluster node 'nowhere'
		POST /nodes/pve1/migrateall?target=pve2                          => 500 either 'max-workers' parameter or max_workers in datacenter.cfg must be set!
		POST /nodes/pve1/suspendall?vms=100                              => OK
		GET /nodes/pve1/qemu/100/status/current#lock                     => suspended
		as audit@pve!mcp
		POST /nodes/pve1/stopall                                         => 403 Permission check failed (/, VM.PowerMgmt)
		POST /nodes/pve1/stopall?vms=100                                 => 403 Permission check failed (/vms/100, VM.PowerMgmt)
		as root@pam!full
	`)
	exit, log := w.run("/nodes/pve1/stopall", nil)
	if exit != "OK" || !slices.Contains(log, "Stopping CT 200 (timeout = 180 seconds)") {
		t.Errorf("%s %q", exit, log)
	}
}

// A node starts its guests in their order, those of one place at the same time, and stops them
// the other way round. A line tells of each.
func TestNodeActsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, booting())
	for _, tt := range []struct {
		path string
		form url.Values
		exit string
		log  []string
		most time.Duration
	}{
		{"/nodes/pve1/stopall", nil, "OK", []string{
			"Stopping CT 203 (timeout = 180 seconds)", "Stopping VM 108 (timeout = 180 seconds)", "Stopping VM 104 (timeout = 180 seconds)",
			"Stopping VM 100 (timeout = 180 seconds)", "Stopping CT 200 (timeout = 180 seconds)", "TASK OK",
		}, 15 * time.Second},
		{"/nodes/pve1/startall", nil, "OK", []string{
			"Starting CT 200", "Waiting for 5 seconds (startup delay)", "Starting VM 100", "Starting CT 203", "TASK OK",
		}, 20 * time.Second},
		{"/nodes/pve3/startall", url.Values{"force": {"1"}, "vms": {"105,204"}}, "OK", []string{
			"removed left over backup lock from '107'!", "Starting VM 105", "Starting CT 204", "Starting VM 105 failed: start failed: QEMU exited with code 1", "TASK OK",
		}, 20 * time.Second},
		{"/nodes/pve1/suspendall", url.Values{"vms": {"100,104,200"}}, "WARNINGS: 1", []string{
			"WARN: skipping 200, only VMs can be suspended", "VM 104 not running, skipping suspension", "Suspending VM 100", "TASK WARNINGS: 1",
		}, 20 * time.Second},
		{"/nodes/pve1/migrateall", url.Values{"target": {"pve2"}, "vms": {"108,203,900"}, "max-workers": {"2"}}, "OK", []string{
			"Migrating CT 203", "Check VM 108: precondition check passed", "Migrating VM 108", "Check VM 900: precondition check passed", "Migrating VM 900",
			"All jobs finished, used 3 workers in total.", "TASK OK",
		}, 10 * time.Minute},
		{"/nodes/pve2/migrateall", url.Values{"target": {"pve1"}, "vms": {"102"}, "max-workers": {"2"}}, "no migrations worker started...", []string{
			"Check VM 102: skip VM 102 - precondition check failed:", "  Has local disks: local-zfs:vm-102-disk-0",
			"TASK ERROR: no migrations worker started...",
		}, 10 * time.Second},
	} {
		began := w.clock.Now()
		exit, log := w.run(tt.path, tt.form)
		slices.Sort(log)
		if slices.Sort(tt.log); exit != tt.exit || !slices.Equal(log, tt.log) {
			t.Errorf("%s: %s\n%q, want\n%q", tt.path, exit, log, tt.log)
		}
		if took := w.clock.Now().Sub(began); took > tt.most {
			t.Errorf("%s took %v", tt.path, took)
		}
	}
}

// A bulk action is one task of the node that was asked, for guests of all nodes. The words are
// those that a node of PVE 9.2 was recorded with.
func TestBulkActionsOfTheCluster(t *testing.T) {
	t.Parallel()
	m := pvesim.Cluster()
	m.PVE = "9.2.3"
	w := newWorld(t, m)
	for _, tt := range []struct {
		action string
		form   url.Values
		exit   string
		log    []string
	}{
		{"shutdown", url.Values{"vms": {"101", "200"}, "timeout": {"90"}}, "OK", []string{
			"Shutting down guests: 101, 200", "Shutting down VM 101 (Timeout = 90 seconds)", "Shutting down CT 200 (Timeout = 90 seconds)", "TASK OK",
		}},
		{"start", url.Values{"vms": {"101", "100", "108"}}, "WARNINGS: 1", []string{
			"Starting guests: 101, 100, 108", "WARN: Skipping VM 100, already running.", "Starting VM 101", "Starting VM 108", "TASK WARNINGS: 1",
		}},
		{"start", url.Values{"vms": {"105", "203"}}, "Some guests failed to start: 203, 105", []string{
			"Starting guests: 105, 203", "Starting VM 105", "Starting CT 203", "WARN: 500 CT 203 already running",
			"WARN: Starting VM 105 failed: start failed: QEMU exited with code 1", "TASK ERROR: Some guests failed to start: 203, 105",
		}},
		{"suspend", url.Values{"vms": {"101", "200"}}, "WARNINGS: 1", []string{
			"Suspending guests: 101, 200", "Suspending VM 101", "WARN: skipping 200, only VMs can be suspended", "TASK WARNINGS: 1",
		}},
		{"migrate", url.Values{"vms": {"202"}, "target": {"pve9"}, "online": {"1"}}, "Some guests failed to migrate 202", []string{
			"Migrating guests to pve9: 202", "Migrating CT 202", "WARN: 500 no such cluster node 'pve9'", "TASK ERROR: Some guests failed to migrate 202",
		}},
		{"migrate", url.Values{"vms": {"202", "200"}, "target": {"pve1"}, "online": {"1"}}, "WARNINGS: 1", []string{
			"Migrating guests to pve1: 202, 200", "WARN: CT 200 already on pve1, skipping.", "Migrating CT 202", "TASK WARNINGS: 1",
		}},
	} {
		exit, log := w.run("/cluster/bulk-action/guest/"+tt.action, tt.form)
		if exit != tt.exit || !slices.Equal(log, tt.log) {
			t.Errorf("%s %v: %s\n%q, want\n%q", tt.action, tt.form, exit, log, tt.log)
		}
	}
	w.story(`
		GET /cluster/bulk-action                                             => [map[name:guest]]
		GET /cluster/bulk-action/guest                                       => [map[name:start] map[name:shutdown] map[name:migrate] map[name:suspend]]
		POST /cluster/bulk-action/guest/start?vms=100,99999                  => 400 Parameter verification failed. vms[0]: type check ('integer') failed - got '100,99999'
		as audit@pve!mcp
		POST /cluster/bulk-action/guest/start                                => 403 Permission check failed (/, VM.PowerMgmt)
		POST /cluster/bulk-action/guest/migrate?vms=100&target=pve2          => 403 Permission check failed (/vms/100, VM.Migrate)
	`)
	newWorld(t, pvesim.Cluster()).story(`GET /cluster/bulk-action => 501 Method 'GET /cluster/bulk-action' not implemented`)
}

// Services stop and start again, also after the cluster was saved.
func TestServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		POST /nodes/pve1/services/cron/stop                              => OK
		GET /nodes/pve1/services/cron/state#state                        => dead
		GET /nodes/pve2/services/cron/state#state                        => running
		POST /nodes/pve1/services/pveproxy/stop                          => invalid service cmd 'pveproxy stop': ERROR
		POST /nodes/pve1/services/pveproxy/restart                       => OK
		POST /nodes/pve1/services/syslog/start                           => command 'systemctl start syslog' failed: exit code 5
	`)
	saved, err := w.sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	newWorld(t, saved).story(`
		GET /nodes/pve1/services/cron/state#state                        => dead
		POST /nodes/pve1/services/cron/start                             => OK
		GET /nodes/pve1/services/cron/state#state                        => running
		as audit@pve!mcp
		POST /nodes/pve1/services/cron/restart                           => 403 Permission check failed (/nodes/pve1, Sys.Modify)
	`)
}

// The monitor, the agent's old endpoint, terminals, disks and the journal answer as
// far as there is something behind them.
func TestOddEndpoints(t *testing.T) {
	t.Parallel()
	model := pvesim.Cluster()
	model.PVE = "8.4.1"
	for i := range model.Nodes {
		model.Nodes[i].PVE = ""
	}
	w := newWorld(t, model)
	w.story(`
		POST /nodes/pve1/qemu/100/monitor?command=stop
		GET /nodes/pve1/qemu/100/status/current#qmpstatus                => paused
		POST /nodes/pve1/qemu/100/monitor?command=cont
		POST /nodes/pve1/qemu/100/agent?command=ping                     => map[result:map[]]
		POST /nodes/pve1/qemu/100/agent?command=get-host-name            => map[result:map[host-name:web-1]]
		GET /nodes/pve1/disks/zfs#rpool#health                      => ONLINE
		GET /nodes/pve1/disks/lvm#leaf                                   => 0
		GET /nodes/pve1/disks/smart?disk=/dev/nvme0n1#health             => PASSED
		GET /nodes/pve1/disks/smart?disk=/dev/sdz                        => 500 not a valid block device
		POST /nodes/pve1/qemu/100/termproxy#user                         => root@pam!full
		POST /nodes/pve1/termproxy                                       => 500 value 'root@pam!full' does not look like a valid user name
	`)
	for command, want := range map[string]string{"info status": "VM status: running\r\n", "banana": "unknown command: 'banana'\r\n"} {
		if got := w.do("POST", "/nodes/pve1/qemu/100/monitor", url.Values{"command": {command}}).Body.Data; got != want {
			t.Errorf("%s: %q, not %q", command, got, want)
		}
	}
	w.run("/nodes/pve1/qemu/100/status/reset", nil)
	lines, _ := w.do("GET", "/nodes/pve1/journal", map[string][]string{"lastentries": {"2"}}).Body.Data.([]any)
	if len(lines) != 4 { // with the cursors
		t.Errorf("the journal has %q", lines)
	}
}
