package shell

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// shell interprets commands in a process.
type shell struct {
	p      *Process
	pid    int // what $$ is: of the shell of which this is a part
	name   string
	vars   map[string]expand.Variable
	funcs  map[string]*syntax.Stmt
	params []string
	dir    string
	fds    map[int]*handle
	traps  map[string]string // EXIT, and the signals
	scopes []map[string]expand.Variable

	status   int // $?
	lastJob  int // $!
	jobs     []*job
	flow     flow
	levels   int // of loops that are left
	inCond   int // whose status does not end the shell
	failures int // of substitutions in the command under way, as their last status
	options
	interactive bool
	last        bool // the next command is all that the process still does
	inPlace     bool // so a program takes the place of the shell
}

// options are those of set.
type options struct{ errexit, nounset, noglob, xtrace, pipefail bool }

// job is what a shell has started in the background.
type job struct {
	*Process
	text string
	told bool
}

// flow is how a list of commands goes on.
type flow int

const (
	goesOn flow = iota
	breaks
	continues
	returns
	exits
	aborts // of an interactive shell, to its prompt
)

// environ are the variables for expansions.
type environ struct{ *shell }

// Get returns a variable or a special parameter.
func (e environ) Get(name string) expand.Variable {
	text := func(s string) expand.Variable { return expand.Variable{Set: true, Kind: expand.String, Str: s} }
	switch name {
	case "@", "*":
		list := e.params
		if list == nil {
			list = []string{}
		}
		return expand.Variable{Set: true, Kind: expand.Indexed, List: list}
	case "#":
		return text(strconv.Itoa(len(e.params)))
	case "?":
		return text(strconv.Itoa(e.status))
	case "$":
		return text(strconv.Itoa(e.pid))
	case "PPID":
		return text(strconv.Itoa(e.p.PPID))
	case "!":
		if e.lastJob == 0 {
			return expand.Variable{}
		}
		return text(strconv.Itoa(e.lastJob))
	case "-":
		return text(e.flags())
	case "RANDOM":
		e.p.sys.mu.Lock()
		defer e.p.sys.mu.Unlock()
		e.p.sys.random = e.p.sys.random*1103515245 + 12345
		return text(strconv.Itoa(int(e.p.sys.random >> 16 & 0x7fff)))
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n == 0 {
			return text(e.name)
		}
		if n <= len(e.params) {
			return text(e.params[n-1])
		}
		return expand.Variable{}
	}
	return e.vars[name]
}

func (o options) flags() string {
	out := ""
	for _, f := range []struct {
		on   bool
		flag string
	}{{o.errexit, "e"}, {o.noglob, "f"}, {o.nounset, "u"}, {o.xtrace, "x"}} {
		if f.on {
			out += f.flag
		}
	}
	return out
}

// Each calls see for each variable until it returns false.
func (e environ) Each(see func(name string, v expand.Variable) bool) {
	for name, v := range e.vars {
		if !see(name, v) {
			return
		}
	}
}

// Set sets a variable, or unsets it.
func (e environ) Set(name string, v expand.Variable) error {
	old := e.vars[name]
	if old.ReadOnly && v.Kind != expand.KeepValue {
		return errors.New(name + ": is read only")
	}
	switch {
	case v.Kind == expand.KeepValue:
		old.Exported, old.ReadOnly = v.Exported || old.Exported, v.ReadOnly || old.ReadOnly
		e.vars[name] = old
	case !v.IsSet():
		delete(e.vars, name)
	default:
		v.Exported = v.Exported || old.Exported
		e.vars[name] = v
	}
	return nil
}

func (sh *shell) set(name, value string) {
	if err := (environ{sh}).Set(name, expand.Variable{Set: true, Kind: expand.String, Str: value}); err != nil {
		sh.complain("%v", err)
		sh.status = 2
	}
}

func (sh *shell) get(name string) string { return environ{sh}.Get(name).String() }

// exported are the variables that programs get.
func (sh *shell) exported() map[string]string {
	out := map[string]string{}
	for name, v := range sh.vars {
		if v.Exported {
			out[name] = v.String()
		}
	}
	return out
}

// config is how words are expanded.
func (sh *shell) config() *expand.Config {
	c := &expand.Config{Env: environ{sh}, NoUnset: sh.nounset, CmdSubst: sh.substitute}
	if !sh.noglob {
		c.ReadDir2 = func(name string) ([]fs.DirEntry, error) {
			list, err := sh.p.sys.FS.ReadDir(sh.path(name))
			out := make([]fs.DirEntry, 0, len(list))
			for _, info := range list {
				out = append(out, info)
			}
			return out, err
		}
	}
	return c
}

// substitute writes what commands print in place of $(commands).
func (sh *shell) substitute(w io.Writer, cs *syntax.CmdSubst) error {
	reader, writer := newPipe()
	defer reader.release()
	child := sh.child(0, func(sub *shell) {
		sub.assign(1, writer)
		sub.stmts(cs.Stmts)
	})
	out, _ := io.ReadAll(&bound{h: reader, ctx: sh.p.ctx})
	sh.status = sh.await(child)
	sh.failures = sh.status
	_, err := io.WriteString(w, strings.ReplaceAll(string(out), "\x00", ""))
	return err
}

func (sh *shell) path(name string) string { return absolute(sh.dir, name) }

// absolute is the path of a name in a folder. A slash at its end stays.
func absolute(dir, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	whole := path.Join(dir, name)
	if strings.HasSuffix(name, "/") {
		whole += "/"
	}
	return whole
}

// child runs a part of the shell in a process of its own. A group of 0 is the shell's own; in
// an interactive shell, a new one.
func (sh *shell) child(group int, run func(sub *shell)) *Process {
	sub := &shell{
		pid: sh.pid, name: sh.name, vars: maps.Clone(sh.vars), funcs: maps.Clone(sh.funcs), params: slices.Clone(sh.params), dir: sh.dir,
		fds: dupAll(sh.fds), traps: map[string]string{}, status: sh.status, lastJob: sh.lastJob, options: sh.options, inCond: sh.inCond,
	}
	if group == 0 && !sh.interactive {
		group = sh.p.group
	}
	return sh.p.sys.start(sh.p, sh.p.args, group, func(p *Process) int {
		sub.p = p
		run(sub)
		return sub.end()
	})
}

// end runs what was to run at the end of the shell, and lets go of its files.
func (sh *shell) end() int {
	status := sh.runLastTraps()
	for _, h := range sh.fds {
		h.release()
	}
	return status
}

// runLastTraps runs what was to run at the end of the shell, and returns its status. The files
// stay open.
func (sh *shell) runLastTraps() int {
	sh.runTraps()
	if action := sh.traps["EXIT"]; action != "" && sh.p.ctx.Err() == nil {
		delete(sh.traps, "EXIT")
		sh.flow = goesOn
		status := sh.status
		sh.eval(action)
		if sh.flow != exits {
			sh.status = status
		}
	}
	return sh.status
}

// await waits for a process that the shell has started, in the foreground.
func (sh *shell) await(p *Process) int {
	select {
	case <-p.done:
	case <-sh.p.ctx.Done():
		return sh.status
	}
	sh.p.clock.join(p.clock)
	return p.code()
}

// assign lets a file descriptor lead to a stream.
func (sh *shell) assign(fd int, h *handle) {
	if old := sh.fds[fd]; old != nil {
		old.release()
	}
	sh.fds[fd] = h
	if h == nil {
		delete(sh.fds, fd)
	}
}

func (sh *shell) out() *bound { return &bound{h: sh.fds[1], ctx: sh.p.ctx} }
func (sh *shell) err() *bound { return &bound{h: sh.fds[2], ctx: sh.p.ctx} }
func (sh *shell) in() *bound  { return &bound{h: sh.fds[0], ctx: sh.p.ctx} }
