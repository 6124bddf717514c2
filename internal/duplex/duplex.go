// Package duplex reads and writes a connection at the same time, so that neither side waits
// for the other to read first.
package duplex

import (
	"context"
	"errors"
	"sync"
)

// Stream is a connection, such as a console. Each of its methods is used by one goroutine at
// a time. A context that ends in Read may end the connection.
type Stream interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, data []byte) error
	Close() error
}

// Conn is a stream whose reads can be given up without ending it.
type Conn struct {
	stream  Stream
	cancel  context.CancelFunc
	arrived chan []byte
	queue   chan []byte
	both    sync.WaitGroup

	mu  sync.Mutex
	err error // why it has ended; guarded by mu
}

// mostQueued is how many messages may wait for the other side to take them.
const mostQueued = 4096

// ErrStuck means that the other side takes nothing.
var ErrStuck = errors.New("the console takes no more input")

// New takes over a stream, until [Conn.Close]. It ends with ctx, too.
func New(ctx context.Context, s Stream) *Conn {
	ctx, cancel := context.WithCancel(ctx)
	c := &Conn{stream: s, cancel: cancel, arrived: make(chan []byte), queue: make(chan []byte, mostQueued)}
	c.both.Go(func() { c.readAll(ctx) })
	c.both.Go(func() { c.writeAll(ctx) })
	return c
}

func (c *Conn) readAll(ctx context.Context) {
	defer close(c.arrived)
	for {
		data, err := c.stream.Read(ctx)
		if len(data) > 0 {
			select {
			case c.arrived <- data:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Conn) writeAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case data := <-c.queue:
			if err := c.stream.Write(ctx, data); err != nil {
				c.fail(err)
				return
			}
		}
	}
}

// fail keeps the first reason for which the connection has ended.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Next waits for the next bytes. If ctx ends before they come, nothing is lost. The error is
// io.EOF if the other side has ended the connection.
func (c *Conn) Next(ctx context.Context) ([]byte, error) {
	select {
	case data, ok := <-c.arrived:
		if ok {
			return data, nil
		}
		if err := c.reason(); err != nil {
			return nil, err
		}
		return nil, context.Canceled
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Send queues bytes. That they were taken is not known. If the connection has ended, Next says
// so, after what had come before.
func (c *Conn) Send(data []byte) error {
	select {
	case c.queue <- data:
		return nil
	default:
		return ErrStuck
	}
}

// Close ends the connection, and waits until nobody uses the stream any more.
func (c *Conn) Close() error {
	c.cancel()
	err := c.stream.Close()
	c.both.Wait()
	return err
}
