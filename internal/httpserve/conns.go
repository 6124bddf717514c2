package httpserve

import (
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
// nothing was asked for the longest time. Requests under way lose none.
type conns struct {
	mu   sync.Mutex
	all  map[net.Conn]bool      // guarded by mu
	idle map[net.Conn]time.Time // since when nothing is asked on them; guarded by mu
}

func newConns() *conns {
	return &conns{all: map[net.Conn]bool{}, idle: map[net.Conn]time.Time{}}
}

// changed hears of the connections of a [http.Server].
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.all[conn] = true
		c.idle[conn] = time.Now()
		if len(c.all) > maxConns {
			c.cut()
		}
	case http.StateIdle:
		c.idle[conn] = time.Now()
	case http.StateActive:
		delete(c.idle, conn)
	case http.StateClosed, http.StateHijacked:
		delete(c.idle, conn)
		delete(c.all, conn)
	}
}

// cut closes the connection that was idle for the longest time. It is called with mu held,
// when there is one.
func (c *conns) cut() {
	var oldest net.Conn
	for conn, since := range c.idle {
		if oldest == nil || since.Before(c.idle[oldest]) {
			oldest = conn
		}
	}
	delete(c.idle, oldest)
	delete(c.all, oldest)
	if secured, ok := oldest.(*tls.Conn); ok {
		oldest = secured.NetConn() // without the farewell, which the client might not take
	}
	_ = oldest.Close() // whoever serves it hears of it
}
