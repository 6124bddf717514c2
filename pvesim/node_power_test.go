package pvesim_test

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// tasksOf are the tasks of a node since it was asked for, oldest first: type, id, user.
func (w *world) tasksOf(node string, since time.Time) []string {
	w.Helper()
	var out []string
	list := w.data("/nodes/" + node + "/tasks?source=all&limit=500").([]any)
	slices.SortFunc(list, func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["pid"].(float64), b.(map[string]any)["pid"].(float64))
	})
	for _, t := range list {
		t := t.(map[string]any)
		if int64(t["starttime"].(float64)) >= since.Unix() {
			out = append(out, strings.Trim(t["type"].(string)+" "+t["id"].(string), " ")+" "+t["user"].(string))
		}
	}
	return out
}

// booting is a cluster in which some guests of pve1 start with it, in an order.
func booting() pvesim.Model {
	m := pvesim.Cluster()
	for i, g := range m.Guests {
		switch g.VMID {
		case 100:
			m.Guests[i].Config["onboot"], m.Guests[i].Config["startup"] = "1", "order=2"
		case 200:
			m.Guests[i].Config["onboot"], m.Guests[i].Config["startup"] = "1", "order=1,up=5"
		case 203:
			m.Guests[i].Config["onboot"] = "1"
		}
	}
	return m
}

func TestNodeReboots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, booting())
	began := w.clock.Now()
	w.story(`
		as ops@pve!mcp
		POST /nodes/pve1/status?command=reboot   => 403 Permission check failed (/nodes/pve1, Sys.PowerMgmt)
		as root@pam!full
		POST /nodes/pve1/status?command=nap      => 400 Parameter verification failed. command: value 'nap' does not have a value in the enumeration 'reboot, shutdown'
		POST /nodes/pve1/status?command=reboot   => null
		GET /nodes/pve1/status#uptime            => 5.4612e+06
		wait 5s
		GET /cluster/resources#node/pve1#status  => online
		wait 55s
	`)
	w.node = "pve2"
	w.story(`
		GET /nodes/pve1/status                   => 595 No route to host
		GET /cluster/resources#node/pve1#status  => offline
		GET /cluster/status#pve1#online          => 0
		GET /cluster/status#demo#quorate         => 1
		wait 3m
		GET /cluster/resources#node/pve1#status  => online
		GET /nodes/pve1/qemu/100/status/current#status => running
		GET /nodes/pve1/lxc/200/status/current#status  => running
		GET /nodes/pve1/qemu/104/status/current#status => stopped
		GET /nodes/pve1/qemu/108/status/current#status => stopped
	`)
	if up := w.get("/nodes/pve1/status")["uptime"].(float64); up > 240 {
		t.Errorf("it has been up for %v s", up)
	}
	want := []string{
		"stopall root@pam", "vzshutdown 203 root@pam", "qmshutdown 108 root@pam", "qmshutdown 104 root@pam", "qmshutdown 100 root@pam", "vzshutdown 200 root@pam",
		"startall root@pam", "vzstart 200 root@pam", "qmstart 100 root@pam", "vzstart 203 root@pam",
	}
	if got := w.tasksOf("pve1", began); !slices.Equal(got, want) {
		t.Errorf("the tasks of the node are\n%q, not\n%q", got, want)
	}
}

// The node that a client talks to does not answer it meanwhile.
func TestNodeThatAnswersReboots(t *testing.T) {
	t.Parallel()
	m := booting()
	m.Nodes[0].BootTakes = 10 * time.Minute
	w := newWorld(t, m)
	w.story(`POST /nodes/pve1/status?command=reboot => null`)
	w.clock.Advance(2 * time.Minute)
	if s := w.at("pve1", "/version"); s.Err == nil {
		t.Errorf("a node that is off answers %d", s.Status)
	}
	w.clock.Advance(8 * time.Minute)
	if s := w.at("pve1", "/version"); s.Err == nil {
		t.Errorf("a node that boots answers %d", s.Status)
	}
	w.clock.Advance(2 * time.Minute)
	if s := w.at("pve1", "/version"); s.Status != 200 {
		t.Errorf("a node that is back: %d, %v", s.Status, s.Err)
	}
}

func TestNodeShutsDownAndIsWoken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, booting())
	w.story(`POST /nodes/pve1/status?command=shutdown => null`)
	w.node = "pve2"
	w.story(`
		wait 30m
		GET /cluster/resources#node/pve1#status   => offline
		GET /cluster/resources#qemu/100#status    => unknown
		POST /nodes/pve2/wakeonlan                => 500 'pve2' is local node, cannot wake my self!
		POST /nodes/pve1/wakeonlan                => 500 No wake on LAN MAC address defined for 'pve1'!
		PUT /nodes/pve2/config?wakeonlan=BC:24:11:00:00:02 => null
		PUT /nodes/pve1/config?wakeonlan=BC:24:11:00:00:01 => 595 No route to host
	`)
	if err := w.sim.SetPower("pve1", true); err != nil {
		t.Fatal(err)
	}
	w.story(`
		wait 150s
		GET /nodes/pve1/qemu/100/status/current#status => running
		GET /nodes/pve1/qemu/104/status/current#status => stopped
		PUT /nodes/pve1/config?wakeonlan=BC:24:11:00:00:01 => null
		POST /nodes/pve1/status?command=shutdown  => null
		wait 5m
		GET /cluster/resources#node/pve1#status   => offline
		POST /nodes/pve1/wakeonlan                => BC:24:11:00:00:01
		wait 3m
		GET /cluster/resources#node/pve1#status   => online
	`)
	if err := w.sim.SetPower("pve9", true); err == nil || err.Error() != `there is no node "pve9"` {
		t.Error(err)
	}
}

// A node may agree to reboot and not do it, or not come back.
func TestNodesThatDoNotObey(t *testing.T) {
	t.Parallel()
	m := booting()
	m.Nodes[1].IgnoresPower, m.Nodes[2].StaysDown = true, true
	newWorld(t, m).story(`
		POST /nodes/pve2/status?command=reboot    => null
		POST /nodes/pve3/status?command=reboot    => null
		wait 30m
		GET /nodes/pve2/status#uptime             => 3.735e+06
		GET /nodes/pve2/qemu/101/status/current#status => running
		GET /cluster/resources#node/pve3#status   => offline
	`)
}

// What a node did ends with its power: a task without a last line, a guest with its lock.
func TestPowerFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, booting())
	backup := w.start("/nodes/pve1/vzdump", url.Values{"vmid": {"104"}, "storage": {"nfs"}, "mode": {"snapshot"}})
	migration := w.start("/nodes/pve2/qemu/102/migrate", url.Values{"target": {"pve1"}, "online": {"1"}, "with-local-disks": {"1"}})
	w.clock.Advance(5 * time.Second)
	if err := w.sim.SetPower("pve1", false); err != nil {
		t.Fatal(err)
	}
	w.node = "pve2"
	w.story(`
		GET /nodes/pve2/qemu/102/status/current#status => running
		GET /nodes/pve2/qemu/102/config#lock           => null
		wait 1m
		GET /nodes/pve1/status                         => 595 No route to host
	`)
	if got := w.exit(migration); got != "migration aborted" {
		t.Errorf("a migration to a node that died ended %q", got)
	}
	if err := w.sim.SetPower("pve1", true); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(2*time.Minute + 3*time.Second)
	w.story(`GET /nodes/pve1/qemu/104/config#lock => backup`)
	if got := w.exit(backup); got != "unexpected status" {
		t.Errorf("a backup on a node that died ended %q", got)
	}
	if log := w.log(backup); strings.HasPrefix(log[len(log)-1], "TASK") {
		t.Errorf("its log says how it ended: %q", log)
	}
	w.story(`
		wait 1m
		GET /nodes/pve1/qemu/104/config#lock           => null
		GET /nodes/pve1/qemu/104/status/current#status => stopped
		GET /nodes/pve1/qemu/100/status/current#status => running
	`)
}

// A node that boots while there is no quorum starts its guests when there is.
func TestStartWaitsForQuorum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, booting())
	for _, node := range []string{"pve2", "pve3"} {
		if err := w.sim.SetOnline(node, false); err != nil {
			t.Fatal(err)
		}
	}
	w.story(`
		GET /cluster/status#demo#quorate               => 0
		POST /nodes/pve1/status?command=reboot         => null
		wait 5m
		GET /nodes/pve1/qemu/100/status/current#status => stopped
	`)
	if err := w.sim.SetOnline("pve2", true); err != nil {
		t.Fatal(err)
	}
	w.story(`
		wait 30s
		GET /nodes/pve1/qemu/100/status/current#status => running
	`)
	for _, t := range w.data("/nodes/pve1/tasks?typefilter=startall").([]any) {
		log := w.log(t.(map[string]any)["upid"].(string))
		if len(log) < 2 || log[0] != "waiting for quorum ..." || log[1] != "got quorum" {
			w.Errorf("%q", log)
		}
	}
}
