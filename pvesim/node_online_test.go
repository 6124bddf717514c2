package pvesim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// sent is what became of a request through a transport.
type sent struct {
	reply
	Close   bool
	Dialled bool  // a connection was there
	Err     error // of the request, or of reading its answer
}

// send sends a request without a body.
func (w *world) send(rt http.RoundTripper, method, target string) sent {
	w.Helper()
	var s sent
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { s.Dialled = true }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(w.Context(), trace), method, target, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", w.model.Token(w.token).Header())
	resp, err := rt.RoundTrip(req)
	if err != nil {
		s.Err = err
		return s
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.Status, s.Reason, s.Close, s.Err = resp.StatusCode, resp.Status, resp.Close, err
	if err == nil && len(body) > 0 {
		s.Err = json.NewDecoder(bytes.NewReader(body)).Decode(&s.Body)
	}
	return s
}

// at sends a read to a node.
func (w *world) at(host, path string) sent {
	w.Helper()
	return w.send(w.sim.Transport(), "GET", "https://"+host+":8006/api2/json"+path)
}

// status returns what /cluster/status of a node says: online, and whose words these
// are.
func (w *world) status(host string) (online map[string]bool, local string, quorate bool) {
	w.Helper()
	online = map[string]bool{}
	for _, row := range w.at(host, "/cluster/status").Body.Data.([]any) {
		row := row.(map[string]any)
		if row["type"] == "cluster" {
			quorate = row["quorate"] == 1.0
			continue
		}
		name := row["name"].(string)
		online[name] = row["online"] == 1.0
		if row["local"] == 1.0 {
			local = name
		}
	}
	return online, local, quorate
}

func TestEachNodeReceives(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[1].PVE = "8.3.5"
	w := newWorld(t, m)
	if diff := cmp.Diff([]string{"https://pve1:8006", "https://pve2:8006", "https://pve3:8006"}, w.sim.URLs()); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct{ host, local, version string }{
		{"pve1", "pve1", "9.0.11"},
		{"pve2", "pve2", "8.3.5"},
		{"10.10.0.2", "pve2", "8.3.5"},
		{"elsewhere.example", "pve1", "9.0.11"},
	} {
		if _, local, _ := w.status(tt.host); local != tt.local {
			t.Errorf("%s: %s calls itself local", tt.host, local)
		}
		for _, path := range []string{"/version", "/nodes/localhost/version"} {
			if got := w.at(tt.host, path).Body.Data.(map[string]any)["version"]; got != tt.version {
				t.Errorf("%s: GET %s says %v, want %s", tt.host, path, got, tt.version)
			}
		}
	}
	// A refusal is worded by the node that refuses: 8.3 has no message in the body.
	for _, tt := range []struct {
		host, path string
		message    string
	}{
		{"pve1", "/nope", "Method 'GET /nope' not implemented"},
		{"pve2", "/nope", ""},
		{"pve2", "/nodes/pve2/qemu/999/config", ""},
		{"pve1", "/nodes/pve2/qemu/999/config", ""},
		{"pve2", "/nodes/pve1/qemu/999/config", "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n"},
	} {
		if got := w.at(tt.host, tt.path).Body.Message; got != tt.message {
			t.Errorf("%s GET %s: message %q, want %q", tt.host, tt.path, got, tt.message)
		}
	}
	log := w.sim.Requests()
	if first, last := log[0].Node, log[len(log)-1].Node; first != "pve1" || last != "pve2" {
		t.Errorf("the log says that %s received the first request and %s the last", first, last)
	}
}

func TestNodeGoesDownAndUp(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	set := func(node string, up bool) {
		t.Helper()
		if err := w.sim.SetOnline(node, up); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Advance(time.Second)
	before := w.resource(100)
	w.start("/nodes/pve1/qemu/100/status/stop", nil)
	set("pve1", false)

	sentAt := w.clock.Now()
	s := w.at("pve1", "/version")
	var dial *net.OpError
	if !errors.As(s.Err, &dial) || dial.Op != "dial" || !errors.Is(s.Err, syscall.EHOSTUNREACH) || s.Dialled {
		t.Errorf("a request to a node that is down: %v, connection %v", s.Err, s.Dialled)
	}
	if got, want := s.Err.Error(), "dial tcp 10.10.0.1:8006: connect: no route to host"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if took := w.clock.Now().Sub(sentAt); took != 3*time.Second {
		t.Errorf("the network gave up after %v", took)
	}
	if s := w.at("pve2", "/nodes/pve1/status"); s.Status != 595 || s.Reason != "595 No route to host" || !s.Dialled {
		t.Errorf("proxied to a node that is down: %d %s", s.Status, s.Reason)
	}
	online, _, quorate := w.status("pve2")
	if diff := cmp.Diff(map[string]bool{"pve1": false, "pve2": true, "pve3": true}, online); diff != "" || !quorate {
		t.Errorf("quorate %v, online:\n%s", quorate, diff)
	}

	w.node = "pve2"
	w.clock.Advance(time.Minute)
	if diff := cmp.Diff(before, w.resource(100)); diff != "" {
		t.Errorf("a guest of a node that went down, as last seen (-before +now):\n%s", diff)
	}
	w.clock.Advance(4 * time.Minute)
	want := map[string]any{"id": "qemu/100", "type": "qemu", "vmid": 100.0, "node": "pve1", "status": "unknown", "pool": "web", "tags": "prod;web"}
	if diff := cmp.Diff(want, w.resource(100)); diff != "" {
		t.Errorf("a guest of a node that went down 5 minutes ago (-want +got):\n%s", diff)
	}
	storages := map[string]any{}
	for _, r := range w.do("GET", "/cluster/resources", url.Values{"type": {"storage"}}).Body.Data.([]any) {
		if r := r.(map[string]any); r["storage"] == "local" {
			storages[r["node"].(string)] = []any{r["status"], r["maxdisk"] != nil}
		}
	}
	wantStorages := map[string]any{"pve1": []any{"unknown", false}, "pve2": []any{"available", true}, "pve3": []any{"available", true}}
	if diff := cmp.Diff(wantStorages, storages); diff != "" {
		t.Errorf("the storage local on each node (-want +got):\n%s", diff)
	}

	set("pve1", true)
	w.clock.Advance(10 * time.Second)
	if got := w.resource(100)["status"]; got != "stopped" {
		t.Errorf("a guest that was stopped on a node that came back: %v", got)
	}
	if s := w.at("pve1", "/version"); s.Status != 200 {
		t.Errorf("the node is back: %d, %v", s.Status, s.Err)
	}
	if err := w.sim.SetOnline("pve7", true); err == nil || err.Error() != `there is no node "pve7"` {
		t.Errorf("%v", err)
	}
}

func TestQuorum(t *testing.T) {
	for _, tt := range []struct {
		nodes, down int
		quorate     bool
	}{
		{3, 1, true}, {3, 2, false},
		{2, 1, true}, // the setting for two nodes
		{4, 1, true}, {4, 2, false},
	} {
		m := pvesim.Model{PVE: "9.0.11", Cluster: "c", Users: []pvesim.User{{ID: "root@pam"}}, Tokens: []pvesim.Token{{ID: "root@pam!full", Secret: "s"}}}
		for i := range tt.nodes {
			m.Nodes = append(m.Nodes, pvesim.Node{Name: string(rune('a' + i)), Offline: i >= tt.nodes-tt.down})
		}
		if _, _, quorate := newWorld(t, m).status("a"); quorate != tt.quorate {
			t.Errorf("%d of %d nodes are down: quorate %v", tt.down, tt.nodes, quorate)
		}
	}
}

// What a node broadcast before it went down was heard, though nobody asked until then.
func TestLastWordsAreHeard(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.start("/nodes/pve1/qemu/100/status/stop", nil)
	w.clock.Advance(time.Minute)
	if err := w.sim.SetOnline("pve1", false); err != nil {
		t.Fatal(err)
	}
	w.node = "pve2"
	if got := w.resource(100)["status"]; got != "stopped" {
		t.Errorf("a guest that was stopped a minute before: %v", got)
	}
}

// downWhenAsleep takes a node off the network while a request waits.
type downWhenAsleep struct {
	*pvesim.Virtual
	down func()
}

func (c *downWhenAsleep) Sleep(ctx context.Context, d time.Duration) error {
	c.down()
	return c.Virtual.Sleep(ctx, d)
}

func TestNodeGoesDownDuringARequest(t *testing.T) {
	m := pvesim.Cluster()
	clock := &downWhenAsleep{Virtual: pvesim.NewVirtual(time.Unix(0, 0))}
	sim, err := pvesim.NewSim(m, pvesim.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	clock.down = func() {
		if err := sim.SetOnline("pve2", false); err != nil {
			t.Error(err)
		}
	}
	w := &world{T: t, sim: sim, model: m, token: "root@pam!full"}
	s := w.at("pve2", "/nodes/pve2/qemu/106/agent/network-get-interfaces") // waits for the agent
	var op *net.OpError
	if !errors.As(s.Err, &op) || op.Op == "dial" || !s.Dialled {
		t.Errorf("%v, connection %v", s.Err, s.Dialled)
	}
}
