package shell

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/tty"
)

// stream is what a file descriptor leads to.
type stream interface {
	read(ctx context.Context, b []byte) (int, error)
	write(ctx context.Context, b []byte) (int, error)
	close()
}

// handle is an open stream, which file descriptors share.
type handle struct {
	stream
	refs atomic.Int32
}

func open(s stream) *handle {
	h := &handle{stream: s}
	h.refs.Store(1)
	return h
}

func (h *handle) dup() *handle {
	h.refs.Add(1)
	return h
}

func (h *handle) release() {
	if h.refs.Add(-1) == 0 {
		h.close()
	}
}

// dupAll opens what file descriptors lead to once more, for another process.
func dupAll(fds map[int]*handle) map[int]*handle {
	out := make(map[int]*handle, len(fds))
	for fd, h := range fds {
		out[fd] = h.dup()
	}
	return out
}

// errPipe says that nobody reads a pipe any more.
const errPipe = memfs.Errno("Broken pipe")

// file is one of the file system.
type file struct{ *memfs.File }

func (f file) read(_ context.Context, b []byte) (int, error)  { return f.Read(b) }
func (f file) write(_ context.Context, b []byte) (int, error) { return f.Write(b) }
func (f file) close()                                         {}

// terminal is a terminal.
type terminal struct{ *tty.TTY }

func (t terminal) read(ctx context.Context, b []byte) (int, error) { return t.Read(ctx, b) }
func (t terminal) write(_ context.Context, b []byte) (int, error)  { return t.Write(b) }
func (t terminal) close()                                          {}

// null is /dev/null, and zero is /dev/zero.
type (
	null struct{}
	zero struct{ null }
)

func (null) read(context.Context, []byte) (int, error)       { return 0, io.EOF }
func (null) write(_ context.Context, b []byte) (int, error)  { return len(b), nil }
func (null) close()                                          {}
func (zero) read(ctx context.Context, b []byte) (int, error) { clear(b); return len(b), ctx.Err() }

// buffer is what is given at once, and what is kept of output.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer // guarded by mu
}

// openText is text to read.
func openText(text string) *handle {
	b := &buffer{}
	b.data.WriteString(text)
	return open(b)
}

func (o *buffer) read(_ context.Context, b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Read(b)
}

func (o *buffer) write(_ context.Context, b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(b)
}

func (o *buffer) close() {}

func (o *buffer) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

// pipe is what one end writes and the other reads.
type pipe struct {
	mu      sync.Mutex
	data    []byte        // guarded by mu
	ends    [2]bool       // that are closed: of the reader, of the writer; guarded by mu
	changed chan struct{} // closed at a change; guarded by mu
}

// pipeSize is how much a pipe holds.
const pipeSize = 64 << 10

// newPipe returns the ends of a pipe.
func newPipe() (reader, writer *handle) {
	p := &pipe{changed: make(chan struct{})}
	return open(pipeEnd{p, 0}), open(pipeEnd{p, 1})
}

type pipeEnd struct {
	*pipe
	end int
}

func (p pipeEnd) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[p.end] = true
	p.wake()
}

func (p *pipe) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until do has done something.
func (p *pipe) await(ctx context.Context, do func() bool) error {
	for {
		p.mu.Lock()
		done := do()
		changed := p.changed
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p pipeEnd) read(ctx context.Context, b []byte) (n int, err error) {
	waited := p.await(ctx, func() bool {
		if len(p.data) == 0 {
			if p.ends[1] {
				err = io.EOF
			}
			return p.ends[1]
		}
		n = copy(b, p.data)
		p.data = p.data[n:]
		p.wake()
		return true
	})
	if waited != nil {
		return 0, waited
	}
	return n, err
}

func (p pipeEnd) write(ctx context.Context, b []byte) (n int, err error) {
	waited := p.await(ctx, func() bool {
		if p.ends[0] {
			err = errPipe
			return true
		}
		k := min(len(b)-n, pipeSize-len(p.data))
		if k > 0 {
			p.data = append(p.data, b[n:n+k]...)
			n += k
			p.wake()
		}
		return n == len(b)
	})
	if waited != nil {
		return n, waited
	}
	return n, err
}

// bound is a stream for one process: what it waits for ends with the process.
type bound struct {
	h   *handle
	ctx context.Context
	err error
}

func (b *bound) Read(p []byte) (int, error) {
	if b.h == nil {
		return 0, memfs.ErrReadOnly
	}
	if len(p) == 0 {
		return 0, nil
	}
	return b.h.read(b.ctx, p)
}

func (b *bound) Write(p []byte) (int, error) {
	if b.h == nil {
		return 0, memfs.ErrReadOnly
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.h.write(b.ctx, p)
	if err != nil {
		b.err = err
	}
	return n, err
}
