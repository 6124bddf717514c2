package terminal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/duplex"
)

// ErrRefused means that the terminal proxy has ended the connection without letting us in.
var ErrRefused = errors.New("the terminal proxy has ended the connection")

// Terminal is a connection to a terminal. It is used by one goroutine at a time.
type Terminal struct {
	*Emulator

	conn  *duplex.Conn
	Ended error // why nothing more comes, nil while something may
}

// Columns and Rows are the size of the terminals that are opened.
const Columns, Rows = 80, 25

// beginTime is how long the proxy may take to let us in.
const beginTime = 20 * time.Second

// Open takes over a stream to PVE's terminal proxy, and begins the conversation. The connection
// ends with ctx. On an error the stream is closed. The error is [ErrRefused] if the proxy does
// not accept the ticket, or who has it.
func Open(ctx context.Context, s duplex.Stream, user, ticket string) (*Terminal, error) {
	t := &Terminal{conn: duplex.New(ctx, s), Emulator: NewEmulator(Columns, Rows)}
	beginning, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	if err := t.begin(beginning, user, ticket); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Terminal) begin(ctx context.Context, user, ticket string) error {
	if err := t.conn.Send(fmt.Appendf(nil, "%s:%s\n", user, ticket)); err != nil {
		return err
	}
	var said []byte
	for len(said) < len("OK") {
		data, err := t.conn.Next(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return errors.Join(ErrRefused, err)
		case err != nil:
			return err
		}
		said = append(said, data...)
	}
	rest, ok := bytes.CutPrefix(said, []byte("OK"))
	if !ok {
		return ErrRefused
	}
	_, _ = t.Write(rest) // never fails
	return t.conn.Send(fmt.Appendf(nil, "1:%d:%d:", Columns, Rows))
}

// Watch waits for what the terminal shows next. If ctx ends before, changed is false. If the
// other side has ended the connection, Ended says why.
func (t *Terminal) Watch(ctx context.Context) (changed bool) {
	if t.Ended != nil {
		<-ctx.Done()
		return false
	}
	data, err := t.conn.Next(ctx)
	_, _ = t.Write(data) // never fails
	if err != nil && ctx.Err() == nil {
		t.Ended = err
	}
	return len(data) > 0
}

// Type types into the terminal.
func (t *Terminal) Type(text string) error {
	return t.conn.Send(fmt.Appendf(nil, "0:%d:%s", len(text), text))
}

// Close ends the connection.
func (t *Terminal) Close() error { return t.conn.Close() }
