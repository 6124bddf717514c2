package shell

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

func cleaned(name string) string { return path.Clean("/" + name) }

// source runs the commands of a file.
func source(sh *shell, args []string) int {
	if len(args) == 0 {
		return 2
	}
	text, err := sh.p.sys.FS.ReadFile(sh.path(args[0]))
	if err != nil {
		sh.complain(".: can't open '%s': %v", args[0], err)
		return 2
	}
	sh.status = 0
	sh.eval(string(text))
	if sh.flow == returns {
		sh.flow = goesOn
	}
	return sh.status
}

// replace is exec: the shell becomes the program.
func replace(sh *shell, args []string) int {
	if len(args) == 0 {
		return 0
	}
	run, code, why := sh.lookup(args)
	if run == nil {
		sh.complain("exec: %s: %s", args[0], why)
		sh.flow = exits
		return code
	}
	sh.traps, sh.flow = map[string]string{}, exits
	sh.p.setArgs(args)
	return runProgram(sh.p, args, run, dupAll(sh.fds), sh.exported(), sh.dir)
}

// trap says what to do for signals and at the end.
func trap(sh *shell, args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		for name, action := range sh.traps {
			fmt.Fprintf(sh.out(), "trap -- '%s' %s\n", action, name)
		}
		return 0
	}
	action, names := args[0], args[1:]
	if len(names) == 0 || strings.Trim(action, "0123456789") == "" && action != "" {
		action, names = "-", args
	}
	for _, name := range names {
		if name == "EXIT" || name == "0" {
			sh.traps["EXIT"] = strings.TrimPrefix(action, "-")
			continue
		}
		sig, ok := signalNamed(name)
		if !ok {
			sh.complain("trap: %s: invalid signal specification", name)
			return 1
		}
		sh.p.mu.Lock()
		if action == "-" {
			delete(sh.p.traps, sig)
			delete(sh.traps, name)
		} else {
			sh.p.traps[sig], sh.traps[name] = action, action
		}
		sh.p.mu.Unlock()
	}
	return 0
}

// signalNamed is the number of a signal.
func signalNamed(name string) (int, bool) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < 65 {
		return n, true
	}
	n, ok := signals[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	return n, ok
}

// wait waits for background processes. A signal with a trap ends it.
func wait(sh *shell, args []string) int {
	status := 0
	all := slices.Clone(sh.jobs)
	if len(args) > 0 {
		all = nil
		for _, arg := range args {
			j := sh.job(arg)
			if j == nil {
				status = 127
				continue
			}
			all = append(all, j)
		}
	}
	for _, j := range all {
		select {
		case <-j.done:
			sh.p.clock.join(j.clock)
		case <-sh.p.arrived:
			return 128 + sigTERM
		case <-sh.p.ctx.Done():
			return status
		}
		if len(args) > 0 {
			status = j.code()
		}
		j.told = true
	}
	return status
}

// job is the one that a process id or %n means.
func (sh *shell) job(name string) *job {
	if n, ok := strings.CutPrefix(name, "%"); ok {
		i, err := strconv.Atoi(n)
		if err != nil || i < 1 || i > len(sh.jobs) {
			return nil
		}
		return sh.jobs[i-1]
	}
	for _, j := range sh.jobs {
		if strconv.Itoa(j.PID) == name {
			return j
		}
	}
	return nil
}

// killJobs is kill, which knows jobs.
func killJobs(sh *shell, args []string) int {
	for i, arg := range args {
		if strings.HasPrefix(arg, "%") {
			if j := sh.job(arg); j != nil {
				args[i] = strconv.Itoa(-j.group)
			}
		}
	}
	return kill(sh.p, args, sh.err(), sh.out())
}

func listJobs(sh *shell, _ []string) int {
	for i, j := range sh.jobs {
		if state := j.state(); !j.told {
			fmt.Fprintf(sh.out(), "[%d]%s  %-22s %s\n", i+1, mark(i, len(sh.jobs)), state, j.text)
		}
	}
	return 0
}

// mark is + for the newest job, and - for the one before.
func mark(i, n int) string {
	switch n - i {
	case 1:
		return "+"
	case 2:
		return "-"
	}
	return " "
}

// state is how a job is, in the words of the shell.
func (j *job) state() string {
	select {
	case <-j.done:
	default:
		return "Running"
	}
	exit, signal := j.Status()
	switch {
	case signal == sigKILL:
		return "Killed"
	case signal != 0:
		return "Terminated"
	case exit != 0:
		return fmt.Sprintf("Done(%d)", exit)
	}
	return "Done"
}

// tellJobs says which jobs have ended, before a prompt.
func (sh *shell) tellJobs() {
	for i, j := range sh.jobs {
		if state := j.state(); !j.told && state != "Running" {
			j.told = true
			fmt.Fprintf(sh.err(), "[%d]%s  %-22s %s\n", i+1, mark(i, len(sh.jobs)), state, j.text)
		}
	}
	if !slices.ContainsFunc(sh.jobs, func(j *job) bool { return !j.told }) {
		sh.jobs = nil
	}
}

// command1 is command: a builtin or program in spite of functions, or what a name is.
func command1(sh *shell, args []string) int {
	if len(args) > 0 && (args[0] == "-v" || args[0] == "-V") {
		return typed(sh, args[1:], func(name, kind string) string {
			if kind == "" {
				return name
			}
			return kind
		})
	}
	if len(args) > 0 && args[0] == "-p" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	if do := builtinNamed(args[0]); do != nil {
		return do(sh, args[1:])
	}
	sh.program(args)
	return sh.status
}

func typeOf(sh *shell, args []string) int {
	return typed(sh, args, func(name, kind string) string {
		if kind == "" {
			return name + " is a shell builtin"
		}
		return name + " is " + kind
	})
}

// typed says what names are: kind is the path of a program, "" for what the shell knows.
func typed(sh *shell, names []string, text func(name, kind string) string) int {
	status := 0
	for _, name := range names {
		switch {
		case sh.funcs[name] != nil || builtinNamed(name) != nil:
			fmt.Fprintln(sh.out(), text(name, ""))
		case programNamed(name) != nil:
			fmt.Fprintln(sh.out(), text(name, "/bin/"+name))
		default:
			status = 127
		}
	}
	return status
}
