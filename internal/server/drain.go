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

// Drained returns a transport that hears of its end only when every request has
// its answer, or a minute later. A client that closes its side after its last
// request gets that answer, and a change under way is followed.
func Drained(t mcp.Transport) mcp.Transport { return drained{t} }

type drained struct{ mcp.Transport }

func (t drained) Connect(ctx context.Context) (mcp.Connection, error) {
	conn, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &drainedConn{Connection: conn}, nil
}

type drainedConn struct {
	mcp.Connection
	open sync.WaitGroup // requests without an answer
}

func (c *drainedConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	msg, err := c.Connection.Read(ctx)
	if req, ok := msg.(*jsonrpc.Request); ok && req.IsCall() {
		c.open.Add(1)
	}
	if err == nil {
		return msg, nil
	}
	answered := make(chan struct{})
	go func() { c.open.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-ctx.Done():
	case <-time.After(drainTime):
	}
	return nil, err
}

func (c *drainedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	err := c.Connection.Write(ctx, msg)
	if _, ok := msg.(*jsonrpc.Response); ok {
		c.open.Done()
	}
	return err
}
