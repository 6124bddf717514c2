package pvesim

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// Listener serves a node of a simulated cluster over HTTPS, as PVE does: HTTP/1.1,
// with a certificate that the cluster's CA has signed.
type Listener struct {
	sim      *Sim
	node     *node
	listener net.Listener
	stop     context.CancelFunc // ends calls under way
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu; nil when closed
}

// Listen serves the first node on a loopback address, such as 127.0.0.1:0.
func (s *Sim) Listen(addr string) (*Listener, error) { return s.ListenNode(s.nodes[0].Name, addr) }

// ErrNotLoopback is why [Sim.ListenNode] does not listen: everybody who reaches the
// simulated cluster knows its tokens and passwords. [Sim.Serve] serves elsewhere.
var ErrNotLoopback = errors.New("no loopback address")

// ListenNode serves a node on a loopback address. While the node is offline,
// connections end at once.
func (s *Sim) ListenNode(node, addr string) (*Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s is %w", addr, ErrNotLoopback)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	l, err := s.Serve(node, listener)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return l, nil
}

// Serve serves a node as ListenNode does, by a listener of the caller's, on any address. If
// there is no error, closing the result closes the listener.
func (s *Sim) Serve(node string, listener net.Listener) (*Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodeNamed(node)
	if n == nil {
		return nil, fmt.Errorf("there is no node %q", node)
	}
	if err := s.ensureCertificates(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Listener{sim: s, node: n, listener: listener, stop: stop, conns: map[net.Conn]bool{}}
	l.running.Go(func() { l.accept(ctx) })
	return l, nil
}

// URL is where it listens, as seen from this machine.
func (l *Listener) URL() string {
	addr := l.listener.Addr().String()
	if tcp, ok := l.listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return "https://" + addr
}

// Fingerprint is the SHA-256 of the node's certificate, as PVE writes it: AB:CD:….
func (l *Listener) Fingerprint() string {
	l.sim.mu.Lock()
	defer l.sim.mu.Unlock()
	return l.node.fingerprint
}

// CA is the certificate of the cluster's CA as PEM. A node presents its own alone.
func (l *Listener) CA() []byte {
	l.sim.mu.Lock()
	defer l.sim.mu.Unlock()
	return l.sim.ca
}

// Close ends the connections, also those on which an answer is awaited, and returns
// when nothing runs any more.
func (l *Listener) Close() error {
	err := l.listener.Close()
	l.stop()
	l.mu.Lock()
	for conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.running.Wait()
	return err
}

func (l *Listener) accept(ctx context.Context) {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() {
			defer conn.Close()
			if l.open(conn) {
				l.answer(ctx, conn)
				l.forget(conn)
			}
		})
	}
}

// open remembers a connection for Close, unless that was called.
func (l *Listener) open(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *Listener) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// answer serves one connection.
func (l *Listener) answer(ctx context.Context, raw net.Conn) {
	if l.sim.offline(l.node) {
		return
	}
	in := bufio.NewReader(raw)
	if await(raw) != nil {
		return
	}
	first, err := in.Peek(1)
	if err != nil {
		return
	}
	const handshake = 0x16
	if first[0] != handshake {
		redirect(raw, in)
		return
	}
	cert, err := l.sim.certificate(l.node)
	if err != nil {
		return
	}
	var conn net.Conn = tls.Server(peeked{raw, in}, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
	defer conn.Close()
	decrypted := bufio.NewReaderSize(conn, maxHead)
	req, r, err := nextRequest(conn, decrypted)
	if err == nil {
		l.sim.serve(ctx, l.node.Name, conn, decrypted, req, r)
	}
}

// peeked is a connection the begin of which was looked at.
type peeked struct {
	net.Conn
	in *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

// redirect sends a client that speaks plain HTTP to HTTPS.
func redirect(conn net.Conn, in *bufio.Reader) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	status := http.StatusPermanentRedirect
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		status = http.StatusMovedPermanently
	}
	resp := &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header: http.Header{"Location": {"https://" + req.Host + req.URL.RequestURI()}},
	}
	_ = resp.Write(conn)
}
