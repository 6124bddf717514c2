package server

import (
	"context"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// drainTime bounds how long the end of a connection is kept back.
const drainTime = time.Minute

// Drained returns a transport that hears of its end only when every request has its
// answer, or a minute later. A client that closes its side after its last request
// gets that answer, and a change under way is followed.
func Drained(t mcp.Transport) mcp.Transport { return drained{t} }

type drained struct{ mcp.Transport }

func (t drained) Connect(ctx context.Context) (mcp.Connection, error) {
	conn, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &drainedConn{Connection: conn, open: map[jsonrpc.ID]bool{}, idle: make(chan struct{})}, nil
}

type drainedConn struct {
	mcp.Connection

	mu    sync.Mutex
	open  map[jsonrpc.ID]bool // requests without an answer; guarded by mu
	ended bool                // the client has closed its side; guarded by mu
	idle  chan struct{}       // closed when ended and nothing is open
}

func (c *drainedConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	msg, err := c.Connection.Read(ctx)
	if err == nil {
		// A subscription is answered when it ends, which is now.
		if req, ok := msg.(*jsonrpc.Request); ok && req.IsCall() && req.Method != "subscriptions/listen" {
			c.mu.Lock()
			c.open[req.ID] = true
			c.mu.Unlock()
		}
		return msg, nil
	}
	c.mu.Lock()
	c.ended = true
	c.settle()
	c.mu.Unlock()
	select {
	case <-c.idle:
	case <-ctx.Done():
	case <-time.After(drainTime):
	}
	return nil, err
}

func (c *drainedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	err := c.Connection.Write(ctx, msg)
	if resp, ok := msg.(*jsonrpc.Response); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, resp.ID)
		c.settle()
	}
	return err
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
