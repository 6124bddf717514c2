package shell

import (
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/tty"
)

// Session is an interactive shell on a terminal. While it waits for a line, nothing of it
// runs.
type Session struct {
	sys    *System
	tty    *tty.TTY
	prompt string
	ended  func()

	over sync.Once
	mu   sync.Mutex
	sh   *shell
	text string // of a command that is not complete yet; guarded by mu
}

// Banner is what busybox's shell says first.
const Banner = "\n\nBusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) built-in shell (ash)\nEnter 'help' for a list of built-in commands.\n\n"

// Start starts an interactive shell of root on a terminal, after it has said something. show
// gets what the terminal shows, and must not wait; ended is called when the shell has ended.
func (s *System) Start(banner string, show func(b []byte), ended func()) *Session {
	session := &Session{sys: s, ended: ended, prompt: "~ # "}
	leader := 0
	session.tty = tty.New(show, func() { s.interrupt(leader) })
	ctx := s.leader(session.tty)
	leader = ctx.PID
	session.sh = newShell(ctx, environment(), "/root")
	session.sh.name, session.sh.interactive = "-sh", true
	for fd := range 3 {
		session.sh.fds[fd] = open(terminal{session.tty})
	}
	s.mu.Lock()
	if s.open == nil {
		s.open = map[*Session]bool{}
	}
	s.open[session] = true
	s.mu.Unlock()
	_, _ = session.tty.Write([]byte(banner))
	session.ask("")
	return session
}

// leader registers the process of an interactive shell. It does not run by itself.
func (s *System) leader(t *tty.TTY) *Process {
	p := s.start(nil, []string{"-sh"}, 0, nil)
	p.tty, p.session, p.interactive = t, p.PID, true
	return p
}

// Input takes what was typed.
func (s *Session) Input(b []byte) { s.tty.Input(b) }

// Resize tells the terminal its size.
func (s *Session) Resize(columns, rows int) { s.tty.Resize(columns, rows) }

// ask prompts for a line.
func (s *Session) ask(text string) {
	s.mu.Lock()
	s.text = text
	s.mu.Unlock()
	prompt := "> "
	if text == "" {
		s.sh.tellJobs()
		prompt = s.sh.promptText()
	}
	s.tty.Edit(prompt, s.entered)
}

// promptText is the folder, as busybox shows it.
func (sh *shell) promptText() string {
	dir := sh.dir
	if dir == sh.get("HOME") {
		dir = "~"
	}
	return dir + " # "
}

// entered runs a line.
func (s *Session) entered(line string, end tty.End) {
	s.mu.Lock()
	text := s.text + line + "\n"
	s.mu.Unlock()
	switch end {
	case tty.Interrupted:
		s.sh.status = 128 + sigINT
		s.ask("")
		return
	case tty.Closed:
		s.end()
		return
	}
	list, incomplete, err := parse(text)
	switch {
	case incomplete:
		s.ask(text)
		return
	case err == nil && len(list) == 0:
		s.ask("")
		return
	}
	go func() {
		if err != nil {
			s.sh.complain("%v", err)
			s.sh.status = 2
		}
		s.sh.stmts(list)
		s.after()
	}()
}

// after goes on when a line was run.
func (s *Session) after() {
	s.sh.runTraps()
	switch {
	case s.sh.flow == exits || s.sh.p.ctx.Err() != nil:
		s.end()
		return
	case s.sh.flow == aborts:
		_, _ = s.tty.Write([]byte("\n"))
		s.sh.status = 128 + sigINT
	}
	s.sh.flow = goesOn
	s.ask("")
}

// end ends the shell.
func (s *Session) end() { s.over.Do(func() { s.finish(true) }) }

// Close ends the shell from outside, with all that the guest runs.
func (s *Session) Close() { s.over.Do(func() { s.finish(false) }) }

// finish lets go of the terminal. If the shell ends by itself, it runs what was to run then.
func (s *Session) finish(itself bool) {
	s.tty.Close()
	code := 0
	if itself {
		s.sh.interactive = false
		code = s.sh.end()
	}
	s.sh.p.finish(code)
	s.sys.mu.Lock()
	delete(s.sys.open, s)
	s.sys.mu.Unlock()
	s.ended()
}

// Exec runs a command at once, as a guest's agent starts it, and returns what it would do and
// how long that takes. ok is false if there is no such program.
func (s *System) Exec(args []string, input string) (out Program, ok bool) {
	const patience, steps = 24 * time.Hour, 100_000
	p := &Process{sys: s, PID: 1, ctx: nil, traps: map[int]string{}, clock: &account{deadline: patience, steps: steps}}
	sh := newShell(p, environment(), "/")
	run, _, _ := sh.lookup(args)
	if run == nil {
		return Program{}, false
	}
	stdout, stderr := &buffer{}, &buffer{}
	fds := map[int]*handle{0: openText(input), 1: open(stdout), 2: open(stderr)}
	began := s.start(p, args, 0, func(p *Process) int { return runProgram(p, args, run, fds, environment(), "/") })
	<-began.done
	exit, signal := began.Status()
	return Program{Out: stdout.String(), Err: stderr.String(), Exit: exit, Signal: signal, Takes: began.clock.passed()}, true
}
