// Package mcphttp serves MCP to many clients over Streamable HTTP: both eras of the
// protocol on one path, for callers who are known, within limits.
package mcphttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Path is where MCP is served.
const Path = "/mcp"

// Options configure the server.
type Options struct {
	Server *mcp.Server
	// Authenticate finds out who calls. If it is nil, anyone who can reach the server is
	// let in, so only this machine may reach it.
	Authenticate Authenticator
	// OAuth, if not nil, tells clients where they get a token.
	OAuth *OAuth
	// Policy is that of the tools. It says for which scopes there is a use.
	Policy policy.Policy
	// Audit keeps calls that a caller's scopes do not cover; nil keeps nothing.
	Audit *audit.Log
	// OwnTokens, if not nil, takes PVE tokens of callers.
	OwnTokens *OwnTokens
	// Hosts are the names by which clients call the server, besides those of this machine
	// and its addresses. Origins are the web sites whose pages may.
	Hosts, Origins []string
	// Proxies are believed from which address a client has called them, and that its
	// connection to them is encrypted.
	Proxies []netip.Prefix
	// Rate is how many requests a caller may make a second, in bursts of twice as many; 0
	// for any number.
	Rate float64
	// SessionsOff serves clients of the handshake versions without sessions, so that any
	// replica can; their humans cannot be asked then.
	SessionsOff bool
	// TLS, if not nil, is that of the listener.
	TLS *tls.Config
	// Ready reports whether PVE can be reached. If it is nil, the answer is yes.
	Ready func(context.Context) error
	// Metrics, if not nil, are shown at /metrics to callers who say who they are.
	Metrics *Metrics
	// Drain is how long requests under way may go on after the server starts to stop.
	Drain  time.Duration
	Logger *slog.Logger
}

const (
	headerTime = 10 * time.Second // to send the header of a request
	bodyTime   = 30 * time.Second // to send its body
	// unwantedTime is how long a body may take that nobody wants to read, such as that of a
	// request that is refused for its token.
	unwantedTime = 5 * time.Second
	idleTime     = 2 * time.Minute  // between two requests on a connection
	writeTime    = 30 * time.Second // to take what is sent
	headerBytes  = 16 << 10
	bodyBytes    = 1 << 20
	frameBytes   = 16 << 10 // of HTTP/2
	windowBytes  = 64 << 10 // of HTTP/2: what may arrive before it is read
	// stopTime is how long calls have to answer what is known by then, after they were
	// cancelled.
	stopTime = 5 * time.Second
)

// Serve serves until ctx ends, and then for as long as the requests under way need, at
// most for the time of the option Drain. The listener is closed.
func Serve(ctx context.Context, l net.Listener, o Options) error {
	if err := check(l.Addr(), o); err != nil {
		return errors.Join(err, l.Close())
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	o.Server.AddReceivingMiddleware(mcpserver.EndWith(calls))
	if o.Metrics != nil {
		o.Server.AddReceivingMiddleware(o.Metrics.count)
	}
	h := newHandler(ctx, o)
	s := &http.Server{
		Handler:           h.routes(),
		TLSConfig:         o.TLS,
		ReadHeaderTimeout: headerTime,
		WriteTimeout:      writeTime, // of what is no stream
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		ConnState:         h.conns.changed,
		ConnContext:       h.conns.name,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: callersRequests, MaxReadFrameSize: frameBytes,
			MaxReceiveBufferPerConnection: windowBytes, MaxReceiveBufferPerStream: windowBytes,
		},
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug), // clients that give up
	}
	scheme := "http"
	if o.TLS != nil {
		scheme = "https"
	}
	o.Logger.Info("serving MCP", "url", scheme+"://"+l.Addr().String()+Path)
	served := make(chan error, 1)
	go func() {
		if o.TLS != nil {
			served <- s.ServeTLS(l, "", "")
			return
		}
		served <- s.Serve(l)
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	return drain(s, h, cancel)
}

// drain ends a server: first for those who begin something, then, when the time is up,
// for those under way, and at last for streams without an end, since a client that loses
// one gives up its calls.
func drain(s *http.Server, h *handler, cancelCalls func()) error {
	closed := make(chan error, 1)
	patience, done := context.WithTimeout(context.Background(), h.Drain+stopTime)
	defer done()
	go func() { closed <- s.Shutdown(patience) }()
	if !h.idle(h.Drain) {
		h.Logger.Warn("calls are still under way after the time to drain; they are cancelled", "time", h.Drain)
		cancelCalls()
		h.idle(stopTime)
	}
	h.endStreams()
	err := <-closed
	if errors.Is(err, context.DeadlineExceeded) {
		h.Logger.Warn("connections are cut that did not end in time")
		err = nil
	}
	for session := range h.Server.Sessions() {
		err = errors.Join(err, session.Close())
	}
	return errors.Join(err, s.Close())
}

// check refuses what would let strangers in.
func check(addr net.Addr, o Options) error {
	tcp, ok := addr.(*net.TCPAddr)
	if o.Authenticate != nil || ok && tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%v can be reached from other machines, and nobody would be asked who they are: "+
		"set PVE_MCP_HTTP_TOKENS or PVE_MCP_OAUTH_ISSUER, or listen on 127.0.0.1", addr)
}
