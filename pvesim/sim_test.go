package pvesim_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// world is a simulator on a clock of its own, and one of its tokens.
type world struct {
	*testing.T
	sim   *pvesim.Sim
	model pvesim.Model
	clock *pvesim.Virtual
	token string
	node  string // that receives the requests
	// A ticket takes the place of the token.
	ticket, forgery string
}

func newWorld(t *testing.T, m pvesim.Model) *world {
	t.Helper()
	clock := pvesim.NewVirtual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	sim, err := pvesim.NewSim(m, pvesim.Options{Clock: clock})
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
	req := pvesim.Request{Node: w.node, Method: method, Path: "/api2/json" + path, Header: http.Header{}}
	if w.ticket == "" {
		req.Header.Set("Authorization", w.model.Token(w.token).Header())
	} else {
		req.Header.Set("Cookie", "PVEAuthCookie="+url.QueryEscape(w.ticket))
		req.Header.Set("CSRFPreventionToken", w.forgery)
	}
	if method == "GET" || method == "DELETE" {
		req.Query = form.Encode()
	} else {
		req.Body = []byte(form.Encode())
	}
	resp, err := w.sim.Do(w.Context(), req)
	if err != nil {
		w.Fatal(err)
	}
	if resp.Header.Get("Content-Encoding") == "gzip" {
		in, err := gzip.NewReader(bytes.NewReader(resp.Body))
		if err != nil {
			w.Fatal(err)
		}
		if resp.Body, err = io.ReadAll(in); err != nil {
			w.Fatal(err)
		}
	}
	r := reply{Status: resp.Status, Reason: resp.Reason}
	if len(resp.Body) > 0 {
		if err := json.Unmarshal(resp.Body, &r.Body); err != nil {
			w.Fatalf("%s %s: %s: %v", method, path, resp.Body, err)
		}
	}
	return r
}

// get returns the data of a read that succeeds, which is an object.
func (w *world) get(path string) map[string]any {
	w.Helper()
	data, ok := w.data(path).(map[string]any)
	if !ok {
		w.Fatalf("GET %s: %v", path, data)
	}
	return data
}

// data returns the data of a read that succeeds.
func (w *world) data(path string) any {
	w.Helper()
	path, query, _ := strings.Cut(path, "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		w.Fatal(err)
	}
	r := w.do("GET", path, form)
	if r.Status != 200 {
		w.Fatalf("GET %s: %d %s", path, r.Status, r.Reason)
	}
	return r.Body.Data
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

func TestResourcesLagIsAKnob(t *testing.T) {
	m := pvesim.Cluster()
	m.Lag = time.Millisecond
	w := newWorld(t, m)
	w.run("/nodes/pve1/qemu/104/status/stop", nil)
	w.clock.Advance(time.Millisecond)
	if got := w.resource(104)["status"]; got != "stopped" {
		t.Errorf("status %v a millisecond after the stop", got)
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
		{"root@pam!full", "storage", 12},
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
	w.clock.Advance(500 * time.Millisecond)
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
		{"root@pam!full", fmt.Sprintf("since=%d&until=%[1]d", w.clock.Now().Unix()), 1}, // its start is a whole second
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
