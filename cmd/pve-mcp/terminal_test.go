package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// onTerminal runs a program on a terminal of 100 columns, as a person would: it reads the
// dialogue in a file, whose lines are
//
//	< text that is awaited
//	> text that is typed; ^C is ctrl-c, and ^D is ctrl-d
//
// What was on the terminal is then in the file screen, with what was written over as lines
// of their own, and the exit status has to be that
// which is given.
func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal STATUS DIALOGUE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(args[2], args[3:]...)
	if args[2] == "pve-mcp" {
		cmd.Path = program(ts)
	}
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"TERM=xterm", "PATH=" + ts.Getenv("PATH"), "DBUS_SESSION_BUS_ADDRESS=" + ts.Getenv("DBUS_SESSION_BUS_ADDRESS")}
	for _, name := range []string{"HOME", "PAGER", "PVE_HOST", "PVE_FINGERPRINT", "PVE_TOKEN_ID", "PVE_TOKEN_SECRET"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 100})
	if errors.Is(err, pty.ErrUnsupported) {
		ts.Fatalf("there are no terminals here: give the story [unix]")
	}
	ts.Check(err)
	s := newScreen(tty)
	deadline := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer deadline.Stop()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		what, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "<":
			if !s.await(text) {
				ts.Fatalf("it never showed %q, but\n%s", text, s.text())
			}
		case ">":
			if text = strings.NewReplacer("^C", "\x03", "^D", "\x04").Replace(text); !strings.ContainsAny(text, "\x03\x04") {
				text += "\n"
			}
			_, err := io.WriteString(tty, text)
			ts.Check(err)
		}
	}
	err = cmd.Wait()
	<-s.ended
	_ = tty.Close()
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(s.text()), 0o600))
	ts.Logf("%s", s.text())
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d, want %d (%v)", got, want, err)
	}
}

// screen is what a terminal has shown.
type screen struct {
	mu    sync.Mutex
	more  *sync.Cond
	shown strings.Builder // guarded by mu
	over  bool            // guarded by mu
	read  int             // guarded by mu: how much of it was awaited
	ended chan struct{}
}

func newScreen(tty io.Reader) *screen {
	s := &screen{ended: make(chan struct{})}
	s.more = sync.NewCond(&s.mu)
	go func() {
		defer close(s.ended)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			s.mu.Lock()
			s.shown.Write(buf[:n])
			s.over = err != nil // a terminal whose program is gone
			s.more.Broadcast()
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// await waits for a text after what was awaited before.
func (s *screen) await(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if i := strings.Index(s.shown.String()[s.read:], text); i >= 0 {
			s.read += i + len(text)
			return true
		}
		if s.over {
			return false
		}
		s.more.Wait()
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s.shown.String())
}
