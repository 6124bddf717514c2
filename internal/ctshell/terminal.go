package ctshell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Conn is a connection to the terminal of a guest. Each direction is for one goroutine.
type Conn interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, data []byte) error
	Close() error
}

// terminal speaks the protocol of PVE's terminal proxy.
type terminal struct {
	conn Conn
	in   chan []byte // what came; closed at the end
	end  error       // why it ended, once in is closed
	stop context.CancelFunc
}

// errQuiet says that nothing came in time.
var errQuiet = errors.New("nothing came")

// newTerminal begins to read a connection.
func newTerminal(ctx context.Context, conn Conn) *terminal {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &terminal{conn: conn, in: make(chan []byte), stop: stop}
	go func() {
		defer close(t.in)
		for {
			data, err := conn.Read(ctx)
			if len(data) > 0 {
				select {
				case t.in <- data:
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
			if err != nil {
				t.end = err
				return
			}
		}
	}()
	return t
}

// close ends the connection, and the goroutine that reads it.
func (t *terminal) close() error {
	t.stop()
	err := t.conn.Close()
	for range t.in { // until the reader has seen it
	}
	return err
}

// receive returns what comes next. The error is errQuiet if that is nothing for some time.
func (t *terminal) receive(ctx context.Context, within time.Duration) ([]byte, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case data, ok := <-t.in:
		if !ok {
			return nil, t.end
		}
		return data, nil
	case <-timer.C:
		return nil, errQuiet
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// login says who connects, and returns what came after the proxy's OK.
func (t *terminal) login(ctx context.Context, user, ticket string) ([]byte, error) {
	const patience = 10 * time.Second
	if err := t.conn.Write(ctx, []byte(user+":"+ticket+"\n")); err != nil {
		return nil, err
	}
	var got []byte
	for !bytes.HasPrefix(got, []byte("OK")) {
		data, err := t.receive(ctx, patience)
		switch {
		case errors.Is(err, errQuiet), errors.Is(err, io.EOF):
			return nil, &UnusableError{Why: Refused}
		case err != nil && ctx.Err() == nil:
			return nil, &UnusableError{Why: Refused, Detail: err.Error()}
		case err != nil:
			return nil, err
		}
		if got = append(got, data...); len(got) >= 2 && !bytes.HasPrefix(got, []byte("OK")) {
			return nil, &UnusableError{Why: Refused, Detail: lastLine(got)}
		}
	}
	return got[2:], nil
}

// keep keeps the connection from being idle.
func (t *terminal) keep(ctx context.Context) error { return t.conn.Write(ctx, []byte("2")) }

// resize makes the terminal so wide that no line of ours is wrapped.
func (t *terminal) resize(ctx context.Context) error {
	return t.conn.Write(ctx, fmt.Appendf(nil, "1:%d:%d:", columns, rows))
}

// send types a text.
func (t *terminal) send(ctx context.Context, text string) error {
	return t.conn.Write(ctx, fmt.Appendf(nil, "0:%d:%s", len(text), text))
}
