package pvesim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What PVE answers about a guest that a node does not have depends on where it notices: before
// it starts a task, or in it.
func TestPowerOfNoGuest(t *testing.T) {
	t.Parallel()
	newWorld(t, pvesim.Cluster()).story(`
		POST /nodes/pve1/qemu/99999/status/start           => Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
		POST /nodes/pve1/qemu/99999/status/stop            => unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/qemu/99999/status/shutdown        => unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/qemu/99999/status/reboot          => 500 unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/qemu/99999/status/reset           => 500 unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/qemu/99999/status/suspend         => 500 unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/qemu/99999/status/resume          => 500 unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/qemu/101/status/start             => Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist
		POST /nodes/pve1/lxc/99999/status/start            => Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		POST /nodes/pve1/lxc/99999/status/stop             => 500 CT 99999 not running
		POST /nodes/pve1/qemu/99999/clone?newid=700        => 500 unable to find configuration file for VM 99999 on node 'pve1'
		POST /nodes/pve1/lxc/99999/clone?newid=700         => 500 Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		as none@pve!mcp
		POST /nodes/pve1/qemu/99999/status/start           => 403 Permission check failed (/vms/99999, VM.PowerMgmt)
	`)
}

// A rollback brings back the settings of the snapshot, and keeps the notes.
func TestRollbackKeepsNotes(t *testing.T) {
	t.Parallel()
	newWorld(t, pvesim.Cluster()).story(`
		PUT /nodes/pve1/qemu/104/config?description=before&cores=2   => null
		POST /nodes/pve1/qemu/104/snapshot?snapname=one              => OK
		PUT /nodes/pve1/qemu/104/config?description=after&onboot=1   => null
		POST /nodes/pve1/qemu/104/snapshot/one/rollback              => OK
		GET /nodes/pve1/qemu/104/config#description                  => after
		GET /nodes/pve1/qemu/104/config#onboot                       => null
	`)
}

// A log that there is not is no list, and says so to those who may read it.
func TestTaskLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	upid := url.PathEscape(w.start("/nodes/pve1/qemu/104/snapshot", url.Values{"snapname": {"one"}}))
	const none = "/nodes/pve1/tasks/UPID%3Apve1%3A00000001%3A00000001%3A60000000%3Aqmstart%3A900%3Aroot%40pam%3A"
	w.story(`
		GET ` + none + `/status            => 400 Parameter verification failed. upid: no such task
		GET ` + none + `/log#t             => unable to open file - No such file or directory
		GET ` + none + `/log?download=1    => 500 Could not open file '/var/log/pve/tasks/0/UPID:pve1:00000001:00000001:60000000:qmstart:900:root@pam:' - No such file or directory
		DELETE ` + none + `                => 400 Parameter verification failed. upid: no such task
		GET /nodes/pve1/tasks/UPID:bad/log => 400 Parameter verification failed. upid: unable to parse worker upid
		GET /nodes/pve1/tasks/` + upid + `/log?download=1&limit=5  => 500 'download' cannot be used together with 'start' or 'limit' parameters
		as none@pve!mcp
		GET ` + none + `/log               => 403 Permission check failed (/nodes/pve1, Sys.Audit)
	`)
	w.exit(must(url.PathUnescape(upid)))
	req := pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/tasks/" + upid + "/log", Query: "download=1", Header: http.Header{"Authorization": {w.model.Token("root@pam!full").Header()}}}
	resp, err := w.sim.Do(t.Context(), req)
	if err != nil || resp.Header.Get("Content-Type") != "text/plain" || !strings.HasSuffix(string(resp.Body), "TASK OK\n") || !strings.Contains(resp.Header.Get("Content-Disposition"), "task-pve1-qmsnapshot-") {
		t.Errorf("%v %v %q", err, resp.Header, resp.Body)
	}
}

// Lists of tasks are filtered by how these ended, in either case. One that runs has an unknown
// end. What is wrong with a filter or a page is said in PVE's words.
func TestTaskLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.start("/nodes/pve1/qemu/104/snapshot", url.Values{"snapname": {"one"}, "vmstate": {"1"}})
	w.story(`
		GET /nodes/pve1/tasks?statusfilter=banana          => 400 Parameter verification failed. statusfilter: invalid format - invalid status 'banana'
		GET /nodes/pve1/tasks?statusfilter=ok,banana       => 400 Parameter verification failed. statusfilter: invalid format - invalid status 'banana'
		GET /nodes/pve1/tasks?limit=-1                     => 400 Parameter verification failed. limit: value must have a minimum value of 0
		GET /nodes/pve1/tasks?start=-1                     => 400 Parameter verification failed. start: value must have a minimum value of 0
		GET /nodes/pve1/tasks?limit=many                   => 400 Parameter verification failed. limit: type check ('integer') failed - got 'many'
		GET /nodes/pve1/tasks?since=today                  => 400 Parameter verification failed. since: type check ('integer') failed - got 'today'
		GET /nodes/pve1/tasks?source=both                  => 400 Parameter verification failed. source: value 'both' does not have a value in the enumeration 'archive, active, all'
	`)
	count := func(query string) (rows, total int) {
		t.Helper()
		r := w.do("GET", "/nodes/pve1/tasks", must(url.ParseQuery(query)))
		list, _ := r.Body.Data.([]any)
		return len(list), r.Body.Total
	}
	for _, tt := range []struct {
		query       string
		rows, total int
	}{
		{"limit=0", 0, 9},
		{"limit=2&start=8", 1, 9},
		{"limit=2&start=50", 0, 9},
		{"statusfilter=OK&limit=500", 8, 8},
		{"userfilter=FULL", 0, 0},
		{"userfilter=full&source=active", 1, 1},
		{"userfilter=root@pam", 9, 9},
		{"statusfilter=warning", 1, 1},
		{"statusfilter=error", 0, 0},
		{"errors=1", 1, 1},
		{"errors=1&source=active", 1, 1},
		{"statusfilter=unknown&source=all", 1, 1},
		{"statusfilter=error&source=all", 0, 0},
	} {
		if rows, total := count(tt.query); rows != tt.rows || total != tt.total {
			t.Errorf("%s: %d of %d, want %d of %d", tt.query, rows, total, tt.rows, tt.total)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
