package pvesim

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/shell"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/tty"
)

// terminal is the one of a guest, which all connections share: of a container the session of
// dtach, which outlives them.
type terminal struct {
	twice  bool        // a second terminal is around it, which ends lines anew
	screen *tty.Screen // on which it is shown; nil if on none

	mu       sync.Mutex
	watchers map[*watcher]bool // guarded by mu
	over     bool              // guarded by mu
	program  typist            // guarded by mu
}

// typist is what is behind a terminal: a login prompt, or a shell.
type typist interface {
	Input(b []byte)
	Resize(columns, rows int)
	Close()
}

// show sends output to all who look.
func (t *terminal) show(b []byte) {
	if t.twice {
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	}
	if t.screen != nil {
		_, _ = t.screen.Write(b)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for v := range t.watchers {
		v.put(b)
	}
}

// run lets a program have the terminal.
func (t *terminal) run(p typist) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.program = p
}

func (t *terminal) running() typist {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.program
}

// attach adds a connection, and reports whether the terminal still is.
func (t *terminal) attach(v *watcher) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	t.watchers[v] = true
	return true
}

func (t *terminal) detach(v *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watchers, v)
}

// close ends the terminal, what has it, and its connections.
func (t *terminal) close() {
	if p := t.running(); p != nil {
		p.Close()
	}
	t.end()
}

// end ends the connections.
func (t *terminal) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	for v := range t.watchers {
		if t.twice {
			v.put([]byte("\x1b[999H\r\n[EOF - dtach terminating]\r\n"))
		}
		v.finish()
	}
	t.watchers = map[*watcher]bool{}
}

// watcher is a connection to a terminal: what it has not been sent yet.
type watcher struct {
	mu      sync.Mutex
	queue   []byte        // guarded by mu
	over    bool          // guarded by mu
	changed chan struct{} // holds a value if something is new
}

func newWatcher() *watcher { return &watcher{changed: make(chan struct{}, 1)} }

// mostQueued is what is kept for a client that does not read; the oldest is lost.
const mostQueued = 8 << 20

func (v *watcher) put(b []byte) {
	v.mu.Lock()
	v.queue = append(v.queue, b...)
	v.queue = v.queue[max(0, len(v.queue)-mostQueued):]
	v.mu.Unlock()
	v.wake()
}

// finish ends the connection when all was sent.
func (v *watcher) finish() {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	v.wake()
}

func (v *watcher) wake() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// ptyChunk is how much is read of a terminal at once.
const ptyChunk = 4095

// deliver sends what comes, and closes the connection at the end.
func (v *watcher) deliver(out io.Writer, conn io.Closer) {
	defer conn.Close()
	for range v.changed {
		v.mu.Lock()
		queue, over := v.queue, v.over
		v.queue = nil
		v.mu.Unlock()
		for len(queue) > 0 {
			n := min(len(queue), ptyChunk)
			if _, err := out.Write(queue[:n]); err != nil {
				return
			}
			queue = queue[n:]
		}
		if over {
			return
		}
	}
}

// login asks for a name and a password on a terminal, and lets a shell in.
type login struct {
	host     string
	password string // of root; "" means that none is right
	issue    string // what comes before the prompt
	term     *terminal
	system   *shell.System
	rejects  string        // what it says to a wrong password
	pause    time.Duration // after that
	here     context.Context
	left     context.CancelFunc // ends here

	mu    sync.Mutex
	state loginState // guarded by mu
	line  []byte     // guarded by mu
	name  string     // guarded by mu
}

type loginState int

const (
	asksName loginState = iota
	asksPassword
	pausing
	closed
)

// say shows text on the terminal, which ends lines with a carriage return.
func (l *login) say(text string) {
	l.term.show(bytes.ReplaceAll([]byte(text), []byte("\n"), []byte("\r\n")))
}

// greet asks for a name.
func (l *login) greet() {
	l.state, l.line = asksName, nil
	l.say("\r\n" + l.issue + l.host + " login: ")
}

// Input takes what was typed.
func (l *login) Input(b []byte) {
	for _, c := range b {
		l.typed(c)
	}
}

func (l *login) typed(c byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	echo := l.state == asksName
	switch {
	case l.state == pausing || l.state == closed:
	case c == '\n' || c == '\r':
		l.entered()
	case c == 3 || c == 4:
		l.greet()
	case c == 8 || c == 127:
		if n := len(l.line); n > 0 {
			l.line = l.line[:n-1]
			if echo {
				l.say("\b \b")
			}
		}
	case c >= ' ' && len(l.line) < tty.MaxLine:
		l.line = append(l.line, c)
		if echo {
			l.say(string(c))
		}
	}
}

// entered takes a line.
func (l *login) entered() {
	line := string(l.line)
	l.line = nil
	switch {
	case l.state == asksName && line == "":
		l.greet()
	case l.state == asksName:
		l.name, l.state = line, asksPassword
		l.say("\nPassword: ")
	case l.name == "root" && l.password != "" && line == l.password:
		l.say("\n")
		l.state = closed
		l.letIn()
	default:
		l.say("\n" + l.rejects + "\n")
		l.state = pausing
		go func() {
			_ = l.system.Clock.Sleep(l.here, l.pause)
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.state == pausing {
				l.greet()
			}
		}()
	}
}

// letIn starts a shell, after which the prompt comes back.
func (l *login) letIn() {
	var session *shell.Session
	session = l.system.Start("Linux "+l.host+" 6.1.0-37-amd64\n", l.term.show, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.term.running() == typist(session) {
			l.term.run(l)
			l.greet()
		}
	})
	l.term.run(session)
}

// Resize does nothing: a login prompt is not drawn again.
func (l *login) Resize(int, int) {}

// Close ends the login.
func (l *login) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = closed
	l.left()
}
