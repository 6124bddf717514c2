package shell

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

// call runs a simple command: assignments, a function, a builtin or a program.
func (sh *shell) call(c *syntax.CallExpr) {
	sh.failures = 0
	before := sh.status
	args := sh.fieldsOf(c.Args, before)
	if sh.status != 0 && sh.failures == 0 || sh.flow != goesOn {
		return
	}
	if len(args) == 0 {
		sh.status = 0
		sh.assignAll(c.Assigns)
		if sh.failures != 0 {
			sh.status = sh.failures
		}
		return
	}
	sh.status = before
	saved := sh.vars
	if len(c.Assigns) > 0 {
		sh.vars = maps.Clone(saved)
		sh.assignAll(c.Assigns)
		for _, as := range c.Assigns {
			v := sh.vars[as.Name.Value]
			v.Exported = true
			sh.vars[as.Name.Value] = v
		}
	}
	if sh.xtrace {
		fmt.Fprintln(sh.err(), "+ "+strings.Join(args, " "))
	}
	sh.run(args)
	if len(c.Assigns) > 0 && !specialBuiltins[args[0]] {
		sh.vars = saved
	}
}

// fieldsOf expands words while $? is that of the command before.
func (sh *shell) fieldsOf(words []*syntax.Word, before int) []string {
	sh.status = before
	out, err := expand.Fields(sh.config(), words...)
	if sh.failures == 0 {
		sh.status = 0
	}
	sh.expanded(err)
	return out
}

func (sh *shell) assignAll(list []*syntax.Assign) {
	for _, as := range list {
		sh.set(as.Name.Value, sh.valueOf(as))
	}
}

func (sh *shell) valueOf(as *syntax.Assign) string {
	value := ""
	if as.Value != nil {
		var err error
		value, err = expand.Literal(sh.config(), as.Value)
		sh.expanded(err)
	}
	if as.Append {
		value = sh.get(as.Name.Value) + value
	}
	return value
}

// declare is export, readonly, local and the like.
func (sh *shell) declare(c *syntax.DeclClause) {
	sh.status = 0
	for _, as := range c.Args {
		if as.Name == nil {
			if as.Value != nil {
				sh.declareWords(c.Variant.Value, sh.fields([]*syntax.Word{as.Value}))
			}
			continue
		}
		if as.Naked {
			sh.declared(c.Variant.Value, as.Name.Value, nil)
			continue
		}
		sh.failures = 0
		value := sh.valueOf(as)
		if sh.status == sh.failures { // of a command in the value, which does not count here
			sh.status = 0
		}
		sh.declared(c.Variant.Value, as.Name.Value, &value)
	}
}

func (sh *shell) declared(variant, name string, value *string) {
	if variant == "local" && len(sh.scopes) > 0 {
		scope := sh.scopes[len(sh.scopes)-1]
		if _, known := scope[name]; !known {
			scope[name] = sh.vars[name]
		}
		if value == nil {
			delete(sh.vars, name)
		}
	}
	if value != nil {
		sh.set(name, *value)
	}
	v := sh.vars[name]
	v.Exported = v.Exported || variant == "export"
	v.ReadOnly = v.ReadOnly || variant == "readonly"
	if v.IsSet() || variant == "export" {
		sh.vars[name] = v
	}
}

// run runs a command by its name.
func (sh *shell) run(args []string) {
	if body := sh.funcs[args[0]]; body != nil {
		sh.function(body, args)
		return
	}
	if do := builtinNamed(args[0]); do != nil {
		sh.status = do(sh, args[1:])
		return
	}
	sh.program(args)
}

// function calls a function of the shell.
func (sh *shell) function(body *syntax.Stmt, args []string) {
	const deepest = 200
	if len(sh.scopes) > deepest {
		sh.complain("%s: maximum recursion depth exceeded", args[0])
		sh.status, sh.flow = 1, exits
		return
	}
	params, scope := sh.params, map[string]expand.Variable{}
	sh.params, sh.scopes = args[1:], append(sh.scopes, scope)
	sh.stmt(body)
	if sh.flow == returns {
		sh.flow = goesOn
	}
	sh.params, sh.scopes = params, sh.scopes[:len(sh.scopes)-1]
	for name, v := range scope {
		if v.IsSet() {
			sh.vars[name] = v
		} else {
			delete(sh.vars, name)
		}
	}
}

// program runs a program in a process of its own, and waits for it.
func (sh *shell) program(args []string) {
	run, code, why := sh.lookup(args)
	if run == nil {
		sh.complain("%s: %s", args[0], why)
		sh.status = code
		return
	}
	if sh.inPlace {
		fds := maps.Clone(sh.fds)
		clear(sh.fds)
		sh.p.setArgs(args)
		sh.status = runProgram(sh.p, args, run, fds, sh.exported(), sh.dir)
		return
	}
	sh.status = sh.foreground(sh.spawn(args, run))
}

// spawn starts a program with the files of the shell.
func (sh *shell) spawn(args []string, run program) *Process {
	fds := dupAll(sh.fds)
	group := sh.p.group
	if sh.interactive {
		group = 0
	}
	env, dir := sh.exported(), sh.dir
	return sh.p.sys.start(sh.p, args, group, func(p *Process) int {
		return runProgram(p, args, run, fds, env, dir)
	})
}

// runProgram runs a program in its process.
func runProgram(p *Process, args []string, run program, fds map[int]*handle, env map[string]string, dir string) int {
	x := &command{
		p: p, name: args[0], args: args[1:], fds: fds, env: env, dir: dir,
		in: &bound{h: fds[0], ctx: p.ctx}, out: &bound{h: fds[1], ctx: p.ctx}, err: &bound{h: fds[2], ctx: p.ctx},
	}
	code := run(x)
	if errors.Is(x.out.err, errPipe) {
		p.kill(sigPIPE)
	}
	for fd, h := range fds {
		h.release()
		delete(fds, fd)
	}
	return code
}

// lookup finds the program of a command line; else it says why there is none.
func (sh *shell) lookup(args []string) (run program, code int, why string) {
	name, sys := args[0], sh.p.sys
	if sys.Planted != nil {
		if planted, ok := sys.Planted(strings.Join(args, " ")); ok {
			return plantedProgram(planted), 0, ""
		}
	}
	if !strings.Contains(name, "/") {
		if known := programNamed(name); known != nil {
			return known, 0, ""
		}
		for dir := range strings.SplitSeq(sh.get("PATH"), ":") {
			if info, err := sys.FS.Stat(path.Join(dir, name), true); err == nil && !info.IsDir() && memfs.Bits(info.Mode())&0o111 != 0 {
				return script(path.Join(dir, name)), 0, ""
			}
		}
		return nil, 127, "not found"
	}
	file := sh.path(name)
	info, err := sys.FS.Stat(file, true)
	if known := programNamed(path.Base(file)); known != nil && strings.HasSuffix(path.Dir(file), "bin") {
		return known, 0, ""
	}
	switch {
	case err != nil:
		return nil, 127, "not found"
	case info.IsDir() || memfs.Bits(info.Mode())&0o111 == 0:
		return nil, 126, "Permission denied"
	}
	return script(file), 0, ""
}

// redirect changes where a file descriptor leads, and remembers what it was.
func (sh *shell) redirect(rd *syntax.Redirect, saved map[int]*handle) error {
	fd := map[syntax.RedirOperator]int{syntax.RdrOut: 1, syntax.AppOut: 1, syntax.RdrClob: 1, syntax.DplOut: 1, syntax.RdrAll: 1, syntax.AppAll: 1}[rd.Op]
	if rd.N != nil {
		n, err := strconv.Atoi(rd.N.Value)
		if err != nil {
			return fmt.Errorf("%s: bad file descriptor", rd.N.Value)
		}
		fd = n
	}
	h, err := sh.opened(rd)
	if err != nil {
		return err
	}
	fds := []int{fd}
	if rd.Op == syntax.RdrAll || rd.Op == syntax.AppAll {
		fds = append(fds, 2)
		h.dup()
	}
	for _, fd := range fds {
		if _, kept := saved[fd]; !kept {
			saved[fd] = sh.fds[fd]
			delete(sh.fds, fd)
		}
		sh.assign(fd, h)
	}
	return nil
}

// opened is what a redirection leads to; nil closes the file descriptor.
func (sh *shell) opened(rd *syntax.Redirect) (*handle, error) {
	if rd.Op == syntax.Hdoc || rd.Op == syntax.DashHdoc {
		return sh.document(rd)
	}
	word, err := expand.Literal(sh.config(), rd.Word)
	if err != nil {
		return nil, err
	}
	flags := 0
	switch rd.Op {
	case syntax.WordHdoc:
		return openText(word + "\n"), nil
	case syntax.DplIn, syntax.DplOut:
		if word == "-" {
			return nil, nil
		}
		n, err := strconv.Atoi(word)
		if err != nil || sh.fds[n] == nil {
			return nil, fmt.Errorf("%s: Bad file descriptor", word)
		}
		return sh.fds[n].dup(), nil
	case syntax.RdrIn:
		flags = os.O_RDONLY
	case syntax.RdrInOut:
		flags = os.O_RDWR | os.O_CREATE
	case syntax.AppOut, syntax.AppAll:
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	default:
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	h, err := openFile(sh.p, sh.path(word), flags)
	if err != nil {
		verb := "open"
		if flags&os.O_CREATE != 0 {
			verb = "create"
		}
		if err == error(memfs.ErrNotExist) && verb == "create" {
			return nil, fmt.Errorf("can't create %s: nonexistent directory", word)
		}
		return nil, fmt.Errorf("can't %s %s: %s", verb, word, strings.ToLower(err.Error()[:1])+err.Error()[1:])
	}
	return h, nil
}

// openFile opens a file or a device for a process.
func openFile(p *Process, name string, flags int) (*handle, error) {
	switch name {
	case "/dev/null":
		return open(null{}), nil
	case "/dev/zero":
		return open(zero{}), nil
	case "/dev/tty", "/dev/console":
		if p.tty == nil {
			return nil, memfs.Errno("No such device or address")
		}
		return open(terminal{p.tty}), nil
	}
	if stat, ok := p.sys.statFile(name); ok {
		return openText(stat), nil
	}
	f, err := p.sys.FS.Open(name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	return open(file{f}), nil
}

// document is a here-document.
func (sh *shell) document(rd *syntax.Redirect) (*handle, error) {
	if rd.Hdoc == nil {
		return openText(""), nil
	}
	text, err := expand.Document(sh.config(), rd.Hdoc)
	if err != nil {
		return nil, err
	}
	if lit := rd.Hdoc.Lit(); quoted(rd.Word) && lit != "" {
		text = lit
	}
	if rd.Op == syntax.DashHdoc {
		text = strings.TrimLeft(strings.ReplaceAll(text, "\n\t", "\n"), "\t")
	}
	return openText(text), nil
}

// quoted reports whether the word that ends a here-document is quoted: then nothing in it is
// expanded.
func quoted(word *syntax.Word) bool {
	for _, part := range word.Parts {
		lit, ok := part.(*syntax.Lit)
		if !ok || strings.Contains(lit.Value, `\`) {
			return true
		}
	}
	return false
}
