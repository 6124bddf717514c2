package shell

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// processProgram are programs about processes and the system.
func processProgram(name string) program {
	switch name {
	case "sh", "ash", "bash", "dash":
		return runShell
	case "sleep":
		return sleep
	case "kill":
		return func(x *command) int { return kill(x.p, x.args, x.err, x.out) }
	case "timeout":
		return timeout
	case "setsid":
		return setsid
	case "nohup", "nice", "env":
		return wrapped
	case "ps":
		return ps
	case "stty":
		return stty
	case "tty":
		return func(x *command) int {
			if _, ok := streamOf(x.fds[0]).(terminal); ok {
				return wrote(x.out, "/dev/console\n")
			}
			return 1 - wrote(x.out, "not a tty\n")
		}
	case "id":
		return id
	case "whoami":
		return says("root\n")
	case "hostname":
		return func(x *command) int { return wrote(x.out, x.p.sys.Host+"\n") }
	case "uname":
		return uname
	case "date":
		return date
	case "uptime":
		return says(" up 1 day,  load average: 0.00, 0.00, 0.00\n")
	case "free":
		return says("              total        used        free      shared  buff/cache   available\nMem:         524288       65536      393216           0       65536      458752\n")
	case "df":
		return says("Filesystem           1K-blocks      Used Available Use% Mounted on\n/dev/root              8191416   1638283   6553133  20% /\n")
	case "busybox":
		return func(x *command) int {
			if len(x.args) == 0 {
				return wrote(x.out, "BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.\n")
			}
			return x.become(x.args)
		}
	case "xargs":
		return xargs
	}
	return nil
}

func says(text string) program { return func(x *command) int { return wrote(x.out, text) } }

func sleep(x *command) int {
	total := time.Duration(0)
	for _, arg := range x.args {
		d, ok := duration(arg)
		if !ok {
			return x.fail("invalid number '%s'", arg)
		}
		total += d
	}
	x.p.sleep(total)
	return 0
}

// kill gives signals to processes and, by a minus, to groups.
func kill(p *Process, args []string, errors, out io.Writer) int {
	sig := sigTERM
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		name := args[0][1:]
		args = args[1:]
		if name == "l" {
			fmt.Fprintln(out, strings.Join(slices.Sorted(maps.Keys(signals)), " "))
			return 0
		}
		if name == "s" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		n, ok := signalNamed(name)
		if !ok {
			fmt.Fprintf(errors, "sh: kill: invalid signal '%s'\n", name)
			return 1
		}
		sig = n
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	status := 0
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err == nil && pid == 0 {
			pid = -p.group
		}
		if err == nil {
			err = p.sys.Kill(pid, sig)
		} else {
			//lint:ignore ST1005 the text is the system's own
			err = fmt.Errorf("Illegal number: %s", arg)
		}
		if err != nil {
			fmt.Fprintf(errors, "sh: can't kill pid %s: %v\n", arg, err)
			status = 1
		}
	}
	return status
}

// timeout ends a command that takes too long.
func timeout(x *command) int {
	opts := x.flags("sk")
	if len(x.args) < 2 {
		return x.fail("usage: timeout [-s SIG] [-k SECS] SECS PROG ARGS")
	}
	limit, ok := duration(x.args[0])
	if !ok {
		return x.fail("invalid number '%s'", x.args[0])
	}
	sig, _ := signalNamed(cmp.Or(opts["s"], "TERM"))
	clock := x.p.clock
	if clock != nil {
		clock.mu.Lock()
		clock.deadline = clock.slept + limit
		clock.mu.Unlock()
	}
	child, code := x.exec(x.args[1:], x.p.group)
	if clock != nil {
		clock.mu.Lock()
		clock.deadline = 0
		clock.mu.Unlock()
	}
	if child == nil {
		return code
	}
	over := x.p.awaitFor(child, limit, sig)
	if grace, ok := duration(opts["k"]); ok && over {
		x.p.awaitFor(child, grace, sigKILL)
	}
	select {
	case <-child.done:
	case <-x.p.ctx.Done():
		child.kill(sig)
		return 0
	}
	clock.join(child.clock)
	if _, ended := child.Status(); over || clock != nil && ended == sigTERM {
		return 124
	}
	return child.code()
}

// awaitFor waits for a process and gives it a signal if it takes too long.
func (p *Process) awaitFor(child *Process, limit time.Duration, sig int) (over bool) {
	if p.clock != nil || limit == 0 {
		return false
	}
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	late := make(chan bool, 1)
	go func() {
		passed := p.sys.Clock.Sleep(ctx, limit) == nil
		if passed {
			child.kill(sig)
		}
		late <- passed
	}()
	select {
	case <-child.done:
		cancel()
		over = <-late
	case over = <-late:
	}
	return over
}

// setsid runs a command in a session of its own, without a terminal. A leader of a group
// leaves that to a child, and does not wait for it.
func setsid(x *command) int {
	opts := x.flags("")
	if len(x.args) == 0 {
		return x.fail("usage: setsid [-c] PROG ARGS")
	}
	if x.p.group != x.p.PID {
		x.p.sys.mu.Lock()
		x.p.group, x.p.session, x.p.tty = x.p.PID, x.p.PID, nil
		x.p.sys.mu.Unlock()
		return x.become(x.args)
	}
	own := *x
	own.p = &Process{sys: x.p.sys, PID: 1, ctx: x.p.ctx, clock: x.p.clock, traps: map[int]string{}}
	child, code := own.exec(x.args, 0)
	if child != nil && opts.has("w") {
		return x.wait(child)
	}
	return code
}

// wrapped is env, nice and nohup.
func wrapped(x *command) int {
	if x.name == "nice" {
		x.flags("n")
	}
	env := maps.Clone(x.env)
	if x.name == "env" {
		opts := x.flags("u")
		if opts.has("i") {
			env = map[string]string{}
		}
		for len(x.args) > 0 && strings.Contains(x.args[0], "=") {
			name, value, _ := strings.Cut(x.args[0], "=")
			env[name], x.args = value, x.args[1:]
		}
	}
	if len(x.args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(env)) {
			fmt.Fprintf(x.out, "%s=%s\n", name, env[name])
		}
		return 0
	}
	x.env = env
	if x.name == "nohup" {
		x.p.mu.Lock()
		x.p.traps[sigHUP] = ""
		x.p.mu.Unlock()
	}
	return x.become(x.args)
}

// wait waits for a process that ends when this one does.
func (x *command) wait(child *Process) int {
	select {
	case <-child.done:
	case <-x.p.ctx.Done():
		_, signal := x.p.Status()
		child.kill(signal)
		return 0
	}
	x.p.clock.join(child.clock)
	return child.code()
}

func ps(x *command) int {
	x.p.sys.mu.Lock()
	defer x.p.sys.mu.Unlock()
	text := "PID   USER     COMMAND\n    1 root     {init} /sbin/init\n"
	for _, pid := range slices.Sorted(maps.Keys(x.p.sys.procs)) {
		text += fmt.Sprintf("%5d root     %s\n", pid, strings.Join(x.p.sys.procs[pid].args, " "))
	}
	return wrote(x.out, text)
}

func id(x *command) int {
	switch opts := x.flags(""); {
	case len(opts) == 0:
		return wrote(x.out, "uid=0(root) gid=0(root)"+x.p.sys.Groups+"\n")
	case opts.has("n"):
		return wrote(x.out, "root\n")
	}
	return wrote(x.out, "0\n")
}

func uname(x *command) int {
	opts := x.flags("")
	all := []string{"Linux", x.p.sys.Host, "6.1.0-37-amd64", "#1 SMP", "x86_64", "GNU/Linux"}
	out := []string{}
	for i, letter := range strings.Split("s n r v m o", " ") {
		if opts.has(letter, "a") || len(opts) == 0 && i == 0 {
			out = append(out, all[i])
		}
	}
	return wrote(x.out, strings.Join(out, " ")+"\n")
}

func date(x *command) int {
	x.flags("")
	now := x.p.now().UTC()
	if len(x.args) > 0 && x.args[0] == "+%s" {
		return wrote(x.out, strconv.FormatInt(now.Unix(), 10)+"\n")
	}
	return wrote(x.out, now.Format("Mon Jan _2 15:04:05 UTC 2006")+"\n")
}

func xargs(x *command) int {
	x.flags("nI")
	all, _ := x.read(nil)
	args := append(slices.Clone(x.args), strings.Fields(string(all))...)
	if len(x.args) == 0 {
		args = append([]string{"echo"}, args...)
	}
	child, code := x.exec(args, x.p.group)
	if child == nil {
		return code
	}
	return x.wait(child)
}
