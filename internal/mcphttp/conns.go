package mcphttp

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConns is how many connections there are at a time, of clients that are let in and of
// others.
const maxConns = 2048

// conns bounds connections: a new one that is too many takes the place of the one on which
// the longest time nothing was let in. Requests that are let in lose none.
type conns struct {
	mu    sync.Mutex
	all   map[net.Conn]bool      // guarded by mu
	spare map[net.Conn]time.Time // since when nothing that is let in is under way; guarded by mu
	inUse map[net.Conn]int       // by how many requests that are let in; guarded by mu
}

func newConns() *conns {
	return &conns{all: map[net.Conn]bool{}, spare: map[net.Conn]time.Time{}, inUse: map[net.Conn]int{}}
}

// changed hears of the connections of a [http.Server].
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.all[conn] = true
		c.spare[conn] = time.Now()
		if len(c.all) > maxConns {
			c.cut()
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.spare, conn)
		delete(c.inUse, conn)
		delete(c.all, conn)
	}
}

type connKey struct{}

// name lets the requests on a connection know it.
func (c *conns) name(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// keep keeps the connection of a request that is let in until it has ended.
func (c *conns) keep(r *http.Request) (ended func()) {
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.all[conn] { // it is closed
		return func() {}
	}
	c.inUse[conn]++
	delete(c.spare, conn)
	return func() { c.release(conn) }
}

func (c *conns) release(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.all[conn] { // it is closed
		return
	}
	if c.inUse[conn]--; c.inUse[conn] == 0 {
		delete(c.inUse, conn)
		c.spare[conn] = time.Now()
	}
}

// cut closes the connection that was spare for the longest time. It is called with mu held,
// when there is one.
func (c *conns) cut() {
	var oldest net.Conn
	for conn, since := range c.spare {
		if oldest == nil || since.Before(c.spare[oldest]) {
			oldest = conn
		}
	}
	delete(c.spare, oldest)
	delete(c.all, oldest)
	if secured, ok := oldest.(*tls.Conn); ok {
		oldest = secured.NetConn() // without the farewell, which the client might not take
	}
	_ = oldest.Close() // its handler gets the error
}
