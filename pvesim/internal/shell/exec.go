package shell

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// complain writes an error message of the shell.
func (sh *shell) complain(format string, args ...any) {
	fmt.Fprintf(sh.err(), sh.p.sys.prefix()+format+"\n", args...)
}

// prefix begins the error messages of shells.
func (s *System) prefix() string {
	if s.Dash {
		return "sh: 1: "
	}
	return "sh: "
}

// parse reads commands. incomplete says that more lines are needed.
func parse(text string) (list []*syntax.Stmt, incomplete bool, err error) {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, syntax.IsIncomplete(err) || strings.Contains(err.Error(), "unclosed here-document"), err
	}
	return f.Stmts, false, nil
}

// eval runs commands that are given as text.
func (sh *shell) eval(text string) {
	list, _, err := parse(text)
	if err != nil {
		sh.complain("%v", err)
		sh.status = 2
		return
	}
	sh.stmts(list)
}

func (sh *shell) stmts(list []*syntax.Stmt) {
	for _, st := range list {
		if sh.stopped() {
			return
		}
		sh.stmt(st)
	}
}

// stopped reports whether no more commands of a list run.
func (sh *shell) stopped() bool {
	sh.runTraps()
	return sh.flow != goesOn || sh.p.ctx.Err() != nil
}

// runTraps runs what is to run for the signals that came.
func (sh *shell) runTraps() {
	for {
		sh.p.mu.Lock()
		if len(sh.p.pending) == 0 {
			sh.p.mu.Unlock()
			return
		}
		sig := sh.p.pending[0]
		action := sh.p.traps[sig]
		sh.p.pending = sh.p.pending[1:]
		sh.p.mu.Unlock()
		if action == "" && sig == sigINT {
			sh.flow = aborts
			continue
		}
		status := sh.status
		sh.eval(action)
		if sh.flow != exits {
			sh.status = status
		}
	}
}

func (sh *shell) stmt(st *syntax.Stmt) {
	if sh.p.clock.step() {
		sh.p.kill(sigKILL)
		return
	}
	if st.Background {
		sh.background(st)
		return
	}
	if st.Negated {
		sh.inCond++
	}
	sh.redirected(st)
	if st.Negated {
		sh.inCond--
		sh.status = map[bool]int{true: 1, false: 0}[sh.status == 0]
		return
	}
	if binary, ok := st.Cmd.(*syntax.BinaryCmd); ok && binary.Op != syntax.Pipe && binary.Op != syntax.PipeAll {
		return
	}
	if sh.errexit && sh.status != 0 && sh.inCond == 0 && sh.flow == goesOn {
		sh.flow = exits
	}
}

// background starts a command that the shell does not wait for.
func (sh *shell) background(st *syntax.Stmt) {
	front := *st
	front.Background = false
	quiet := !sh.interactive
	p := sh.child(0, func(sub *shell) {
		if quiet {
			sub.assign(0, open(null{}))
		}
		sub.last = true
		sub.stmt(&front)
	})
	var text strings.Builder
	_ = syntax.NewPrinter().Print(&text, &front)
	sh.lastJob, sh.status = p.PID, 0
	sh.jobs = append(sh.jobs, &job{Process: p, text: text.String()})
}

// redirected runs a command with its redirections.
func (sh *shell) redirected(st *syntax.Stmt) {
	last := sh.last && !st.Negated
	sh.last = false
	saved := map[int]*handle{}
	restore := func() {
		for fd, h := range saved {
			sh.assign(fd, h)
		}
	}
	for _, rd := range st.Redirs {
		if err := sh.redirect(rd, saved); err != nil {
			sh.complain("%v", err)
			sh.status = 1
			restore()
			return
		}
	}
	if last || isExec(st.Cmd) { // nothing comes after it, or exec keeps its redirections
		for _, h := range saved {
			if h != nil {
				h.release()
			}
		}
		saved = nil
	}
	_, simple := st.Cmd.(*syntax.CallExpr)
	sh.inPlace = last && simple
	if st.Cmd != nil {
		sh.command(st.Cmd)
	} else {
		sh.status = 0
	}
	restore()
}

func isExec(c syntax.Command) bool {
	call, ok := c.(*syntax.CallExpr)
	return ok && len(call.Args) == 1 && call.Args[0].Lit() == "exec"
}

func (sh *shell) command(c syntax.Command) {
	switch c := c.(type) {
	case *syntax.CallExpr:
		sh.call(c)
	case *syntax.DeclClause:
		sh.declare(c)
	case *syntax.Block:
		sh.stmts(c.Stmts)
	case *syntax.Subshell:
		p := sh.child(0, func(sub *shell) { sub.stmts(c.Stmts) })
		sh.status = sh.foreground(p)
	case *syntax.BinaryCmd:
		sh.binary(c)
	case *syntax.IfClause:
		sh.conditional(c)
	case *syntax.WhileClause:
		sh.loop(func() bool {
			sh.inCond++
			sh.stmts(c.Cond)
			sh.inCond--
			return (sh.status == 0) != c.Until && !sh.stopped()
		}, c.Do)
	case *syntax.ForClause:
		sh.forEach(c)
	case *syntax.CaseClause:
		sh.choose(c)
	case *syntax.FuncDecl:
		sh.funcs[c.Name.Value], sh.status = c.Body, 0
	case *syntax.TimeClause:
		if c.Stmt != nil {
			sh.stmt(c.Stmt)
		}
	case *syntax.ArithmCmd:
		n, err := expand.Arithm(sh.config(), c.X)
		sh.expanded(err)
		sh.status = map[bool]int{true: 0, false: 1}[n != 0 && err == nil]
	default:
		sh.complain("syntax error: this simulated shell does not know %T", c)
		sh.status = 2
	}
}

// foreground waits for a process in front of the terminal, which gets its signals.
func (sh *shell) foreground(p *Process) int {
	if sh.interactive && sh.p.tty != nil {
		sh.p.sys.setFront(sh.p.session, p.group)
		defer sh.p.sys.setFront(sh.p.session, 0)
	}
	code := sh.await(p)
	if _, signal := p.Status(); sh.interactive && signal != 0 && signal != sigPIPE {
		if signal == sigINT {
			sh.flow = aborts
		} else {
			fmt.Fprintln(sh.err(), map[int]string{sigKILL: "Killed", sigTERM: "Terminated", sigHUP: "Hangup"}[signal])
		}
	}
	return code
}

func (sh *shell) binary(c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.AndStmt, syntax.OrStmt:
		sh.inCond++
		sh.stmt(c.X)
		sh.inCond--
		if (sh.status == 0) == (c.Op == syntax.AndStmt) && !sh.stopped() {
			sh.stmt(c.Y)
		}
	default:
		sh.pipeline(c)
	}
}

// pipeline runs commands at once, each of which reads what the one before it writes.
func (sh *shell) pipeline(c *syntax.BinaryCmd) {
	parts, both := []*syntax.Stmt{c.Y}, []bool{c.Op == syntax.PipeAll}
	for left := c.X; ; {
		b, ok := left.Cmd.(*syntax.BinaryCmd)
		if !ok || len(left.Redirs) > 0 || left.Negated || b.Op != syntax.Pipe && b.Op != syntax.PipeAll {
			parts = append([]*syntax.Stmt{left}, parts...)
			break
		}
		parts, both, left = append([]*syntax.Stmt{b.Y}, parts...), append([]bool{b.Op == syntax.PipeAll}, both...), b.X
	}
	var all []*Process
	var from *handle
	group := 0
	for i, part := range parts {
		in, out := from, (*handle)(nil)
		if i < len(parts)-1 {
			from, out = newPipe()
		}
		p := sh.child(group, func(sub *shell) {
			if in != nil {
				sub.assign(0, in)
			}
			if out != nil {
				if both[i] {
					sub.assign(2, out.dup())
				}
				sub.assign(1, out)
			}
			sub.last = true
			sub.stmt(part)
		})
		if sh.interactive {
			group = p.group
		}
		all = append(all, p)
	}
	last := len(all) - 1
	sh.status = sh.foreground(all[last])
	failed := 0
	for _, p := range all[:last] {
		if code := sh.await(p); code != 0 {
			failed = code
		}
	}
	if sh.pipefail && sh.status == 0 {
		sh.status = failed
	}
}

func (sh *shell) conditional(c *syntax.IfClause) {
	for ; c != nil; c = c.Else {
		if len(c.Cond) == 0 { // else
			sh.stmts(c.Then)
			return
		}
		sh.inCond++
		sh.stmts(c.Cond)
		sh.inCond--
		if sh.stopped() {
			return
		}
		if sh.status == 0 {
			sh.stmts(c.Then)
			return
		}
	}
	sh.status = 0
}

// loop runs commands while more says so.
func (sh *shell) loop(more func() bool, do []*syntax.Stmt) {
	status := 0
	for more() {
		sh.stmts(do)
		status = sh.status
		if sh.flow == breaks || sh.flow == continues {
			if sh.levels--; sh.levels > 0 {
				return
			}
			over := sh.flow == breaks
			sh.flow = goesOn
			if over {
				break
			}
		}
		if sh.stopped() {
			return
		}
	}
	if sh.flow == goesOn {
		sh.status = status
	}
}

func (sh *shell) forEach(c *syntax.ForClause) {
	each, ok := c.Loop.(*syntax.WordIter)
	if !ok || c.Select {
		sh.complain("syntax error: bad for loop variable")
		sh.status = 2
		return
	}
	list := sh.params
	if each.InPos.IsValid() {
		list = sh.fields(each.Items)
	}
	i := -1
	sh.loop(func() bool {
		if i++; i >= len(list) {
			return false
		}
		sh.set(each.Name.Value, list[i])
		return true
	}, c.Do)
}

func (sh *shell) choose(c *syntax.CaseClause) {
	word, err := expand.Literal(sh.config(), c.Word)
	sh.expanded(err)
	for _, item := range c.Items {
		for _, p := range item.Patterns {
			text, err := expand.Pattern(sh.config(), p)
			sh.expanded(err)
			if matches(text, word) {
				sh.status = 0
				sh.stmts(item.Stmts)
				return
			}
		}
	}
	sh.status = 0
}

// fields expands words.
func (sh *shell) fields(words []*syntax.Word) []string {
	out, err := expand.Fields(sh.config(), words...)
	sh.expanded(err)
	return out
}

// expanded says what was wrong with an expansion; a shell that reads a script ends.
func (sh *shell) expanded(err error) {
	if err == nil {
		return
	}
	sh.complain("%v", err)
	sh.status = 2
	var unset expand.UnsetParameterError
	if errors.As(err, &unset) && !sh.interactive {
		sh.flow = exits
	}
}
