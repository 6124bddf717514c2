package mcphttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// wire is a listener whose connections are pipes, so that time can be simulated.
type wire struct {
	addr  string // where the next connections come from, "" for nowhere
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error   { w.once.Do(func() { close(w.done) }); return nil }
func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if w.addr != "" {
		theirs = cameFrom{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(w.addr), 999))}
	}
	select {
	case w.conns <- theirs:
		return ours, nil
	case <-w.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cameFrom is a connection with an address at its other end.
type cameFrom struct {
	net.Conn
	addr net.Addr
}

func (c cameFrom) RemoteAddr() net.Addr { return c.addr }

// from has the next connections come from an address.
func (s *site) from(addr string) {
	s.http.CloseIdleConnections()
	s.wire.addr = addr
}

// site is a server that is up, within a bubble of simulated time.
type site struct {
	*sim.World
	server *mcp.Server
	wire   *wire
	http   *http.Client
	stop   func() error // tells it to stop and waits until it has
}

const base = "http://localhost:8080"

// visit lets tell talk to a server.
func visit(t *testing.T, w sim.Options, o mcphttp.Options, tell func(*site)) {
	t.Helper()
	visitOn(t, w, func(world *sim.World) mcphttp.Options {
		if o.Server == nil {
			o.Server = mcpserver.New(mcpserver.Options{Version: "test", Host: world.Host})
		}
		return o
	}, tell)
}

// visitOn is visit with a server that is made for its world.
func visitOn(t *testing.T, w sim.Options, build func(*sim.World) mcphttp.Options, tell func(*site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		world := sim.New(t, w)
		s := open(world, build(world))
		tell(s)
		s.http.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// open starts a server.
func open(world *sim.World, o mcphttp.Options) *site {
	s := &site{World: world, server: o.Server, wire: &wire{conns: make(chan net.Conn), done: make(chan struct{})}}
	ctx, cancel := context.WithCancel(world.Context())
	ended := make(chan error, 1)
	go func() { ended <- mcphttp.Serve(ctx, s.wire, o) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	s.http = &http.Client{Transport: &http.Transport{DialContext: s.wire.dial}}
	return s
}

// eras are what clients speak.
var eras = []string{"2025-06-18", "2025-11-25", "2026-07-28"}

// connect connects a client of an era.
func (s *site) connect(era string, o *mcp.ClientOptions, header http.Header) *mcp.ClientSession {
	s.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	hc := &http.Client{Transport: withHeader{s.http.Transport, header}}
	session, err := client.Connect(s.Context(), &mcp.StreamableClientTransport{Endpoint: base + mcphttp.Path, HTTPClient: hc},
		&mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		s.Fatal(err)
	}
	return session
}

type withHeader struct {
	http.RoundTripper
	header http.Header
}

func (h withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for k, v := range h.header {
		r.Header[k] = v
	}
	return h.RoundTripper.RoundTrip(r)
}

// request makes a request of the era 2026-07-28. Pairs of more are headers.
func (s *site) request(method string, params map[string]any, more ...string) *http.Request {
	s.Helper()
	all := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}}
	for k, v := range params {
		all[k] = v
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "method": method, "params": all})
	if err != nil {
		s.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, base+mcphttp.Path, bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	r.Header.Set("Mcp-Method", method)
	if name, ok := params["name"].(string); ok {
		r.Header.Set("Mcp-Name", name)
	}
	for i := 0; i+1 < len(more); i += 2 {
		if r.Header.Set(more[i], more[i+1]); more[i] == "Host" {
			r.Host = more[i+1]
		}
	}
	return r
}

// toolCall is the request of a call of a tool.
func (s *site) toolCall(name string, args map[string]any, more ...string) *http.Request {
	if args == nil {
		args = map[string]any{}
	}
	return s.request("tools/call", map[string]any{"name": name, "arguments": args}, more...)
}

// withID gives a request another id, since a session has each once at a time.
func withID(r *http.Request, id int) *http.Request {
	body, err := r.GetBody()
	if err != nil {
		panic(err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	data = bytes.Replace(data, []byte(`"id":7`), fmt.Appendf(nil, `"id":%d`, 1000+id), 1)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return r
}

// do sends a request and reads the answer to its end.
func (s *site) do(r *http.Request) (*http.Response, string) {
	s.Helper()
	resp, err := s.http.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Error(err)
	}
	return resp, string(body)
}

// get asks for a page.
func (s *site) get(path string, more ...string) (*http.Response, string) {
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	return s.do(r)
}

// anybody lets in every caller with a token.
func anybody(context.Context, string) (*auth.TokenInfo, error) {
	return &auth.TokenInfo{UserID: "caller", Scopes: []string{"pve:destroy"}}, nil
}
