package ctshell_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/ctshell"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

// open takes over the console of a rig.
func (r *rig) open() *ctshell.Shell {
	r.Helper()
	s, err := ctshell.Open(r.Context(), r.connect(), "mcp@pve!ops", "PVEVNC:1", ctshell.Options{ShellParent: os.Getpid(), Lasts: 2 * time.Minute})
	if err != nil {
		shown, _ := r.shown()
		r.Fatalf("%v; it shows %q", err, shown)
	}
	return s
}

func line(shell string) []string { return []string{"/bin/sh", "-c", shell} }

// What a command prints arrives exactly, whatever it is, with its exit code.
func TestRunIsExact(t *testing.T) {
	t.Parallel()
	binary := make([]byte, 70_000)
	for i := range binary {
		binary[i] = byte(i * 7)
	}
	eachShell(t, func(t *testing.T, r *rig) {
		s := r.open()
		megabyte := strings.Repeat("0123456789abcde\n", 1<<16)
		for name, tt := range map[string]struct {
			ctshell.Command
			want ctshell.Result
		}{
			"binary":        {ctshell.Command{Argv: []string{"cat"}, Stdin: binary}, ctshell.Result{Stdout: binary}},
			"a megabyte":    {ctshell.Command{Argv: line(`i=0; while [ $i -lt 65536 ]; do echo 0123456789abcde; i=$((i+1)); done`)}, ctshell.Result{Stdout: []byte(megabyte[:300_000]), OutBytes: 1 << 20}},
			"no newline":    {ctshell.Command{Argv: []string{"printf", "a"}}, ctshell.Result{Stdout: []byte("a")}},
			"quotes":        {ctshell.Command{Argv: []string{"printf", "%s|", `a'b"c`, "", "$HOME `id` \\ !!", "a\nb"}}, ctshell.Result{Stdout: []byte(`a'b"c||$HOME ` + "`id` \\ !!|a\nb|")}},
			"UTF-8":         {ctshell.Command{Argv: []string{"printf", "%s", "äß€😀"}}, ctshell.Result{Stdout: []byte("äß€😀")}},
			"exit 3":        {ctshell.Command{Argv: line("echo out; echo err >&2; exit 3")}, ctshell.Result{ExitCode: 3, Stdout: []byte("out\n"), Stderr: []byte("err\n")}},
			"exit 137":      {ctshell.Command{Argv: line("exit 137")}, ctshell.Result{ExitCode: 137}},
			"signal":        {ctshell.Command{Argv: line("echo before; kill -9 $$")}, ctshell.Result{Signal: 9, Stdout: []byte("before\n")}},
			"no program":    {ctshell.Command{Argv: []string{"/nothing"}}, ctshell.Result{ExitCode: 127}},
			"folder":        {ctshell.Command{Argv: []string{"pwd"}, Dir: "/usr/bin"}, ctshell.Result{Stdout: []byte("/usr/bin\n")}},
			"environment":   {ctshell.Command{Argv: line(`printf '%s\n' "$A"`), Env: map[string]string{"A": "it's\n1"}}, ctshell.Result{Stdout: []byte("it's\n1\n")}},
			"special names": {ctshell.Command{Argv: []string{"awk", `BEGIN {for (i = 1; i < ARGC; i++) print ENVIRON[ARGV[i]]}`, "UID", "OPTIND", "IFS", "PPID", "PWD"}, Dir: "/usr", Env: map[string]string{"UID": "5", "OPTIND": "abc", "IFS": "x", "PPID": "1", "PWD": "/x"}}, ctshell.Result{Stdout: []byte("5\nabc\nx\n1\n/x\n")}},
			"PATH":          {ctshell.Command{Argv: []string{"/bin/echo", "hi"}, Env: map[string]string{"PATH": "/nowhere"}}, ctshell.Result{Stdout: []byte("hi\n")}},
			"no terminal":   {ctshell.Command{Argv: line("tty; (: </dev/tty) 2>/dev/null || echo none; umask")}, ctshell.Result{Stdout: []byte("not a tty\nnone\n0022\n")}},
			"a child":       {ctshell.Command{Argv: line("sleep 1000 & echo $! >/tmp/ctshell-child; echo done")}, ctshell.Result{Stdout: []byte("done\n"), EndedRest: true}},
			"control bytes": {ctshell.Command{Argv: []string{"printf", `\033[6n\033c\003\004\r\n`}}, ctshell.Result{Stdout: []byte("\x1b[6n\x1bc\x03\x04\r\n")}},
		} {
			t.Run(name, func(t *testing.T) {
				tt.Timeout, tt.Most = 30*time.Second, 300_000
				got, err := s.Run(t.Context(), tt.Command)
				if err != nil {
					t.Fatal(err)
				}
				if tt.want.OutBytes == 0 {
					tt.want.OutBytes = int64(len(tt.want.Stdout))
				}
				if name == "no program" {
					got.Stderr, got.ErrBytes = nil, 0
				}
				if tt.want.ErrBytes = int64(len(tt.want.Stderr)); !bytes.Equal(got.Stdout, tt.want.Stdout) || !bytes.Equal(got.Stderr, tt.want.Stderr) {
					t.Errorf("got %.300q and %.300q", got.Stdout, got.Stderr)
				}
				got.Stdout, got.Stderr, tt.want.Stdout, tt.want.Stderr = nil, nil, nil, nil
				if got.ExitCode != tt.want.ExitCode || got.Signal != tt.want.Signal || got.EndedRest != tt.want.EndedRest || got.OutBytes != tt.want.OutBytes || got.ErrBytes != tt.want.ErrBytes || got.Interrupted {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			})
		}
		r.leaves(s)
	})
}

// leaves closes a shell, after which the console has to be as it was found.
func (r *rig) leaves(s *ctshell.Shell) {
	r.Helper()
	if err := s.Close(r.Context()); err != nil {
		r.Error(err)
	}
	for _, pattern := range []string{"/var/tmp/pve-mcp-*", "/run/pve-mcp-console*", "/tmp/pve-mcp-console*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			r.Errorf("files are left: %v", left)
		}
	}
	r.endTurn()
}

// A command that takes its time is waited for, and one that takes too long is ended with all
// that it has started.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, r *rig) {
		s := r.open()
		t.Run("timeout", func(t *testing.T) {
			got, err := s.Run(t.Context(), ctshell.Command{Argv: line("echo so far; sleep 1003 & sleep 1004"), Timeout: time.Second, Most: 100})
			if err != nil || !got.Interrupted || string(got.Stdout) != "so far\n" {
				t.Errorf("%+v %v", got, err)
			}
			r.noProcess("sleep\x001003", "sleep\x001004")
		})
		t.Run("cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			began := filepath.Join(t.TempDir(), "began")
			if err := syscall.Mkfifo(began, 0o600); err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = os.ReadFile(began) // which waits for who opens it to write
				cancel()
			}()
			got, err := s.Run(ctx, ctshell.Command{Argv: line("sleep 1005 & echo so far; : >" + began + "; trap '' INT TERM; wait"), Timeout: time.Minute, Most: 100})
			if err != nil || !got.Interrupted || string(got.Stdout) != "so far\n" {
				t.Errorf("%+v %v", got, err)
			}
			r.noProcess("sleep\x001005")
		})
		t.Run("30 s", func(t *testing.T) {
			if !effort.Of(false, false, true) {
				t.Skip("it takes half a minute: make soak runs it")
			}
			got, err := s.Run(t.Context(), ctshell.Command{Argv: line("sleep 30; echo at last"), Timeout: 45 * time.Second, Most: 100})
			if err != nil || got.Interrupted || string(got.Stdout) != "at last\n" {
				t.Errorf("%+v %v", got, err)
			}
		})
		r.leaves(s)
	})
}

// noProcess fails unless the processes with some command lines end: they were killed, and the
// system takes a moment to end them.
func (r *rig) noProcess(commands ...string) {
	r.Helper()
	over, again := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer again.Stop()
	for {
		runs := processOf(commands)
		if runs == "" {
			return
		}
		select {
		case <-again.C:
		case <-over:
			r.Errorf("it still runs: %q", runs)
			return
		}
	}
}

// processOf is the command line of a process that has one of some, "" if there is none.
func processOf(commands []string) string {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		data, _ := os.ReadFile(file)
		if slices.ContainsFunc(commands, func(c string) bool { return strings.Contains(string(data), c) }) {
			return string(data)
		}
	}
	return ""
}

// The output that is not fetched can be kept in a file.
func TestKeep(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, r *rig) {
		s := r.open()
		got, err := s.Run(t.Context(), ctshell.Command{Argv: []string{"printf", "abcdef"}, Timeout: time.Minute, Most: 3})
		if err != nil || string(got.Stdout) != "abc" || got.OutBytes != 6 {
			t.Errorf("%+v %v", got, err)
		}
		file, err := s.Keep(t.Context(), ctshell.Stdout, "kept-"+rand.Text())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file) })
		if data, err := os.ReadFile(file); err != nil || string(data) != "abcdef" {
			t.Errorf("%q %v", data, err)
		}
		r.leaves(s)
	})
}

// The terminal has the settings that it had, and shows a prompt, when it is left.
func TestConsoleIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, r *rig) {
		before := r.settings()
		for range 2 { // the second finds the same shell
			s := r.open()
			if _, err := s.Run(t.Context(), ctshell.Command{Argv: []string{"true"}, Timeout: time.Minute}); err != nil {
				t.Fatal(err)
			}
			r.leaves(s)
		}
		s := r.open() // so that the prompt was back
		r.leaves(s)
		r.takeTurn()
		r.noProcess("pve-mcp-")
		if after := r.settings(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// settings asks the shell for those of its terminal, as a person would.
func (r *rig) settings() string {
	r.Helper()
	file, done := filepath.Join(r.TempDir(), "stty"), rand.Text()
	r.typed("stty -g >" + file + "; echo " + done[:5] + "''" + done[5:] + "\n")
	r.await(time.Minute, func(text string) bool { return strings.Contains(text, done) })
	data, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	return string(data)
}

// A console that is not free, or has no shell, is left alone.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	type want struct {
		why    ctshell.Reason
		detail string
	}
	for name, tt := range map[string]struct {
		typed, until string // before
		want
	}{
		"text on the prompt line": {"rm -r", "rm -r", want{ctshell.InUse, "there is text after its prompt"}},
		"a program runs":          {"cat\n", "cat\r\n", want{ctshell.NoPrompt, ""}},
		"a program prints":        {"while :; do echo x; sleep 0.3; done\n", "x\r\n", want{ctshell.InUse, "it keeps printing"}},
		"another shell in it":     {"PS1=$(printf 'in%s# ' ner) sh -i\n", "inner# ", want{ctshell.InUse, "a program runs in its shell"}},
		"a login":                 {"printf 'ct %sin: ' log; cat\n", "ct login: ", want{ctshell.Login, "ct login: "}},
		"it ends":                 {"exit\n", "exit", want{ctshell.Ended, ""}},
		"unfinished":              {"echo 'a\n", "> ", want{ctshell.NoPrompt, "> "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachShell(t, func(t *testing.T, r *rig) {
				r.typed(tt.typed)
				r.shows(tt.until)
				r.refused(tt.why, tt.detail)
			})
		})
	}
	t.Run("another machine", func(t *testing.T) {
		t.Parallel()
		eachShell(t, func(t *testing.T, r *rig) {
			_, err := ctshell.Open(t.Context(), r.connect(), "u", "t", ctshell.Options{Lasts: time.Minute})
			if e, ok := errors.AsType[*ctshell.UnusableError](err); !ok || e.Why != ctshell.Elsewhere {
				t.Error(err)
			}
			s := r.open() // it was left
			r.leaves(s)
		})
	})
	t.Run("a second one", func(t *testing.T) {
		t.Parallel()
		eachShell(t, func(t *testing.T, r *rig) {
			s := r.open()
			r.refused(ctshell.NoPrompt, "")
			r.leaves(s)
		})
	})
	t.Run("a lock", func(t *testing.T) {
		t.Parallel()
		eachShell(t, func(t *testing.T, r *rig) {
			r.takeTurn()
			lock := "/run/pve-mcp-console"
			if err := os.Mkdir(lock, 0o700); err != nil {
				t.Skip("no lock can be made here: ", err)
			}
			t.Cleanup(func() {
				if r.hasTurn { // otherwise it may be another test's
					_ = os.RemoveAll(lock)
				}
			})
			if err := os.WriteFile(lock+"/pid", []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r.refused(ctshell.InUse, "another program runs a command by it")
			if err := os.WriteFile(lock+"/pid", []byte("999999999\n"), 0o600); err != nil { // whose maker has died
				t.Fatal(err)
			}
			s := r.open()
			r.leaves(s)
		})
	})
}

// leaving is a connection whose caller gives up after some of its writes, or whose process dies.
type leaving struct {
	*conn
	after  int
	cancel context.CancelFunc
	dies   bool
}

func (l *leaving) Write(ctx context.Context, data []byte) error {
	if l.after--; l.after < 0 && l.dies {
		return io.ErrClosedPipe
	}
	err := l.conn.Write(ctx, data)
	if l.after == 0 {
		l.cancel()
	}
	return err
}

// A call that is given up while it takes the console over leaves it as it was found.
func TestOpenIsGivenUp(t *testing.T) {
	t.Parallel()
	const (
		claims = 3 // after the ticket and the size
		takes  = 4
		script = 5
	)
	for name, tt := range map[string]struct {
		after int
		dies  bool
	}{
		"as the line is claimed": {claims, false},
		"as it is taken":         {takes, false},
		"as the helper is sent":  {script, false},
		"the process dies":       {script, true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.dies && !effort.Of(false, false, true) {
				t.Skip("it takes a third of a minute: make soak runs it")
			}
			t.Parallel()
			eachShell(t, func(t *testing.T, r *rig) {
				before := r.settings()
				ctx, cancel := context.WithCancel(t.Context())
				if tt.dies {
					cancel, ctx = func() {}, t.Context()
				}
				l := &leaving{conn: r.connect(), after: tt.after, cancel: cancel, dies: tt.dies}
				if s, err := ctshell.Open(ctx, l, "u", "t", ctshell.Options{ShellParent: os.Getpid(), Lasts: time.Minute}); err == nil {
					r.leaves(s)
					t.Fatal("it was opened")
				}
				if tt.dies {
					r.await(time.Minute, isAtPrompt)
				}
				r.leaves(r.open())
				if after := r.settings(); after != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
			})
		})
	}
}

// isAtPrompt reports whether the last that a terminal has shown is a prompt.
func isAtPrompt(text string) bool { return strings.HasSuffix(strings.TrimRight(text, " "), "#") }

// shows waits until the terminal has shown a text.
func (r *rig) shows(text string) {
	r.Helper()
	r.await(8*time.Second, func(shown string) bool { return strings.Contains(shown, text) })
}

func (r *rig) refused(why ctshell.Reason, detail string) {
	r.Helper()
	s, err := ctshell.Open(r.Context(), r.connect(), "u", "t", ctshell.Options{ShellParent: os.Getpid(), Lasts: time.Minute})
	if err == nil {
		r.leaves(s)
	}
	e, ok := errors.AsType[*ctshell.UnusableError](err)
	if !ok || e.Why != why || detail != "" && e.Detail != detail {
		shown, _ := r.shown()
		r.Errorf("%v; it shows %q", err, shown)
	}
}
