package ctshell_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// What these tests do is wait for a terminal, so more of them run at once than there are cores.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	m.Run()
}

// shells are those that containers have, and how each is begun on a terminal.
var shells = map[string][]string{
	"busybox": {"busybox", "sh"},
	"bash":    {"bash", "--norc", "--noprofile"},
}

// eachShell runs a test with every shell that this machine has.
func eachShell(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	missing := 0
	for name, argv := range shells {
		_, err := exec.LookPath(argv[0])
		if err != nil {
			missing++
		}
		t.Run(name, func(t *testing.T) {
			if err != nil {
				t.Skipf("%s is not on this machine: this test was not made with it", name)
			}
			t.Parallel()
			test(t, newRig(t, argv))
		})
	}
	if missing > 0 {
		t.Logf("%d of %d shells were missing", missing, len(shells))
	}
}

// rig is a shell on a terminal, which several connections share, as those of PVE do.
type rig struct {
	*testing.T
	pty *os.File
	cmd *exec.Cmd

	mu      sync.Mutex
	conns   []*conn
	ended   bool
	all     bytes.Buffer  // what it has shown
	more    chan struct{} // closed when it shows more
	hasTurn bool
}

// turn is for the helpers: all shells are on this machine, where only one of them is let in.
var turn sync.Mutex

// takeTurn waits until no other rig has a helper, and keeps them from it until the rig has left,
// or its test ends.
func (r *rig) takeTurn() {
	if !r.hasTurn {
		turn.Lock()
		r.hasTurn = true
	}
}

func (r *rig) endTurn() {
	if r.hasTurn {
		r.hasTurn = false
		turn.Unlock()
	}
}

func newRig(t *testing.T, argv []string) *rig {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "TERM=linux", "PS1=ct:\\w# ", "LC_ALL=C.UTF-8"}
	if argv[0] == "busybox" { // whose applets are those of the container
		cmd.Env[0] = "PATH=" + applets(t)
	}
	cmd.Dir = "/"
	r := &rig{T: t, cmd: cmd, more: make(chan struct{})}
	t.Cleanup(r.endTurn)
	tty, err := startOnTerminal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if r.pty, err = closable(tty); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); r.show() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = r.pty.Close()
		<-done
	})
	return r
}

// startOnTerminal starts a shell that can be interrupted, also if these tests cannot: a shell
// keeps ignoring what was ignored when it started.
func startOnTerminal(cmd *exec.Cmd) (*os.File, error) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	return pty.StartWithSize(cmd, &pty.Winsize{Rows: 20, Cols: 80})
}

// closable is a terminal of which a read ends when it is closed, also while a process that a test
// has left behind keeps it open.
func closable(tty *os.File) (*os.File, error) {
	defer func() { _ = tty.Close() }()
	fd, err := syscall.Dup(int(tty.Fd()))
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	return os.NewFile(uintptr(fd), tty.Name()), err
}

// resize tells a terminal its size, and leaves it closable, which pty.Setsize does not.
func resize(tty *os.File, rows, cols uint16) error {
	raw, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	return errors.Join(err, refused)
}

// applets is a folder with the programs of busybox, and no others.
func applets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command(path, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bytes.Fields(list) {
		if err := os.Symlink(path, filepath.Join(dir, string(name))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// show passes on what the terminal shows.
func (r *rig) show() {
	buf := make([]byte, 4096)
	for {
		n, err := r.pty.Read(buf)
		r.mu.Lock()
		r.all.Write(buf[:n])
		for _, c := range r.conns {
			c.give(buf[:n])
		}
		close(r.more)
		r.more = make(chan struct{})
		if err != nil {
			r.ended = true
			for _, c := range r.conns {
				c.finish()
			}
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}

// shown is what the terminal has shown, and what is closed when it shows more.
func (r *rig) shown() (text string, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String(), r.more
}

// await waits until what the terminal has shown is what is wanted, for some time at most.
func (r *rig) await(within time.Duration, wanted func(text string) bool) {
	r.Helper()
	over := time.After(within)
	for {
		text, more := r.shown()
		if wanted(text) {
			return
		}
		select {
		case <-more:
		case <-over:
			r.Fatalf("what is waited for does not come: it shows %q", text)
		}
	}
}

// conn is a connection by PVE's terminal proxy.
type conn struct {
	r    *rig
	user string // that has logged in
	in   bytes.Buffer

	mu     sync.Mutex
	out    bytes.Buffer
	more   chan struct{}
	closed bool
}

func (r *rig) connect() *conn { return &conn{r: r, more: make(chan struct{}, 1)} }

func (c *conn) give(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Write(data)
	c.wake()
}

func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wake()
}

func (c *conn) wake() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *conn) Read(ctx context.Context) ([]byte, error) {
	for {
		c.mu.Lock()
		data := bytes.Clone(c.out.Next(1000)) // cut as the proxy may cut it
		closed := c.closed
		if c.out.Len() > 0 {
			c.wake()
		}
		c.mu.Unlock()
		switch {
		case len(data) > 0:
			return data, nil
		case closed:
			return nil, io.EOF
		}
		select {
		case <-c.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *conn) Write(_ context.Context, data []byte) error {
	if bytes.Contains(data, []byte(";sh -c '")) { // the line that starts the helper
		c.r.takeTurn()
	}
	c.in.Write(data)
	for {
		rest, ok, err := c.message(c.in.Bytes())
		if err != nil || !ok {
			return err
		}
		c.in = *bytes.NewBuffer(bytes.Clone(rest))
	}
}

// message takes one message of a client.
func (c *conn) message(b []byte) (rest []byte, ok bool, err error) {
	if c.user == "" {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if ok {
			c.user = string(line)
			c.give([]byte("OK"))
			c.r.mu.Lock()
			c.give(c.r.all.Bytes()) // what it shows
			c.r.conns = append(c.r.conns, c)
			if c.r.ended {
				c.finish()
			}
			c.r.mu.Unlock()
		}
		return rest, ok, nil
	}
	head, rest, _ := bytes.Cut(b, []byte(":"))
	switch string(head) {
	case "2":
		return rest, true, nil
	case "0":
		size, rest, ok := bytes.Cut(rest, []byte(":"))
		n, err := strconv.Atoi(string(size))
		if err != nil || !ok || len(rest) < n {
			return nil, false, nil
		}
		_, err = c.r.pty.Write(rest[:n])
		return rest[n:], true, err
	case "1":
		var rows, cols uint16
		n, err := fmt.Sscanf(string(rest), "%d:%d:", &cols, &rows)
		if n < 2 {
			return nil, false, err
		}
		return nil, true, resize(c.r.pty, rows, cols)
	}
	return nil, false, nil
}

func (c *conn) Close() error { c.finish(); return nil }

// typed is what a person types.
func (r *rig) typed(text string) {
	r.Helper()
	if _, err := r.pty.Write([]byte(text)); err != nil {
		r.Fatal(err)
	}
}
