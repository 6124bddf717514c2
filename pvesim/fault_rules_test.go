package pvesim_test

import (
	"errors"
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

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// faulty is the preset cluster with rules.
func faulty(t *testing.T, rules ...pvesim.Fault) *world {
	t.Helper()
	m := pvesim.Cluster()
	m.Faults = rules
	return newWorld(t, m)
}

// fired is how often a world's first rule did.
func (w *world) fired() int { return w.sim.Fired()[0] }

func TestWhichRequestsAFaultBefalls(t *testing.T) {
	for _, tt := range []struct {
		rule         pvesim.Fault
		method, path string
		want         bool
	}{
		{pvesim.Fault{}, "GET", "/version", true},
		{pvesim.Fault{Match: "* /**"}, "GET", "/version", true},
		{pvesim.Fault{Match: "GET /version"}, "GET", "/version", true},
		{pvesim.Fault{Match: "GET /version/"}, "GET", "//version", true},
		{pvesim.Fault{Match: "POST /version"}, "GET", "/version", false},
		{pvesim.Fault{Match: "* /nodes"}, "GET", "/nodes/pve1/status", false},
		{pvesim.Fault{Match: "* /nodes/**"}, "GET", "/nodes/pve1/status", true},
		{pvesim.Fault{Match: "* /nodes/**"}, "GET", "/nodes", true},
		{pvesim.Fault{Match: "* /nodes/*"}, "GET", "/nodes/pve1/status", false},
		{pvesim.Fault{Match: "* /nodes/*/status"}, "GET", "/nodes/pve1/status", true},
		{pvesim.Fault{Match: "* /nodes/*/status"}, "GET", "/nodes", false},
		{pvesim.Fault{Match: "POST /nodes/*/qemu/*/status/start"}, "POST", "/nodes/pve3/qemu/105/status/start", true},
		{pvesim.Fault{Match: "POST /nodes/*/qemu/*/status/start"}, "POST", "/nodes/pve3/qemu/105/status/stop", false},
		{pvesim.Fault{Guest: 105}, "POST", "/nodes/pve3/qemu/105/status/start", true},
		{pvesim.Fault{Guest: 104}, "POST", "/nodes/pve3/qemu/105/status/start", false},
		{pvesim.Fault{Guest: 105}, "GET", "/version", false},
		{pvesim.Fault{Node: "pve3"}, "GET", "/nodes/pve3/qemu", true},
		{pvesim.Fault{Node: "pve3"}, "GET", "/nodes/pve2/qemu", false},
		{pvesim.Fault{Node: "pve2"}, "GET", "/cluster/resources", true}, // which pve2 receives
		{pvesim.Fault{Node: "pve2"}, "GET", "/nodes/localhost/status", true},
		{pvesim.Fault{Node: "pve1"}, "GET", "/cluster/resources", false},
		{pvesim.Fault{}, "GET", "/nope", false}, // refused before
	} {
		tt.rule.Status = 503
		w := faulty(t, tt.rule)
		w.node = "pve2"
		if r := w.do(tt.method, tt.path, nil); (r.Status == 503) != tt.want || (w.fired() == 1) != tt.want {
			t.Errorf("%+v: %s %s: %d, fired %d times", tt.rule, tt.method, tt.path, r.Status, w.fired())
		}
	}
	w := faulty(t, pvesim.Fault{Status: 503})
	if r := w.as("none@pve!mcp").do("GET", "/cluster/status", nil); r.Status != 403 || w.fired() != 0 {
		t.Errorf("without privileges: %d, fired %d times", r.Status, w.fired())
	}
}

func TestHowOftenAFaultFires(t *testing.T) {
	pattern := func(w *world, n int) string {
		var out strings.Builder
		for range n {
			out.WriteString(map[int]string{200: ".", 500: "x", 503: "y"}[w.do("GET", "/version", nil).Status])
		}
		return out.String()
	}
	w := faulty(t, pvesim.Fault{Status: 500, Skip: 2, Max: 3}, pvesim.Fault{Match: "GET /version", Status: 503, Max: 2})
	if got := pattern(w, 9); got != "yyxxx...." {
		t.Errorf("the requests went %s", got)
	}
	if err := w.sim.Fault(pvesim.Fault{Status: 500, Max: 1}); err != nil {
		t.Fatal(err)
	}
	if got := pattern(w, 3); got != "x.." {
		t.Errorf("after a rule was added the requests went %s", got)
	}
	if diff := cmp.Diff([]int{3, 2, 1}, w.sim.Fired()); diff != "" {
		t.Errorf("fired (-want +got):\n%s", diff)
	}

	sometimes := pvesim.Fault{Status: 500, Prob: 0.3}
	first := pattern(faulty(t, sometimes), 200)
	if n := strings.Count(first, "x"); n < 40 || n > 80 {
		t.Errorf("with 0.3 it fired %d of 200 times", n)
	}
	if again := pattern(faulty(t, sometimes), 200); again != first {
		t.Errorf("with the same seed it fired otherwise:\n%s\n%s", first, again)
	}
	m := pvesim.Cluster()
	m.Seed, m.Faults = 2, []pvesim.Fault{sometimes}
	if other := pattern(newWorld(t, m), 200); other == first {
		t.Error("with another seed it fired at the same requests")
	}
}

func TestRefusedByFault(t *testing.T) {
	for _, tt := range []struct {
		status           int
		message          string
		reason, wantBody string
		body             bool
	}{
		{500, "got timeout", "got timeout", "got timeout\n", true},
		{403, "first line\nsecond", "first line", "first line\nsecond\n", true},
		{401, "Authentication failed!", "Authentication failed!", "", false},
		{596, "Connection timed out", "Connection timed out", "", false},
	} {
		w := faulty(t, pvesim.Fault{Match: "POST /nodes/*/qemu/*/status/stop", Status: tt.status, Message: tt.message})
		s := w.send(w.sim.Transport(), "POST", w.sim.URL()+"/api2/json/nodes/pve1/qemu/104/status/stop")
		if s.Status != tt.status || !strings.HasSuffix(s.Reason, " "+tt.reason) || s.Body.Message != tt.wantBody || s.Err != nil {
			t.Errorf("%+v: %+v", tt, s)
		}
		w.clock.Advance(time.Minute)
		if got := w.get("/nodes/pve1/qemu/104/status/current")["status"]; got != "running" {
			t.Errorf("%d: the refused stop left it %v", tt.status, got)
		}
	}
}

func TestTaskFailsByFault(t *testing.T) {
	w := faulty(t, pvesim.Fault{Match: "POST /nodes/*/*/*/status/**", TaskFails: "no space left", Max: 2})
	exit, log := w.run("/nodes/pve1/qemu/104/status/stop", nil)
	if exit != "no space left" || log[len(log)-1] != "TASK ERROR: no space left" {
		t.Errorf("exit %q, log %q", exit, log)
	}
	if got := w.get("/nodes/pve1/qemu/104/status/current")["status"]; got != "running" {
		t.Errorf("the task that failed left it %v", got)
	}
	// The task that asks the HA manager fails, so nothing is asked of it.
	if exit, _ := w.run("/nodes/pve3/qemu/103/status/stop", nil); exit != "no space left" {
		t.Errorf("exit %q", exit)
	}
	if exit, _ := w.run("/nodes/pve1/qemu/104/status/stop", nil); exit != "OK" {
		t.Errorf("once more: %q", exit)
	}
}

// A task that fails part-way has said what it did until then, and what it made is
// gone.
func TestTaskFailsPartWay(t *testing.T) {
	w := faulty(t, pvesim.Fault{Match: "POST /nodes/*/qemu/*/clone", TaskFails: "clone failed: No space left on device", FailsAt: 50})
	exit, log := w.run("/nodes/pve1/qemu/104/clone", url.Values{"newid": {"500"}, "full": {"1"}})
	last := len(log) - 1
	if exit != "clone failed: No space left on device" || log[last] != "TASK ERROR: "+exit {
		t.Errorf("exit %q, log %q", exit, log)
	}
	var percent float64
	if _, err := fmt.Sscanf(log[last-1][strings.Index(log[last-1], "("):], "(%f%%)", &percent); err != nil || percent < 45 || percent > 51 {
		t.Errorf("its last words are %q", log[last-1])
	}
	w.story(`GET /nodes/pve1/qemu/500/config => 500 Configuration file 'nodes/pve1/qemu-server/500.conf' does not exist`)
}

func TestNodeDownByFault(t *testing.T) {
	w := faulty(t, pvesim.Fault{Node: "pve2", Down: true, Delay: time.Minute})
	w.story(`GET /nodes/pve2/status#pveversion
		wait 61s
		GET /nodes/pve2/status => 595 No route to host
		GET /cluster/status#node/pve2#online => 0`)
	if w.fired() != 1 {
		t.Errorf("it fired %d times", w.fired())
	}
	// From the beginning: nothing was ever heard of its guests.
	w = faulty(t, pvesim.Fault{Node: "pve2", Down: true})
	if got := w.resource(101); got["status"] != "unknown" || got["name"] != nil {
		t.Errorf("a guest of a node that was never up: %v", got)
	}
	if rows := w.rrd("/nodes/pve2", url.Values{"timeframe": {"hour"}}); rows[0]["cpu"] == nil {
		t.Error("its past is forgotten")
	}
}

func TestStorageDownByFault(t *testing.T) {
	w := faulty(t, pvesim.Fault{Storage: "nfs", Down: true, Delay: time.Minute})
	w.story(`GET /nodes/pve1/storage/nfs/status#active => 1
		wait 61s
		GET /nodes/pve1/storage/nfs/status#active => 0
		GET /nodes/pve2/storage/nfs/content => 500 storage 'nfs' is not online
		GET /cluster/resources#storage/pve1/nfs#status => unknown`)
	w = faulty(t, pvesim.Fault{Storage: "nfs", Down: true, Message: "mount error: Connection timed out"})
	w.story(`GET /nodes/pve2/storage/nfs/content => 500 mount error: Connection timed out`)
}

func TestSlowAgent(t *testing.T) {
	for takes, want := range map[time.Duration]string{2 * time.Second: "web-1", 4 * time.Second: "500 QEMU guest agent is not running"} {
		w := faulty(t, pvesim.Fault{Guest: 100, AgentTakes: takes})
		asked := w.clock.Now()
		if got := w.answer("GET", "/nodes/pve1/qemu/100/agent/get-host-name#result#host-name"); got != want {
			t.Errorf("an agent that takes %v: %s, want %s", takes, got, want)
		}
		if took := w.clock.Now().Sub(asked); took != min(takes, 3*time.Second) {
			t.Errorf("an agent that takes %v was waited for %v", takes, took)
		}
	}
}

func TestTheAnswerIsLost(t *testing.T) {
	stop := "/api2/json/nodes/pve1/qemu/104/status/stop"
	for _, tt := range []struct {
		name     string
		rule     pvesim.Fault
		answered bool
	}{
		{"dropped", pvesim.Fault{Drop: true}, false},
		{"truncated", pvesim.Fault{Truncate: 10}, true},
	} {
		for _, wire := range []bool{false, true} {
			tt.rule.Max = 1
			w := faulty(t, tt.rule)
			rt, url := w.sim.Transport(), w.sim.URL()
			if wire {
				server := httptest.NewTLSServer(w.sim)
				defer server.Close()
				rt, url = server.Client().Transport, server.URL
			}
			s := w.send(rt, "POST", url+stop)
			if !errors.Is(s.Err, io.ErrUnexpectedEOF) && !(wire && errors.Is(s.Err, io.EOF)) {
				t.Errorf("%s, over the wire %v: %v", tt.name, wire, s.Err)
			}
			if !s.Dialled || (s.Status == 200) != tt.answered {
				t.Errorf("%s, over the wire %v: connection %v, status %d", tt.name, wire, s.Dialled, s.Status)
			}
			if log := w.sim.Requests(); len(log) != 1 || log[0].Status != 200 || log[0].Path != strings.TrimPrefix(stop, "/api2/json") {
				t.Errorf("%s, over the wire %v: the log is %v", tt.name, wire, log)
			}
			w.clock.Advance(time.Minute)
			if got := w.get("/nodes/pve1/qemu/104/status/current")["status"]; got != "stopped" {
				t.Errorf("%s, over the wire %v: the stop left it %v", tt.name, wire, got)
			}
		}
	}
}

// The length that a truncated answer announces is that of the whole.
func TestTruncatedLength(t *testing.T) {
	w := faulty(t, pvesim.Fault{Truncate: 10, Max: 1})
	server := httptest.NewTLSServer(w.sim)
	defer server.Close()
	get := func() (announced int64, body string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api2/json/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", w.model.Token(w.token).Header())
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.ContentLength, string(data)
	}
	length, part := get()
	_, whole := get()
	if length != int64(len(whole)) || part != whole[:10] {
		t.Errorf("%d bytes announced, %q sent; the whole is %q", length, part, whole)
	}
}

// A request that a fault holds up does not hold up others; a slow answer is to work
// that is done.
func TestDelayAndSlow(t *testing.T) {
	stop := "POST /nodes/pve1/qemu/104/status/stop"
	for _, tt := range []struct {
		name        string
		rule        pvesim.Fault
		afterMinute string
		answered    time.Duration
	}{
		{"delay", pvesim.Fault{Match: stop, Delay: 2 * time.Minute}, "running", 2 * time.Minute},
		{"slow", pvesim.Fault{Match: stop, Slow: 20 * time.Second}, "stopped", 20 * time.Second},
		{"too slow for the proxy", pvesim.Fault{Match: stop, Slow: 2 * time.Minute}, "stopped", 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := pvesim.Cluster()
			m.Faults = []pvesim.Fault{tt.rule}
			sim, err := pvesim.NewSim(m, pvesim.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := &world{T: t, sim: sim, model: m, token: "root@pam!full"}
			start := time.Now()
			answered := make(chan time.Duration, 1)
			go func() {
				w.do("POST", strings.TrimPrefix(stop, "POST "), nil)
				answered <- time.Since(start)
			}()
			time.Sleep(time.Minute)
			if got := w.get("/nodes/pve1/qemu/104/status/current")["status"]; got != tt.afterMinute {
				t.Errorf("%s: %v after a minute, want %s", tt.name, got, tt.afterMinute)
			}
			if waited := time.Since(start); waited != time.Minute {
				t.Errorf("%s: a read took %v", tt.name, waited-time.Minute)
			}
			if took := <-answered; took != tt.answered {
				t.Errorf("%s: answered after %v", tt.name, took)
			}
		})
	}
}

func TestFaultsThatDoNotHold(t *testing.T) {
	for want, rule := range map[string]pvesim.Fault{
		`fault 1 ("FETCH /version"): PVE knows no method "FETCH"`:                                    {Match: "FETCH /version", Drop: true},
		`fault 1 ("/version"): a match is a method, or *, and a path`:                                {Match: "/version", Drop: true},
		`fault 1 ("GET version"): a match is a method, or *, and a path`:                             {Match: "GET version", Drop: true},
		`fault 1 ("* /a/**/b"): in a path, * is a whole element and ** the last one, not "**"`:       {Match: "* /a/**/b", Drop: true},
		`fault 1 ("* /nodes/pve*"): in a path, * is a whole element and ** the last one, not "pve*"`: {Match: "* /nodes/pve*", Drop: true},
		`fault 1 (""): a number is negative`:                                                         {Max: -1, Drop: true},
		`fault 1 ("GET /version"): a number is negative`:                                             {Match: "GET /version", Slow: -time.Second},
		`fault 1 (""): a probability is from 0 to 1`:                                                 {Prob: 1.5, Drop: true},
		`fault 1 (""): it does several things, where one is possible`:                                {Drop: true, TaskFails: "x"},
		`fault 1 (""): it does nothing`:                                                              {},
		`fault 1 (""): the status 200 is no refusal`:                                                 {Status: 200},
		`fault 1 (""): a message needs a status`:                                                     {Message: "x", Drop: true},
		`fault 1 (""): there is no node "pve7"`:                                                      {Node: "pve7", Drop: true},
		`fault 1 (""): there is no storage "x"`:                                                      {Storage: "x", Down: true},
		`fault 1 (""): what goes down is a node or a storage`:                                        {Down: true},
		`fault 1 ("* /**"): what goes down is a node or a storage`:                                   {Match: "* /**", Storage: "nfs", Drop: true},
		`fault 1 (""): what goes down does so for all requests`:                                      {Node: "pve2", Down: true, Max: 1},
		`fault 1 (""): a task fails at up to 100 percent, in some words`:                             {TaskFails: "x", FailsAt: 101},
	} {
		m := pvesim.Cluster()
		m.Faults = []pvesim.Fault{rule}
		if _, err := pvesim.NewSim(m, pvesim.Options{}); err == nil || err.Error() != want {
			t.Errorf("New: %v, want %s", err, want)
		}
		w := newWorld(t, pvesim.Cluster())
		if err := w.sim.Fault(rule); err == nil || err.Error() != want || len(w.sim.Fired()) != 0 {
			t.Errorf("Fault: %v, want %s", err, want)
		}
	}
}
