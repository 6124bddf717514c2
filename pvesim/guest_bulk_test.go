package pvesim_test

import (
	"net/url"
	"slices"
	"testing"

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
