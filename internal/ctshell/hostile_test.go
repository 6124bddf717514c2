package ctshell_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/ctshell"
)

// chatter is a console that shows a prompt, and prints without end once something is typed.
type chatter struct {
	typed [][]byte
	out   chan []byte
	loud  atomic.Bool
}

func (c *chatter) Read(ctx context.Context) ([]byte, error) {
	var ticks <-chan time.Time
	if c.loud.Load() {
		ticks = time.After(100 * time.Millisecond)
	}
	select {
	case data := <-c.out:
		return data, nil
	case <-ticks:
		return bytes.Repeat([]byte("x"), 1<<20), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *chatter) Write(_ context.Context, data []byte) error {
	if len(c.typed) > 100 {
		return io.ErrShortWrite
	}
	c.typed = append(c.typed, data)
	switch len(c.typed) {
	case 1:
		c.out <- []byte("OK~ # ")
	case 3: // after the ticket and the size
		c.loud.Store(true)
		c.out <- data
	}
	return nil
}

func (c *chatter) Close() error { return nil }

// A console that never falls silent is left alone, and what was typed is taken away again.
func TestConsoleThatNeverFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := &chatter{out: make(chan []byte, 4)}
		_, err := ctshell.Open(ctx, c, "u", "t", ctshell.Options{Lasts: time.Minute})
		if e, ok := errors.AsType[*ctshell.UnusableError](err); !ok || e.Why != ctshell.InUse {
			t.Error(err)
		}
		if last := c.typed[len(c.typed)-1]; string(last) != "0:1:\x15" {
			t.Errorf("it was left with %q", last)
		}
	})
}
