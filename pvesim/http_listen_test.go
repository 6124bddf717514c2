package pvesim_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

func (w *world) listen(node string) *pvesim.Listener {
	w.Helper()
	l, err := w.sim.ListenNode(node, "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			w.Error(err)
		}
	})
	return l
}

// trusting returns a transport that trusts the cluster's CA, and would rather speak
// HTTP/2.
func (w *world) trusting(l *pvesim.Listener) *http.Transport {
	w.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(l.CA()) {
		w.Fatalf("no certificate in %s", l.CA())
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	w.Cleanup(t.CloseIdleConnections)
	return t
}

// fingerprints are those of GET /nodes.
func (w *world) fingerprints() map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, n := range w.do("GET", "/nodes", nil).Body.Data.([]any) {
		n := n.(map[string]any)
		out[n["node"].(string)] = n["ssl_fingerprint"].(string)
	}
	return out
}

func TestListen(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	before := w.fingerprints()
	first, err := w.sim.Listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	second := w.listen("pve2")
	after := w.fingerprints()
	for _, tt := range []struct {
		node string
		l    *pvesim.Listener
	}{{"pve1", first}, {"pve2", second}} {
		if len(before[tt.node]) != len(after[tt.node]) || before[tt.node] == after[tt.node] || after[tt.node] != tt.l.Fingerprint() {
			t.Errorf("%s: the fingerprint in GET /nodes was %s and is %s, the certificate's %s", tt.node, before[tt.node], after[tt.node], tt.l.Fingerprint())
		}
		rt := w.trusting(tt.l)
		var certs []*x509.Certificate
		rt.TLSClientConfig.VerifyConnection = func(c tls.ConnectionState) error {
			certs = c.PeerCertificates
			if c.NegotiatedProtocol != "" {
				t.Errorf("%s speaks %s", tt.node, c.NegotiatedProtocol)
			}
			return nil
		}
		s := w.send(rt, "GET", tt.l.URL()+"/api2/json/cluster/status")
		if s.Err != nil || s.Reason != "200 OK" || s.Close {
			t.Fatalf("%s: %+v", tt.node, s)
		}
		if len(certs) != 1 {
			t.Fatalf("%s presents %d certificates, want its own alone", tt.node, len(certs))
		}
		for _, row := range s.Body.Data.([]any) {
			if row := row.(map[string]any); row["local"] == 1.0 && row["name"] != tt.node {
				t.Errorf("%s is received by %v", tt.node, row["name"])
			}
		}
		leaf := certs[0]
		got := []string{leaf.Subject.String(), leaf.Issuer.CommonName + "/" + leaf.Issuer.Organization[0], strings.Join(leaf.DNSNames, " "), fmt.Sprint(leaf.IPAddresses)}
		want := []string{
			"CN=" + tt.node + ".sim,OU=PVE Cluster Node,O=Proxmox Virtual Environment",
			"Proxmox Virtual Environment/PVE Cluster Manager CA",
			"localhost " + tt.node + " " + tt.node + ".sim", "[127.0.0.1 ::1 10.10.0." + tt.node[3:] + "]",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.node, diff)
		}
		if hash := fmt.Sprintf("%X", sha256.Sum256(leaf.Raw)); hash != strings.ReplaceAll(tt.l.Fingerprint(), ":", "") {
			t.Errorf("%s: fingerprint %s of a certificate of hash %s", tt.node, tt.l.Fingerprint(), hash)
		}
		if s := w.send(rt, "GET", tt.l.URL()+"/api2/json/nodes/pve1/lxc/999/config"); s.Reason != "500 Configuration file 'nodes/pve1/lxc/999.conf' does not exist" || !s.Close {
			t.Errorf("%s: %+v", tt.node, s)
		}
	}
	if string(first.CA()) != string(second.CA()) {
		t.Error("two nodes have two CAs")
	}
	if s := w.send(http.DefaultTransport, "GET", first.URL()+"/api2/json/version"); s.Err == nil {
		t.Error("a client that does not know the CA trusts the node")
	}
}

func TestListenFaults(t *testing.T) {
	w := faulty(t, pvesim.Fault{Drop: true, Max: 1}, pvesim.Fault{Truncate: 5, Max: 1})
	l := w.listen("pve1")
	rt := w.trusting(l)
	rt.DisableKeepAlives = true // with them the client itself would try again
	for _, want := range []string{"EOF", "unexpected EOF", "<nil>"} {
		s := w.send(rt, "GET", l.URL()+"/api2/json/version")
		if fmt.Sprint(s.Err) != want || !s.Dialled {
			t.Errorf("%v, connection %v, want %s", s.Err, s.Dialled, want)
		}
	}
	if n := len(w.sim.Requests()); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestListenOffline(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	l := w.listen("pve2")
	rt := w.trusting(l)
	for _, up := range []bool{true, false, true} {
		if err := w.sim.SetOnline("pve2", up); err != nil {
			t.Fatal(err)
		}
		for _, kept := range []bool{true, false} { // a connection from before; offline, the second needs a new one
			s := w.send(rt, "POST", l.URL()+"/api2/json/nodes/pve2/qemu/101/status/reset")
			if (s.Err == nil) != up || !up && !kept && s.Dialled {
				t.Errorf("online %v: %v, connection %v", up, s.Err, s.Dialled)
			}
		}
	}
	if n := len(w.sim.Requests()); n != 4 {
		t.Errorf("%d requests were answered, want 4", n)
	}
}

func goroutines() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func TestListenerClose(t *testing.T) {
	m := pvesim.Cluster()
	m.Faults = []pvesim.Fault{{Match: "POST /**", Slow: time.Hour}}
	sim, err := pvesim.NewSim(m, pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, sim: sim, model: m, token: "root@pam!full"}
	l := w.listen("pve1")
	rt := w.trusting(l)
	if s := w.send(rt, "GET", l.URL()+"/api2/json/version"); s.Err != nil { // leaves an idle connection
		t.Fatal(s.Err)
	}
	silent, err := net.Dial("tcp", strings.TrimPrefix(l.URL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	slow := make(chan sent)
	go func() { slow <- w.send(w.trusting(l), "POST", l.URL()+"/api2/json/nodes/pve1/qemu/104/status/stop") }()
	for len(sim.Requests()) < 2 {
		runtime.Gosched()
	}
	const ours = "pvesim.(*Listener)"
	if !strings.Contains(goroutines(), ours) {
		t.Errorf("no goroutine of %s while it serves", ours)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if all := goroutines(); strings.Contains(all, ours) {
		t.Errorf("goroutines are left:\n%s", all)
	}
	if s := <-slow; s.Err == nil {
		t.Errorf("the answer that was awaited came: %+v", s)
	}
	if s := w.send(rt, "GET", l.URL()+"/api2/json/version"); s.Err == nil {
		t.Error("it still answers")
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

func TestPlainHTTPIsRedirected(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	l := w.listen("pve1")
	for method, want := range map[string]int{"GET": 301, "POST": 308, "DELETE": 308} {
		req, err := http.NewRequestWithContext(t.Context(), method, strings.Replace(l.URL(), "https", "http", 1)+"/api2/json/version?a=b", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); resp.StatusCode != want || to != l.URL()+"/api2/json/version?a=b" || !resp.Close {
			t.Errorf("%s: %d to %s, close %v", method, resp.StatusCode, to, resp.Close)
		}
	}
}

// Beyond its limits PVE ends the connection without an answer.
func TestLimitsOfTheHead(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	l := w.listen("pve1")
	for _, tt := range []struct {
		name     string
		path     string
		headers  []string
		answered bool
	}{
		{"62 headers", "/version", make([]string, 62), true},
		{"63 headers", "/version", make([]string, 63), false},
		{"8191 bytes", "/version", []string{strings.Repeat("x", 8191-len("H0: "))}, true},
		{"8192 bytes", "/version", []string{strings.Repeat("x", 8192-len("H0: "))}, false},
		{"a long path", "/" + strings.Repeat("x", 60_000), []string{"x"}, true},
		{"a path beyond the buffer", "/" + strings.Repeat("x", 66_000), []string{"x"}, false},
	} {
		head := "GET /api2/json" + tt.path + " HTTP/1.1\r\n"
		for i, value := range tt.headers {
			head += fmt.Sprintf("H%d: %s\r\n", i, value)
		}
		conn, err := tls.Dial("tcp", strings.TrimPrefix(l.URL(), "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, head+"\r\n") // may fail: PVE reads no further
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != tt.answered {
			t.Errorf("%s: %v, want an answer: %v", tt.name, err, tt.answered)
		}
		_ = conn.Close()
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	for _, tt := range []struct{ node, addr, want string }{
		{"pve1", "0.0.0.0:0", "0.0.0.0:0 is no loopback address"},
		{"pve1", ":8006", ":8006 is no loopback address"},
		{"pve1", "pve1:8006", "pve1:8006 is no loopback address"},
		{"pve1", "127.0.0.1", "address 127.0.0.1: missing port in address"},
		{"pve7", "127.0.0.1:0", `there is no node "pve7"`},
	} {
		if _, err := w.sim.ListenNode(tt.node, tt.addr); err == nil || err.Error() != tt.want {
			t.Errorf("%s on %s: %v, want %s", tt.node, tt.addr, err, tt.want)
		}
	}
}
