package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
)

const (
	// drainTime bounds how long a session goes on whose client has closed its side.
	drainTime = time.Minute
	// stopTime limits how long it goes on after the signal to end.
	stopTime = 5 * time.Second
)

// Serve serves a session on two streams, as MCP's stdio transport wants it, until the
// client closes its side or ctx ends.
//
// A client that closes its side after its last request gets that answer, within a
// minute, and a change under way is followed. Where ctx ends, the calls under way are
// cancelled and have 5 s to answer what is known by then. A line that is no message is
// answered with an error and ends nothing.
func Serve(ctx context.Context, s *mcp.Server, in io.Reader, out io.Writer) error {
	s.AddReceivingMiddleware(EndWith(ctx))
	shared := &sharedWriter{out: out}
	return s.Run(context.WithoutCancel(ctx), drained{
		Transport: &mcp.IOTransport{Reader: io.NopCloser(newMessages(in, shared)), Writer: shared},
		stop:      ctx,
		out:       shared,
	})
}

// EndWith cancels the calls under way when stop ends.
func EndWith(stop context.Context) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(stop, cancel)()
			return next(ctx, method, req)
		}
	}
}

// sharedWriter writes whole lines of several writers. Its end is the caller's business.
type sharedWriter struct {
	mu  sync.Mutex
	out io.Writer // guarded by mu
}

func (w *sharedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

func (w *sharedWriter) Close() error { return nil }

// drained is a transport that hears of its end, by the client or by stop, only when
// every request has its answer, or the time for that is up.
type drained struct {
	mcp.Transport
	stop context.Context
	out  io.Writer // takes whole lines
}

func (t drained) Connect(ctx context.Context) (mcp.Connection, error) {
	conn, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &drainedConn{Connection: conn, stop: t.stop, out: t.out, open: map[jsonrpc.ID]bool{}, idle: make(chan struct{})}, nil
}

type drainedConn struct {
	mcp.Connection
	stop context.Context
	out  io.Writer

	mu    sync.Mutex
	open  map[jsonrpc.ID]bool // requests without an answer; guarded by mu
	ended bool                // nothing more is read; guarded by mu
	idle  chan struct{}       // closed when ended and nothing is open
}

func (c *drainedConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.stop, cancel)()
	for {
		msg, err := c.Connection.Read(reading)
		if err != nil {
			c.drain(ctx)
			if c.stop.Err() != nil {
				return nil, io.EOF
			}
			return nil, err
		}
		req, ok := msg.(*jsonrpc.Request)
		if !ok || !req.IsCall() || c.begin(req) {
			return msg, nil
		}
		// Its answer has no id: the client would take it for that of the other request.
		again := &rpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: fmt.Sprintf("a request with the id %v is under way; this one was not carried out", req.ID.Raw())}
		if _, err := c.out.Write(append(again.Answer(), '\n')); err != nil {
			return nil, err
		}
	}
}

// begin notes a request that is to be answered. It returns false if one with its id has
// no answer yet.
func (c *drainedConn) begin(req *jsonrpc.Request) bool {
	if req.Method == "subscriptions/listen" { // is answered when it ends, which is with the session
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[req.ID] {
		return false
	}
	c.open[req.ID] = true
	return true
}

// drain returns when every request has its answer, or the time for that is up.
func (c *drainedConn) drain(ctx context.Context) {
	c.mu.Lock()
	c.ended = true
	c.settle()
	c.mu.Unlock()
	told := make(chan struct{})
	defer context.AfterFunc(c.stop, func() { time.AfterFunc(stopTime, func() { close(told) }) })()
	select {
	case <-c.idle:
	case <-told:
	case <-ctx.Done():
	case <-time.After(drainTime):
	}
}

func (c *drainedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	resp, answers := msg.(*jsonrpc.Response)
	if answers {
		msg = withCode(resp)
	}
	err := c.Connection.Write(ctx, msg)
	if answers {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, resp.ID)
		c.settle()
	}
	return err
}

// withCode gives an error a code of JSON-RPC if the SDK gives it none: to a request that
// comes before initialize.
func withCode(resp *jsonrpc.Response) *jsonrpc.Response {
	var wire *jsonrpc.Error
	if resp.Error == nil || errors.As(resp.Error, &wire) && wire.Code != 0 {
		return resp
	}
	own, code := *resp, int64(jsonrpc.CodeInternalError)
	if strings.Contains(resp.Error.Error(), "session initialization") {
		code = jsonrpc.CodeInvalidRequest
	}
	own.Error = &jsonrpc.Error{Code: code, Message: resp.Error.Error()}
	return &own
}

// settle closes idle, once. It is called with mu held.
func (c *drainedConn) settle() {
	if !c.ended || len(c.open) > 0 {
		return
	}
	select {
	case <-c.idle:
	default:
		close(c.idle)
	}
}
