package pvesim_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// pipes is a listener of connections within the process, on which time can be
// simulated.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// line is a connection to a simulated cluster that a test writes on itself.
type line struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
	auth string
}

// raw calls test with a connection, on simulated time.
func raw(t *testing.T, m pvesim.Model, test func(l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim, err := pvesim.NewSim(m, pvesim.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		listener := make(pipes, 1)
		listener <- theirs
		server := &http.Server{Handler: sim}
		go func() { _ = server.Serve(listener) }()
		defer func() {
			ours.Close()
			close(listener)
			_ = server.Close()
		}()
		test(&line{T: t, conn: ours, in: bufio.NewReader(ours), auth: "Authorization: " + m.Token("root@pam!full").Header() + "\r\n"})
	})
}

// ask sends a request and returns the status line and whether the server goes on.
func (l *line) ask(request, headers, body string) (status string, goesOn bool) {
	l.Helper()
	go func() { // a server that refuses reads no further
		_, _ = io.WriteString(l.conn, request+" HTTP/1.1\r\nHost: pve\r\n"+l.auth+headers+"\r\n"+body)
	}()
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		l.Fatalf("%s: %v", request, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		l.Fatalf("%s: %v", request, err)
	}
	return resp.Status, !resp.Close
}

// ended awaits the end of the connection and returns how long that took.
func (l *line) ended() time.Duration {
	l.Helper()
	start := time.Now()
	if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
		l.Fatalf("the connection goes on: %v", err)
	}
	return time.Since(start)
}

// What PVE's server refuses of a request's form, after which it ends the connection.
func TestRefusalsOfTheWire(t *testing.T) {
	for _, tt := range []struct{ request, headers, body, want string }{
		{"POST /api2/json/nodes/pve1/qemu/100/status/reset", "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n", "501 chunked transfer encoding not supported"},
		{"GET /api2/json/version", "Content-Length: 3\r\n", "a=b", "501 Unexpected content for method 'GET'"},
		{"DELETE /api2/json/nodes/pve1/qemu/100", "Content-Length: 7\r\n", "purge=1", "501 Unexpected content for method 'DELETE'"},
		{"PATCH /api2/json/version", "", "", "501 method 'PATCH' not available"},
		{"GET /", "", "", "501 no such uri"},
		{"GET /api2/json/nope", "", "", "501 Method 'GET /nope' not implemented"},
		{"PUT /api2/json/nodes/pve1/qemu/100/config", "Content-Type: text/plain\r\nContent-Length: 3\r\n", "a=b", "506 upload 'Content-Type 'text/plain' not implemented"},
		{"PUT /api2/json/nodes/pve1/qemu/100/config", fmt.Sprintf("Content-Length: %d\r\n", 513<<10), strings.Repeat("a", 513<<10), "501 for data too large"},
		{"POST /api2/json/nodes/pve1/qemu/100/status/start?", "Content-Type: application/json\r\nContent-Length: 1\r\n", "{", "500 malformed JSON string"},
	} {
		raw(t, pvesim.Cluster(), func(l *line) {
			status, goesOn := l.ask(tt.request, tt.headers, tt.body)
			if !strings.HasPrefix(status, tt.want) || goesOn {
				l.Errorf("%s: %s, goes on %v; want %s", tt.request, status, goesOn, tt.want)
			}
			if took := l.ended(); took != 0 {
				l.Errorf("%s: the connection ended after %v", tt.request, took)
			}
		})
	}
}

// A connection is kept for 5 s after an answer, and ends with one that refuses.
func TestIdleConnectionsEnd(t *testing.T) {
	raw(t, pvesim.Cluster(), func(l *line) {
		for range 3 {
			if status, goesOn := l.ask("GET /api2/json/version", "", ""); status != "200 OK" || !goesOn {
				l.Errorf("%s, goes on %v", status, goesOn)
			}
			time.Sleep(4 * time.Second)
		}
		if took := l.ended(); took != time.Second {
			l.Errorf("idle for 4 s, it ended after %v", took)
		}
	})
}

func TestRefusedTokensWait(t *testing.T) {
	raw(t, pvesim.Cluster(), func(l *line) {
		l.auth = "Authorization: PVEAPIToken=root@pam!full=no\r\n"
		start := time.Now()
		status, goesOn := l.ask("GET /api2/json/version", "", "")
		if took := time.Since(start); status != "401 Authentication failed!" || goesOn || took != 3*time.Second {
			l.Errorf("%s after %v, goes on %v", status, took, goesOn)
		}
	})
}

// A node that is down is looked for for a while.
func TestProxiedToADeadNode(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	raw(t, m, func(l *line) {
		start := time.Now()
		status, goesOn := l.ask("GET /api2/json/nodes/pve3/status", "", "")
		if took := time.Since(start); status != "595 No route to host" || goesOn || took != 3*time.Second {
			l.Errorf("%s after %v, goes on %v", status, took, goesOn)
		}
	})
}
