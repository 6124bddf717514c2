package pvesim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pve-mcp/pvesim"
)

// world is a simulator on a clock of its own, and one of its tokens.
type world struct {
	*testing.T
	sim   *pvesim.Sim
	model pvesim.Model
	clock *pvesim.Virtual
	token string
}

func newWorld(t *testing.T, m pvesim.Model) *world {
	t.Helper()
	clock := pvesim.NewVirtual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	sim, err := pvesim.New(m, pvesim.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, sim: sim, model: m, clock: clock, token: "root@pam!full"}
}

func (w *world) as(token string) *world {
	other := *w
	other.token = token
	return &other
}

type reply struct {
	Status int
	Reason string
	Body   struct {
		Data    any
		Message string
		Errors  map[string]string
		Total   int
	}
}

func (w *world) do(method, path string, form url.Values) reply {
	w.Helper()
	req := pvesim.Request{Method: method, Path: "/api2/json" + path, Header: http.Header{}}
	req.Header.Set("Authorization", w.model.Token(w.token).Header())
	if method == "GET" || method == "DELETE" {
		req.Query = form.Encode()
	} else {
		req.Body = []byte(form.Encode())
	}
	resp, err := w.sim.Do(w.Context(), req)
	if err != nil {
		w.Fatal(err)
	}
	r := reply{Status: resp.Status, Reason: resp.Reason}
	if len(resp.Body) > 0 {
		if err := json.Unmarshal(resp.Body, &r.Body); err != nil {
			w.Fatalf("%s %s: %s: %v", method, path, resp.Body, err)
		}
	}
	return r
}

// get returns the data of a read that succeeds.
func (w *world) get(path string) map[string]any {
	w.Helper()
	r := w.do("GET", path, nil)
	data, ok := r.Body.Data.(map[string]any)
	if r.Status != 200 || !ok {
		w.Fatalf("GET %s: %d %s %v", path, r.Status, r.Reason, r.Body.Data)
	}
	return data
}

// start sends a write that starts a task and returns its UPID.
func (w *world) start(path string, form url.Values) string {
	w.Helper()
	r := w.do("POST", path, form)
	upid, ok := r.Body.Data.(string)
	if r.Status != 200 || !ok || !strings.HasPrefix(upid, "UPID:") {
		w.Fatalf("POST %s: %d %s %v", path, r.Status, r.Reason, r.Body.Data)
	}
	return upid
}

// run starts a task and awaits its end on the virtual clock.
func (w *world) run(path string, form url.Values) (exit string, log []string) {
	w.Helper()
	upid := w.start(path, form)
	node := strings.Split(upid, ":")[1]
	for range 600 {
		status := w.get("/nodes/" + node + "/tasks/" + url.PathEscape(upid) + "/status")
		if status["status"] == "stopped" {
			return status["exitstatus"].(string), w.log(upid)
		}
		w.clock.Advance(time.Second)
	}
	w.Fatalf("%s did not end", upid)
	return "", nil
}

func (w *world) log(upid string) []string {
	w.Helper()
	r := w.do("GET", "/nodes/"+strings.Split(upid, ":")[1]+"/tasks/"+url.PathEscape(upid)+"/log", nil)
	var lines []string
	for _, l := range r.Body.Data.([]any) {
		lines = append(lines, l.(map[string]any)["t"].(string))
	}
	return lines
}

func guestPath(kind string, node string, id int, rest string) string {
	return fmt.Sprintf("/nodes/%s/%s/%d/%s", node, kind, id, rest)
}

// Each row is a power call on the preset cluster: what PVE answers at once, or how
// its task ends, and the state after that.
func TestPower(t *testing.T) {
	for _, tt := range []struct {
		name, kind, node string
		id               int
		verb, params     string
		refused          string // at once, with status 500
		exit             string
		after            string // qmpstatus of a VM, status of a CT
	}{
		{name: "shutdown", kind: "qemu", node: "pve1", id: 104, verb: "shutdown", exit: "OK", after: "stopped"},
		{name: "shutdown in vain", kind: "qemu", node: "pve2", id: 106, verb: "shutdown", params: "timeout=3", exit: "VM quit/powerdown failed - got timeout", after: "running"},
		{name: "shutdown, then by force", kind: "qemu", node: "pve2", id: 106, verb: "shutdown", params: "timeout=3&forceStop=1", exit: "OK", after: "stopped"},
		{name: "shutdown of a stopped VM", kind: "qemu", node: "pve3", id: 105, verb: "shutdown", exit: "OK", after: "stopped"},
		{name: "shutdown of a paused VM", kind: "qemu", node: "pve1", id: 108, verb: "shutdown", exit: "VM is paused - cannot shutdown", after: "paused"},
		{name: "stop", kind: "qemu", node: "pve1", id: 100, verb: "stop", exit: "OK", after: "stopped"},
		{name: "start of a running VM", kind: "qemu", node: "pve1", id: 100, verb: "start", exit: "VM 100 already running", after: "running"},
		{name: "start that fails", kind: "qemu", node: "pve3", id: 105, verb: "start", exit: "start failed: QEMU exited with code 1", after: "stopped"},
		{name: "start of a template", kind: "qemu", node: "pve1", id: 900, verb: "start", exit: "you can't start a vm if it's a template", after: "stopped"},
		{name: "start of a locked VM", kind: "qemu", node: "pve3", id: 107, verb: "start", exit: "VM is locked (backup)", after: "stopped"},
		{name: "start of a suspended VM", kind: "qemu", node: "pve2", id: 109, verb: "start", exit: "OK", after: "running"},
		{name: "resume of a suspended VM", kind: "qemu", node: "pve2", id: 109, verb: "resume", exit: "OK", after: "running"},
		{name: "resume", kind: "qemu", node: "pve1", id: 108, verb: "resume", exit: "OK", after: "running"},
		{name: "suspend", kind: "qemu", node: "pve1", id: 100, verb: "suspend", exit: "OK", after: "paused"},
		{name: "suspend to disk", kind: "qemu", node: "pve1", id: 100, verb: "suspend", params: "todisk=1", exit: "OK", after: "stopped"},
		{name: "reset", kind: "qemu", node: "pve1", id: 100, verb: "reset", exit: "OK", after: "running"},
		{name: "reboot ends before the start", kind: "qemu", node: "pve1", id: 104, verb: "reboot", exit: "OK", after: "stopped"},
		{name: "reset of a stopped VM", kind: "qemu", node: "pve3", id: 105, verb: "reset", refused: "VM 105 not running", after: "stopped"},
		{name: "resume of a stopped VM", kind: "qemu", node: "pve3", id: 105, verb: "resume", refused: "VM 105 not running", after: "stopped"},
		{name: "start CT", kind: "lxc", node: "pve3", id: 204, verb: "start", exit: "WARNINGS: 1", after: "running"},
		{name: "start of a running CT", kind: "lxc", node: "pve1", id: 200, verb: "start", refused: "CT 200 already running", after: "running"},
		{name: "stop of a stopped CT", kind: "lxc", node: "pve3", id: 204, verb: "stop", refused: "CT 204 not running", after: "stopped"},
		{name: "shutdown CT", kind: "lxc", node: "pve1", id: 200, verb: "shutdown", exit: "OK", after: "stopped"},
		{name: "reboot CT", kind: "lxc", node: "pve1", id: 200, verb: "reboot", exit: "OK", after: "running"},
		{name: "suspend CT", kind: "lxc", node: "pve1", id: 200, verb: "suspend",
			exit: "command 'lxc-checkpoint -n 200 -s -D /var/lib/vz/dump' failed: exit code 1", after: "running"},
		{name: "wrong kind", kind: "lxc", node: "pve1", id: 100, verb: "start", refused: "Configuration file 'nodes/pve1/lxc/100.conf' does not exist"},
		{name: "wrong node", kind: "qemu", node: "pve2", id: 100, verb: "start", refused: "Configuration file 'nodes/pve2/qemu-server/100.conf' does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, pvesim.Cluster())
			form, _ := url.ParseQuery(tt.params)
			path := guestPath(tt.kind, tt.node, tt.id, "status/")
			if tt.refused != "" {
				r := w.do("POST", path+tt.verb, form)
				if r.Status != 500 || r.Reason != tt.refused || r.Body.Message != tt.refused+"\n" {
					t.Errorf("got %d %q %q, want 500 %q", r.Status, r.Reason, r.Body.Message, tt.refused)
				}
			} else {
				exit, log := w.run(path+tt.verb, form)
				if exit != tt.exit {
					t.Errorf("exit status %q, want %q", exit, tt.exit)
				}
				want := "TASK ERROR: " + tt.exit
				if tt.exit == "OK" || tt.exit == "WARNINGS: 1" {
					want = "TASK " + tt.exit
				}
				if got := log[len(log)-1]; got != want {
					t.Errorf("last line of the log %q, want %q", got, want)
				}
			}
			if tt.after == "" {
				return
			}
			status := w.get(path + "current")
			got := status["status"]
			if tt.kind == "qemu" {
				got = status["qmpstatus"]
			}
			if got != tt.after {
				t.Errorf("state after it %v, want %s", got, tt.after)
			}
		})
	}
}

func TestFailedStartSaysWhy(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	_, log := w.run("/nodes/pve3/qemu/105/status/start", nil)
	if len(log) != 2 || !strings.Contains(log[0], "No such file or directory") {
		t.Errorf("log %q, want QEMU's own words before the error", log)
	}
}

func TestShutdownHoldsTheLock(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	shutdown := w.start("/nodes/pve2/qemu/106/status/shutdown", url.Values{"timeout": {"60"}})
	if got := w.log(shutdown); len(got) != 1 || got[0] != "no content" {
		t.Errorf("log of a running task without lines: %q", got)
	}
	exit, log := w.run("/nodes/pve2/qemu/106/status/stop", nil)
	if want := "can't lock file '/var/lock/qemu-server/lock-106.conf' - got timeout"; exit != want {
		t.Errorf("stop during a shutdown: %q, want %q", exit, want)
	}
	if log[0] != "trying to acquire lock..." {
		t.Errorf("log %q", log)
	}
	exit, _ = w.run("/nodes/pve2/qemu/106/status/stop", url.Values{"overrule-shutdown": {"1"}})
	if exit != "OK" {
		t.Errorf("stop that overrules the shutdown: %q", exit)
	}
	if got := w.log(shutdown); got[0] != "TASK ERROR: received interrupt" {
		t.Errorf("log of the overruled shutdown: %q", got)
	}
}

// A call that waits for a lock does so on the clock, and others go on meanwhile.
func TestWaitingForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Cluster()
		sim, err := pvesim.New(m, pvesim.Options{Clock: pvesim.Scaled(1)})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, sim: sim, model: m, token: "root@pam!full"}
		for _, tt := range []struct {
			vmid     int
			node     string
			wait     time.Duration
			reason   string
			shutdown string
		}{
			{106, "pve2", 10 * time.Second, "can't lock file '/var/lock/qemu-server/lock-106.conf' - got timeout", "timeout=60"},
			{104, "pve1", 4 * time.Second, "Method 'PUT /nodes/{node}/qemu/{vmid}/config' not implemented by pvesim", ""},
		} {
			form, _ := url.ParseQuery(tt.shutdown)
			w.start(guestPath("qemu", tt.node, tt.vmid, "status/shutdown"), form)
			begun := time.Now()
			go func() {
				time.Sleep(time.Second)
				if r := w.do("GET", "/version", nil); r.Status != 200 || time.Since(begun) != time.Second {
					t.Errorf("another call meanwhile: %d after %v", r.Status, time.Since(begun))
				}
			}()
			r := w.do("PUT", guestPath("qemu", tt.node, tt.vmid, "config"), url.Values{"description": {"x"}})
			if took := time.Since(begun); took != tt.wait || r.Reason != tt.reason {
				t.Errorf("VM %d: %q after %v, want %q after %v", tt.vmid, r.Reason, took, tt.reason, tt.wait)
			}
		}
	})
}

func TestStopAfterAShortShutdownWaits(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.start("/nodes/pve1/qemu/104/status/shutdown", nil) // takes 4 s
	exit, log := w.run("/nodes/pve1/qemu/104/status/stop", nil)
	if diff := cmp.Diff([]string{"trying to acquire lock...", " OK", "TASK OK"}, log); exit != "OK" || diff != "" {
		t.Errorf("exit %q, log (-want +got):\n%s", exit, diff)
	}
}

func TestHAManagedGuestStartsLater(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	exit, log := w.run("/nodes/pve3/qemu/103/status/shutdown", nil)
	if exit != "OK" || log[0] != "Requesting HA stop for VM 103" {
		t.Errorf("exit %q, log %q", exit, log)
	}
	if status := w.get("/nodes/pve3/qemu/103/status/current"); status["status"] != "running" {
		t.Errorf("status %v as soon as the HA manager was told, want running", status["status"])
	}
	w.clock.Advance(20 * time.Second)
	if status := w.get("/nodes/pve3/qemu/103/status/current"); status["status"] != "stopped" {
		t.Errorf("status %v after the HA manager acted, want stopped", status["status"])
	}
}

func TestResourcesLag(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.clock.Advance(time.Second)
	w.run("/nodes/pve1/qemu/104/status/stop", nil)
	if got := w.resource(104)["status"]; got != "running" {
		t.Errorf("status %v before the next broadcast, want running", got)
	}
	w.clock.Advance(10 * time.Second)
	if got := w.resource(104)["status"]; got != "stopped" {
		t.Errorf("status %v after the next broadcast, want stopped", got)
	}
}

func (w *world) resource(id int) map[string]any {
	w.Helper()
	for _, r := range w.do("GET", "/cluster/resources", nil).Body.Data.([]any) {
		if r := r.(map[string]any); r["vmid"] == float64(id) {
			return r
		}
	}
	w.Fatalf("no guest %d", id)
	return nil
}

func TestWhoSeesWhat(t *testing.T) {
	m := pvesim.Cluster()
	m.ACL = append(m.ACL,
		pvesim.ACL{Path: "/pool/web", Who: "none@pve", Role: "PVEVMUser"},
		pvesim.ACL{Path: "/vms/102", Who: "none@pve", Role: "PVEAuditor"},
		pvesim.ACL{Path: "/vms/102", Who: "ops@pve!mcp", Role: "NoAccess"},
		pvesim.ACL{Path: "/pool/web", Who: "none@pve!mcp", Role: "PVEVMUser"},
		pvesim.ACL{Path: "/nodes", Who: "none@pve!mcp", Role: "PVEAuditor"}, // the user lacks it
	)
	w := newWorld(t, m)
	count := func(token, kind string) int {
		n := 0
		for _, r := range w.as(token).do("GET", "/cluster/resources", nil).Body.Data.([]any) {
			typ := r.(map[string]any)["type"]
			if typ == kind || kind == "guest" && (typ == "qemu" || typ == "lxc") {
				n++
			}
		}
		return n
	}
	for _, tt := range []struct {
		token, kind string
		want        int
	}{
		{"root@pam!full", "guest", 18},
		{"ops@pve!mcp", "guest", 17}, // NoAccess on 102
		{"none@pve!mcp", "guest", 3}, // the pool's members
		{"none@pve!mcp", "node", 3},  // without numbers
		{"none@pve!mcp", "storage", 0},
		{"root@pam!full", "storage", 9},
	} {
		if got := count(tt.token, tt.kind); got != tt.want {
			t.Errorf("%s sees %d of kind %s, want %d", tt.token, got, tt.kind, tt.want)
		}
	}
	for _, tt := range []struct{ token, path, want string }{
		{"none@pve!mcp", "/nodes/pve1/status", "Permission check failed (/nodes/pve1, Sys.Audit)"},
		{"none@pve!mcp", "/nodes/pve2/qemu/102/config", "Permission check failed (/vms/102, VM.Audit)"}, // the user's, not the token's
		{"ops@pve!mcp", "/nodes/pve2/qemu/102/config", "Permission check failed (/vms/102, VM.Audit)"},
		{"none@pve!mcp", "/nodes/pve9/qemu/999/config", "Permission check failed (/vms/999, VM.Audit)"}, // before existence
	} {
		if r := w.as(tt.token).do("GET", tt.path, nil); r.Status != 403 || r.Reason != tt.want {
			t.Errorf("%s GET %s: %d %q, want 403 %q", tt.token, tt.path, r.Status, r.Reason, tt.want)
		}
	}
}

func TestTasksOfOthers(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	upid := w.as("ops@pve!mcp").start("/nodes/pve1/qemu/104/status/shutdown", nil)
	path := "/nodes/pve1/tasks/" + url.PathEscape(upid)
	for _, tt := range []struct {
		token, method, path string
		want                int
	}{
		{"ops@pve!mcp", "GET", path + "/status", 200},
		{"audit@pve!mcp", "GET", path + "/status", 200},
		{"none@pve!mcp", "GET", path + "/status", 403},
		{"none@pve!mcp", "GET", path + "/log", 403},
		{"audit@pve!mcp", "DELETE", path, 403},
		{"ops@pve!mcp", "DELETE", path, 200},
	} {
		if r := w.as(tt.token).do(tt.method, tt.path, nil); r.Status != tt.want {
			t.Errorf("%s %s: %d %s, want %d", tt.token, tt.method, r.Status, r.Reason, tt.want)
		}
	}
	list := func(token, query string) int {
		form, _ := url.ParseQuery(query)
		return w.as(token).do("GET", "/nodes/pve1/tasks", form).Body.Total
	}
	for _, tt := range []struct {
		token, query string
		want         int
	}{
		{"root@pam!full", "", 10},
		{"ops@pve!mcp", "vmid=104", 1},
		{"none@pve!mcp", "", 0},
		{"root@pam!full", "errors=1", 2}, // the stopped shutdown, and a start with warnings
		{"root@pam!full", "statusfilter=warning", 1},
		{"root@pam!full", "typefilter=vzdump&limit=2", 6},
		{"root@pam!full", "userfilter=OPS", 1},
		{"root@pam!full", fmt.Sprintf("since=%d", w.clock.Now().Add(-7*time.Hour).Unix()), 2},
	} {
		if got := list(tt.token, tt.query); got != tt.want {
			t.Errorf("%s lists %d tasks by %q, want %d", tt.token, got, tt.query, tt.want)
		}
	}
	if r := w.do("GET", "/nodes/pve1/tasks", url.Values{"limit": {"0"}}); len(r.Body.Data.([]any)) != 0 {
		t.Errorf("limit=0 returns %d tasks, want none", len(r.Body.Data.([]any)))
	}
}

func TestUnauthorizedTakesThreeSeconds(t *testing.T) {
	w := newWorld(t, pvesim.Lab())
	before := w.clock.Now()
	if r := w.as("no@pve!such").do("GET", "/version", nil); r.Status != 401 {
		t.Errorf("status %d", r.Status)
	}
	if took := w.clock.Now().Sub(before); took != 3*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOfflineNode(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	w := newWorld(t, m)
	if r := w.do("GET", "/nodes/pve3/qemu/105/status/current", nil); r.Status != 595 || r.Reason != "No route to host" {
		t.Errorf("%d %s", r.Status, r.Reason)
	}
	if got := w.resource(103)["status"]; got != "running" {
		t.Errorf("a guest of a node that went offline reads %v, want what was last seen", got)
	}
}

func TestVersionsDiffer(t *testing.T) {
	m := pvesim.Lab()
	m.PVE = "8.3.5"
	w := newWorld(t, m)
	r := w.do("GET", "/nodes/pve/qemu/999/config", nil)
	if r.Body.Message != "" || !strings.HasPrefix(r.Reason, "Configuration file") {
		t.Errorf("8.3 says %q in the reason and %q in the body, want the reason alone", r.Reason, r.Body.Message)
	}
	if r := w.as("audit@pve!mcp").do("GET", "/nodes/pve/qemu/100/agent/network-get-interfaces", nil); r.Reason != "Permission check failed (/vms/100, VM.Monitor)" {
		t.Errorf("PVE 8 asks for %q", r.Reason)
	}
	if r := newWorld(t, pvesim.Lab()).as("audit@pve!mcp").do("GET", "/nodes/pve/qemu/100/agent/network-get-interfaces", nil); r.Status != 200 {
		t.Errorf("PVE 9 lets an auditor ask the agent: %d %s", r.Status, r.Reason)
	}
}

func TestAgent(t *testing.T) {
	m := pvesim.Cluster()
	m.Guests[0].Config = map[string]string{"name": "no-agent"}
	w := newWorld(t, m)
	for _, tt := range []struct {
		id   int
		node string
		want string
	}{
		{100, "pve1", "No QEMU guest agent configured"},
		{105, "pve3", "VM 105 is not running"},
		{106, "pve2", "QEMU guest agent is not running"},
		{102, "pve2", "OK"},
	} {
		if r := w.do("GET", guestPath("qemu", tt.node, tt.id, "agent/network-get-interfaces"), nil); r.Reason != tt.want {
			t.Errorf("VM %d: %q, want %q", tt.id, r.Reason, tt.want)
		}
	}
}

func TestUnservedEndpointsAreStrictToo(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	for _, tt := range []struct {
		form   string
		status int
		reason string
	}{
		{"target=pve2&bogus=1", 400, "Parameter verification failed."},
		{"target=pve2", 501, "Method 'POST /nodes/{node}/qemu/{vmid}/migrate' not implemented by pvesim"},
	} {
		form, _ := url.ParseQuery(tt.form)
		if r := w.do("POST", "/nodes/pve1/qemu/100/migrate", form); r.Status != tt.status || r.Reason != tt.reason {
			t.Errorf("%s: %d %q", tt.form, r.Status, r.Reason)
		}
	}
}

func TestWire(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	auth := http.Header{"Authorization": {w.model.Token("root@pam!full").Header()}}
	for _, tt := range []struct {
		name string
		req  pvesim.Request
		want int
	}{
		{"method", pvesim.Request{Method: "PATCH", Path: "/api2/json/version"}, 501},
		{"chunked", pvesim.Request{Method: "POST", Path: "/api2/json/version", Chunked: true}, 501},
		{"other format", pvesim.Request{Method: "GET", Path: "/api2/yaml/version"}, 501},
		{"body too large", pvesim.Request{Method: "PUT", Path: "/api2/json/nodes/pve1/qemu/100/config", Body: make([]byte, 513<<10)}, 501},
		{"value ends at a second =", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type=vm=x"}, 200},
		{"; separates", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type=vm;_dc=1"}, 200},
		{"conflict with the path", pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/status", Query: "node=pve2"}, 400},
		{"same as the path", pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/status", Query: "node=pve1"}, 200},
		{"without a value", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type="}, 200},
		{"escaped token", pvesim.Request{Method: "GET", Path: "/api2/json/version", Header: http.Header{"Authorization": {
			strings.ReplaceAll(auth.Get("Authorization"), "!", "%21")}}}, 200},
	} {
		if tt.req.Header == nil {
			tt.req.Header = auth
		}
		resp, err := w.sim.Do(t.Context(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, resp.Status, resp.Reason, tt.want)
		}
	}
}

// Over TLS the reason phrase arrives, and a connection is kept for the next request
// until one is refused.
func TestServe(t *testing.T) {
	w := newWorld(t, pvesim.Lab())
	server := httptest.NewTLSServer(w.sim)
	defer server.Close()
	call := func(path string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api2/json"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", w.model.Token("root@pam!full").Header())
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for range 3 {
		if resp, body := call("/version"); resp.Status != "200 OK" || !strings.Contains(body, "9.0.11") || resp.Close {
			t.Errorf("%s %s, close %v", resp.Status, body, resp.Close)
		}
	}
	if resp, _ := call("/nodes/pve/lxc/999/config"); resp.Status != "500 Configuration file 'nodes/pve/lxc/999.conf' does not exist" || !resp.Close {
		t.Errorf("%s, close %v", resp.Status, resp.Close)
	}
}

func TestScaledClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, real := pvesim.Scaled(10), time.Now()
		before := clock.Now()
		if err := clock.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := clock.Now().Sub(before); got != time.Minute {
			t.Errorf("%v of the clock's time have passed", got)
		}
		if got := time.Since(real); got != 6*time.Second {
			t.Errorf("%v have passed", got)
		}
	})
}

func TestModelsThatDoNotHold(t *testing.T) {
	for want, change := range map[string]func(*pvesim.Model){
		"guest 100: there are two":     func(m *pvesim.Model) { m.Guests = append(m.Guests, m.Guests[0]) },
		`there is no node "pve7"`:      func(m *pvesim.Model) { m.Guests[0].Node = "pve7" },
		"neither qemu nor lxc":         func(m *pvesim.Model) { m.Guests[0].Kind = "vm" },
		"there is no user x@pve":       func(m *pvesim.Model) { m.Tokens[0].ID = "x@pve!t" },
		"there is no role PVEEverythi": func(m *pvesim.Model) { m.ACL[0].Role = "PVEEverything" },
		"no API description of PVE 6":  func(m *pvesim.Model) { m.PVE = "6.4" },
		"a model needs a node":         func(m *pvesim.Model) { m.Nodes = nil },
	} {
		m := pvesim.Cluster()
		change(&m)
		if _, err := pvesim.New(m, pvesim.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
