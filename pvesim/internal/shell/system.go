// Package shell is the userland of a simulated guest: processes with groups and signals, a
// POSIX shell, and the usual tools, on a file system in memory. Nothing of it touches the
// machine that it runs on.
//
// The parser and the expansions are those of mvdan.cc/sh. Its interpreter is not used: it has
// no processes that can be killed, three file descriptors, and pipes of the operating system.
package shell

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/tty"
)

// Clock is the time that programs live by.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Program is what a program does that somebody has planted.
type Program struct {
	Out, Err string
	Exit     int
	Signal   int // that ends it
	Takes    time.Duration
}

// System is what the processes of a guest share.
type System struct {
	FS    *memfs.FS
	Clock Clock
	Host  string
	// Dash says that the shell of scripts is dash, which names the line of a mistake.
	Dash bool
	// Groups is what id prints at the end of its line.
	Groups string
	// Planted returns what a command line does, if not what the tool of that name does.
	Planted func(line string) (Program, bool)

	mu      sync.Mutex
	procs   map[int]*Process  // that run, by id; guarded by mu
	lastPID int               // guarded by mu
	front   map[int]int       // the group before the terminal of a session; guarded by mu
	open    map[*Session]bool // guarded by mu
	random  uint32            // guarded by mu
}

// The signals that the shell knows by name.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19,
}

// The signals that this package sends.
const (
	sigHUP  = 1
	sigINT  = 2
	sigKILL = 9
	sigPIPE = 13
	sigTERM = 15
)

// Process is a running program.
type Process struct {
	sys            *System
	PID, PPID      int
	group, session int
	args           []string
	tty            *tty.TTY // that controls it; nil if none does
	ctx            context.Context
	cancel         context.CancelFunc
	done           chan struct{} // closed at its end
	clock          *account      // nil if it lives by the system's clock
	interactive    bool          // a shell that asks for commands

	mu      sync.Mutex
	signal  int            // that ended it; guarded by mu
	exit    int            // guarded by mu
	traps   map[int]string // what a shell does for a signal; guarded by mu
	pending []int          // signals with a trap that came; guarded by mu
	arrived chan struct{}  // one is pending
}

// account is the time of a process that computes at once what it would do: it sleeps without
// waiting.
type account struct {
	mu       sync.Mutex
	slept    time.Duration // guarded by mu
	deadline time.Duration // when it is killed; 0 means never; guarded by mu
	steps    int           // commands that it may still run; guarded by mu
}

// errNoProcess says that nothing has an id.
const errNoProcess = memfs.Errno("No such process")

// start runs a process. Its group is its own if group is 0. Without run, it is for the caller
// to finish.
func (s *System) start(parent *Process, args []string, group int, run func(p *Process) int) *Process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{
		sys: s, args: args, group: group, ctx: ctx, cancel: cancel, done: make(chan struct{}),
		traps: map[int]string{}, arrived: make(chan struct{}, 1),
	}
	s.mu.Lock()
	if s.procs == nil {
		s.procs, s.lastPID = map[int]*Process{}, max(s.lastPID, 100)
	}
	s.lastPID++
	p.PID = s.lastPID
	if group == 0 {
		p.group = p.PID
	}
	if parent != nil {
		p.PPID, p.session, p.tty, p.clock = parent.PID, parent.session, parent.tty, parent.clock.fork()
		parent.mu.Lock()
		for sig, action := range parent.traps {
			if action == "" { // what is ignored stays ignored
				p.traps[sig] = ""
			}
		}
		if parent.signal != 0 { // it was on its way when the signal came
			p.signal = parent.signal
			cancel()
		}
		parent.mu.Unlock()
	}
	s.procs[p.PID] = p
	s.mu.Unlock()
	if run == nil {
		return p
	}
	go func() {
		code := run(p)
		p.finish(code)
	}()
	return p
}

// finish ends a process; those that it started get another parent.
func (p *Process) finish(code int) {
	p.mu.Lock()
	p.exit = code
	p.mu.Unlock()
	p.sys.mu.Lock()
	delete(p.sys.procs, p.PID)
	for _, child := range p.sys.procs {
		if child.PPID == p.PID {
			child.PPID = 1
		}
	}
	p.sys.mu.Unlock()
	p.cancel()
	close(p.done)
}

// setArgs says what the process is from now on.
func (p *Process) setArgs(args []string) {
	p.sys.mu.Lock()
	defer p.sys.mu.Unlock()
	p.args = args
}

// Status is how the process ended, as a shell counts it.
func (p *Process) Status() (exit, signal int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit, p.signal
}

// code is the status of a process that has ended, as $? has it.
func (p *Process) code() int {
	exit, signal := p.Status()
	if signal != 0 {
		return 128 + signal
	}
	return exit
}

// kill gives a process a signal.
func (p *Process) kill(sig int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	action, trapped := p.traps[sig]
	if p.interactive && sig == sigINT && !trapped {
		p.pending = append(p.pending, sig)
		return
	}
	switch {
	case sig == 0 || p.signal != 0:
	case trapped && sig != sigKILL:
		if action != "" {
			p.pending = append(p.pending, sig)
			select {
			case p.arrived <- struct{}{}:
			default:
			}
		}
	case sig >= 17 && sig <= 19, p.interactive && sig != sigKILL && sig != sigHUP:
	default:
		p.signal = sig
		p.cancel()
	}
}

// Kill gives a signal to a process or, below 0, to a group. None of these starts another process
// after that.
func (s *System) Kill(pid, sig int) error {
	hit := false
	s.mu.Lock()
	for _, p := range s.procs {
		if p.PID == pid || pid < 0 && p.group == -pid {
			hit = true
			p.kill(sig)
		}
	}
	s.mu.Unlock()
	if !hit {
		return errNoProcess
	}
	return nil
}

// KillAll ends every process, as the end of the guest does, and waits until they have ended.
func (s *System) KillAll() {
	s.mu.Lock()
	sessions := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, session := range sessions {
		session.Close()
	}
	for {
		s.mu.Lock()
		var one *Process
		for _, p := range s.procs {
			p.kill(sigKILL)
			one = p
		}
		s.mu.Unlock()
		if one == nil {
			return
		}
		<-one.done
	}
}

// statFile is what the kernel says of a process in /proc/PID/stat.
func (s *System) statFile(name string) (text string, ok bool) {
	id, ok := strings.CutPrefix(name, "/proc/")
	if id, ok = strings.CutSuffix(id, "/stat"); !ok {
		return "", false
	}
	pid, _ := strconv.Atoi(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.procs[pid]
	if p == nil {
		return "", false
	}
	return fmt.Sprintf("%d (%s) S %d %d %d 34816 -1 4194304\n", p.PID, path.Base(p.args[0]), p.PPID, p.group, p.session), true
}

// setFront says which group is before the terminal of a session; 0 means the shell.
func (s *System) setFront(session, group int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.front == nil {
		s.front = map[int]int{}
	}
	s.front[session] = group
}

// interrupt is what ^C does at the terminal of a session.
func (s *System) interrupt(session int) {
	s.mu.Lock()
	target := session
	if group := s.front[session]; group != 0 {
		target = -group
	}
	s.mu.Unlock()
	_ = s.Kill(target, sigINT)
}

// sleep waits by the clock of a process.
func (p *Process) sleep(d time.Duration) {
	if p.clock != nil {
		if p.clock.sleep(d) {
			p.kill(sigTERM)
		}
		return
	}
	_ = p.sys.Clock.Sleep(p.ctx, d)
}

// now is the time of a process.
func (p *Process) now() time.Time { return p.sys.Clock.Now().Add(p.clock.passed()) }

// fork is the time of a child.
func (a *account) fork() *account {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return &account{slept: a.slept, deadline: a.deadline, steps: a.steps}
}

// join lets a process have waited for a child.
func (a *account) join(child *account) {
	if a == nil || child == nil {
		return
	}
	slept := child.passed()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slept = max(a.slept, slept)
}

func (a *account) passed() time.Duration {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.slept
}

// sleep lets time pass, and reports whether the process does not live that long.
func (a *account) sleep(d time.Duration) (over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slept += d
	if a.deadline != 0 && a.slept >= a.deadline {
		a.slept = a.deadline
		return true
	}
	return false
}

// step counts a command, and reports whether there were too many.
func (a *account) step() (over bool) {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps--
	return a.steps < 0
}
