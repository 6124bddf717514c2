// Package tty is a terminal as Linux has it: the line discipline between who types and the
// programs that read, and the line editor of a shell.
package tty

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// MaxLine is how many bytes of a line the canonical mode keeps; the rest of it is lost.
const MaxLine = 4095

// TTY is a terminal. Input takes what is typed; programs call Read and Write.
type TTY struct {
	show      func(b []byte) // to all who look
	interrupt func()         // what ^C does

	mu      sync.Mutex
	modes   Modes         // guarded by mu
	line    []byte        // that is being typed; guarded by mu
	ready   [][]byte      // to read: lines, or what came in raw mode; an empty one is an end; guarded by mu
	changed chan struct{} // closed when there is something to read; guarded by mu
	closed  bool          // guarded by mu
	editor  *editor       // while a shell edits a line; guarded by mu
	columns int           // guarded by mu
	rows    int           // guarded by mu
}

// Modes are the switches of stty.
type Modes struct {
	Canonical  bool // icanon: lines, with erasing
	Echo       bool
	Signals    bool // isig: ^C
	CRToNL     bool // icrnl
	OutputCRNL bool // opost onlcr
}

// Sane are the modes of a new terminal.
func Sane() Modes { return Modes{true, true, true, true, true} }

// New returns a terminal of 80x20. show gets what programs write and the echo, and is called
// while the terminal is locked; interrupt is called for ^C.
func New(show func(b []byte), interrupt func()) *TTY {
	return &TTY{show: show, interrupt: interrupt, modes: Sane(), changed: make(chan struct{}), columns: 80, rows: 20}
}

// Modes are the present ones.
func (t *TTY) Modes() Modes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.modes
}

// SetModes changes the modes. What was typed of a line can be read when lines are no more.
func (t *TTY) SetModes(m Modes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.modes.Canonical && !m.Canonical && len(t.line) > 0 {
		t.offer(t.line)
		t.line = nil
	}
	t.modes = m
}

// Size is the one that programs can ask for.
func (t *TTY) Size() (columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.columns, t.rows
}

// Resize sets the size. A shell that edits a line draws it again.
func (t *TTY) Resize(columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if columns == t.columns && rows == t.rows {
		return
	}
	t.columns, t.rows = columns, rows
	if t.editor != nil {
		t.write([]byte("\r" + t.editor.prompt + "\x1b[J" + string(t.editor.line)))
	}
}

// Input takes what was typed.
func (t *TTY) Input(b []byte) {
	for _, c := range b {
		t.typed(c)
	}
}

// typed takes one byte. The functions that it leads to are called without the lock.
func (t *TTY) typed(c byte) {
	t.mu.Lock()
	if t.editor != nil {
		done := t.edit(c)
		t.mu.Unlock()
		done()
		return
	}
	interrupted := t.discipline(c)
	t.mu.Unlock()
	if interrupted && t.interrupt != nil {
		t.interrupt()
	}
}

// The control characters.
const (
	ctrlC     = 3
	ctrlD     = 4
	ctrlU     = 21
	backspace = 8
	erase     = 127
	escape    = 27
)

// discipline takes one byte for the programs, and reports whether it was ^C.
func (t *TTY) discipline(c byte) (interrupted bool) {
	m := t.modes
	if m.CRToNL && c == '\r' {
		c = '\n'
	}
	switch {
	case m.Signals && c == ctrlC:
		t.line, t.ready = nil, nil
		t.echo(c)
		return true
	case !m.Canonical:
		t.echo(c)
		t.offer([]byte{c})
	case c == ctrlD:
		t.offer(t.line)
		t.line = nil
	case c == '\n':
		t.echo(c)
		t.offer(append(t.line, c))
		t.line = nil
	case c == erase || c == backspace:
		if n := len(t.line); n > 0 {
			t.line = t.line[:n-1]
			t.erased(1)
		}
	case c == ctrlU:
		t.erased(len(t.line))
		t.line = nil
	case len(t.line) < MaxLine:
		t.line = append(t.line, c)
		t.echo(c)
	}
	return false
}

// erased takes characters off the screen.
func (t *TTY) erased(n int) {
	if t.modes.Echo {
		t.write(bytes.Repeat([]byte("\b \b"), n))
	}
}

// echo shows what was typed.
func (t *TTY) echo(c byte) {
	switch {
	case !t.modes.Echo:
	case c < ' ' && c != '\n' && c != '\t' && c != '\r':
		t.write([]byte{'^', c + '@'})
	default:
		t.write([]byte{c})
	}
}

// offer lets programs read something.
func (t *TTY) offer(b []byte) {
	t.ready = append(t.ready, bytes.Clone(b))
	t.wake()
}

// wake wakes those who wait for something to read.
func (t *TTY) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Read waits for a line, or in raw mode for any bytes. The error is io.EOF for ^D on an empty
// line, and when the terminal was closed.
func (t *TTY) Read(ctx context.Context, b []byte) (int, error) {
	for {
		t.mu.Lock()
		n, err, done := t.take(b)
		changed := t.changed
		t.mu.Unlock()
		if done {
			return n, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// take reads what is there; done is false if nothing is.
func (t *TTY) take(b []byte) (n int, err error, done bool) {
	if len(t.ready) == 0 {
		return 0, io.EOF, t.closed
	}
	if len(t.ready[0]) == 0 {
		t.ready = t.ready[1:]
		return 0, io.EOF, true
	}
	for n < len(b) && len(t.ready) > 0 && len(t.ready[0]) > 0 {
		k := copy(b[n:], t.ready[0])
		t.ready[0] = t.ready[0][k:]
		n += k
		if len(t.ready[0]) > 0 {
			break
		}
		t.ready = t.ready[1:]
		if t.modes.Canonical { // a line at a time
			break
		}
	}
	return n, nil, true
}

// Write shows what a program writes.
func (t *TTY) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write(b)
	return len(b), nil
}

func (t *TTY) write(b []byte) {
	if t.modes.OutputCRNL {
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	}
	if len(b) > 0 {
		t.show(b)
	}
}

// Close ends the terminal: who reads it reads its end.
func (t *TTY) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.editor = true, nil
	t.wake()
}
