package shell

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/tty"
)

// newShell returns a shell without files.
func newShell(p *Process, env map[string]string, dir string) *shell {
	sh := &shell{
		p: p, pid: p.PID, name: "sh", dir: dir, vars: map[string]expand.Variable{}, funcs: map[string]*syntax.Stmt{}, fds: map[int]*handle{},
		traps: map[string]string{},
	}
	for name, value := range env {
		sh.vars[name] = expand.Variable{Set: true, Kind: expand.String, Exported: true, Str: value}
	}
	for name, value := range map[string]string{"IFS": " \t\n", "PWD": dir, "OPTIND": "1"} {
		sh.set(name, value)
	}
	return sh
}

// environment is what processes of the guest begin with.
func environment() map[string]string {
	return map[string]string{"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "linux", "USER": "root"}
}

// runShell is sh: with commands, with a script, or reading commands.
func runShell(x *command) int {
	sh := x.shell()
	commands, params := (*string)(nil), []string{}
	args := x.args
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			break
		}
		if strings.HasPrefix(flag, "--") {
			continue
		}
		if strings.Contains(flag, "c") && flag[0] == '-' && len(args) > 0 {
			text := args[0]
			commands, args = &text, args[1:]
		}
		setOptions(sh, []string{flag[:1] + strings.NewReplacer("c", "", "l", "", "i", "", "s", "").Replace(flag[1:])})
	}
	if commands != nil {
		if len(args) > 0 {
			sh.name, params = args[0], args[1:]
		}
	} else if len(args) > 0 {
		text, err := x.p.sys.FS.ReadFile(x.path(args[0]))
		if err != nil {
			return 1 + x.fail("can't open '%s': %v", args[0], err)
		}
		script := string(text)
		commands, sh.name, params = &script, args[0], args[1:]
	}
	sh.params = params
	if commands != nil {
		sh.eval(*commands)
	} else {
		sh.readCommands()
	}
	return sh.runLastTraps()
}

// script is a file with commands.
func script(name string) program {
	return func(x *command) int {
		text, err := x.p.sys.FS.ReadFile(name)
		if err != nil {
			return 1 + x.fail("%v", err)
		}
		sh := x.shell()
		sh.name, sh.params = name, x.args
		sh.eval(string(text))
		return sh.runLastTraps()
	}
}

// readCommands runs the commands that are in the input, line by line: what they read
// themselves comes after them.
func (sh *shell) readCommands() {
	terminalIn, asks := streamOf(sh.fds[0]).(terminal)
	text := ""
	for !sh.stopped() {
		if asks {
			_, _ = terminalIn.Write([]byte(map[bool]string{true: "# ", false: "> "}[text == ""]))
		}
		line, err := readLine(sh.in())
		if err != nil && line == "" {
			if text != "" {
				sh.eval(text)
			}
			return
		}
		text += line
		if list, incomplete, _ := parse(text); !incomplete {
			if list == nil {
				sh.eval(text)
			}
			text = ""
			sh.stmts(list)
		}
	}
}

// readLine reads up to the end of a line, and nothing of what comes after.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	one := make([]byte, 1)
	for {
		n, err := r.Read(one)
		if n == 0 || err != nil {
			if err == nil {
				err = io.EOF
			}
			return line.String(), err
		}
		line.WriteByte(one[0])
		if one[0] == '\n' {
			return line.String(), nil
		}
	}
}

// stty shows and sets the modes of the terminal.
func stty(x *command) int {
	if len(x.args) > 1 && x.args[0] == "-F" {
		x.args = x.args[2:]
	}
	t, ok := streamOf(x.fds[0]).(terminal)
	if !ok {
		return x.fail("standard input: Not a tty")
	}
	m := t.Modes()
	for i := 0; i < len(x.args); i++ {
		arg := x.args[i]
		on := !strings.HasPrefix(arg, "-")
		switch strings.TrimPrefix(arg, "-") {
		case "echo":
			m.Echo = on
		case "icanon":
			m.Canonical = on
		case "isig":
			m.Signals = on
		case "icrnl":
			m.CRToNL = on
		case "opost", "onlcr":
			m.OutputCRNL = on
		case "raw", "cooked":
			cooked := on == (arg == "cooked" || arg == "-cooked")
			m.Canonical, m.Signals, m.CRToNL, m.OutputCRNL = cooked, cooked, cooked, cooked
		case "sane":
			m = tty.Sane()
		case "size":
			columns, rows := t.Size()
			fmt.Fprintf(x.out, "%d %d\n", rows, columns)
		case "g":
			fmt.Fprintln(x.out, savedModes(m))
		case "a", "":
			columns, rows := t.Size()
			fmt.Fprintf(x.out, "speed 38400 baud; rows %d; columns %d;\n%sicanon %secho %sisig %sicrnl %sopost\n", rows, columns,
				minus(m.Canonical), minus(m.Echo), minus(m.Signals), minus(m.CRToNL), minus(m.OutputCRNL))
		case "rows", "cols", "columns":
			i++
			n, _ := strconv.Atoi(strings.Join(x.args[min(i, len(x.args)):min(i+1, len(x.args))], ""))
			columns, rows := t.Size()
			if arg == "rows" {
				rows = n
			} else {
				columns = n
			}
			t.Resize(columns, rows)
		default:
			saved, ok := modesSaved(arg)
			if !ok && !ignoredMode(arg) {
				return x.fail("invalid argument '%s'", arg)
			} else if ok {
				m = saved
			}
		}
	}
	if len(x.args) == 0 {
		return wrote(x.out, "speed 38400 baud; line = 0;\n")
	}
	t.SetModes(m)
	return 0
}

func minus(on bool) string { return map[bool]string{true: "", false: "-"}[on] }

// ignoredMode reports whether stty knows a mode that this terminal does not have.
func ignoredMode(arg string) bool {
	switch strings.TrimPrefix(arg, "-") {
	case "min", "time", "0", "1", "iexten", "echoe", "echok", "echonl", "echoctl", "echoke", "ixon", "ixoff", "ixany", "inlcr", "igncr",
		"brkint", "istrip", "parmrk", "ignbrk", "inpck", "imaxbel", "iutf8", "noflsh", "tostop", "eof", "intr", "^D", "^C", "undef":
		return true
	}
	return false
}

// savedModes is what stty -g prints: the modes as bits among colons.
func savedModes(m tty.Modes) string {
	bits := 0
	for i, on := range []bool{m.Canonical, m.Echo, m.Signals, m.CRToNL, m.OutputCRNL} {
		if on {
			bits |= 1 << i
		}
	}
	return fmt.Sprintf("500:5:bf:%x:3:1c:7f:15:4:0:1:0:11:13:1a:0:12:f:17:16:0:0", bits)
}

func modesSaved(s string) (tty.Modes, bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 10 {
		return tty.Modes{}, false
	}
	bits, err := strconv.ParseInt(parts[3], 16, 32)
	on := func(i int) bool { return bits&(1<<i) != 0 }
	return tty.Modes{Canonical: on(0), Echo: on(1), Signals: on(2), CRToNL: on(3), OutputCRNL: on(4)}, err == nil
}
