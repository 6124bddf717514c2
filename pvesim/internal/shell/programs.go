package shell

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

// command is a program that runs.
type command struct {
	p            *Process
	name         string
	args         []string
	in, out, err *bound
	fds          map[int]*handle
	env          map[string]string
	dir          string
}

// program is what a program does. It returns its exit status.
type program func(x *command) int

// programNamed returns the program of a name, nil if there is none.
func programNamed(name string) program {
	for _, in := range []func(string) program{fileProgram, textProgram, processProgram} {
		if run := in(name); run != nil {
			return run
		}
	}
	return nil
}

// plantedProgram does what somebody has planted.
func plantedProgram(planted Program) program {
	return func(x *command) int {
		_, _ = x.out.Write([]byte(planted.Out))
		_, _ = x.err.Write([]byte(planted.Err))
		x.p.sleep(planted.Takes)
		if planted.Signal != 0 {
			x.p.kill(planted.Signal)
		}
		return planted.Exit
	}
}

// fail says what went wrong with something.
func (x *command) fail(format string, args ...any) int {
	fmt.Fprintf(x.err, x.name+": "+format+"\n", args...)
	return 1
}

func (x *command) path(name string) string { return absolute(x.dir, name) }

// open opens a file to read; - is the input.
func (x *command) open(name string) (io.Reader, func(), error) {
	if name == "-" {
		return x.in, func() {}, nil
	}
	h, err := openFile(x.p, x.path(name), os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	if f, ok := h.stream.(file); ok && f.Info().IsDir() {
		return nil, nil, memfs.ErrIsDir
	}
	return &bound{h: h, ctx: x.p.ctx}, h.release, nil
}

// each reads each of the files that are named, or the input.
func (x *command) each(names []string, do func(name string, r io.Reader)) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, name := range names {
		r, done, err := x.open(name)
		if err != nil {
			status = x.fail("can't open '%s': %v", name, err)
			continue
		}
		do(name, r)
		done()
	}
	return status
}

// read is all that the files that are named hold, or the input.
func (x *command) read(names []string) ([]byte, int) {
	var all bytes.Buffer
	status := x.each(names, func(_ string, r io.Reader) { _, _ = io.Copy(&all, r) })
	return all.Bytes(), status
}

// flagSet are the options that a program was given, with their values.
type flagSet map[string]string

// has reports whether one of some options was given.
func (f flagSet) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, given := f[name]
		return given
	})
}

// flags takes the options from the front of the arguments: letters, and those in with have a
// value.
func (x *command) flags(with string) flagSet {
	out := flagSet{}
	for len(x.args) > 0 && len(x.args[0]) > 1 && x.args[0][0] == '-' {
		arg := x.args[0]
		x.args = x.args[1:]
		if arg == "--" {
			break
		}
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			name, value, _ := strings.Cut(long, "=")
			out[name] = value
			continue
		}
		for i := 1; i < len(arg); i++ {
			letter := arg[i : i+1]
			out[letter] = ""
			if !strings.Contains(with, letter) {
				continue
			}
			if out[letter] = arg[i+1:]; out[letter] == "" && len(x.args) > 0 {
				out[letter], x.args = x.args[0], x.args[1:]
			}
			break
		}
	}
	return out
}

// lookup finds the program of a command line; without one, it complains and returns the status.
func (x *command) lookup(args []string) (program, int) {
	run, code, why := x.shell().lookup(args)
	if run == nil {
		return nil, code - 1 + x.fail("can't execute '%s': %s", args[0], strings.Replace(why, "not found", "No such file or directory", 1))
	}
	return run, 0
}

// exec starts another command in a process of its own, or returns the status if it cannot.
func (x *command) exec(args []string, group int) (*Process, int) {
	run, code := x.lookup(args)
	if run == nil {
		return nil, code
	}
	fds := dupAll(x.fds)
	return x.p.sys.start(x.p, args, group, func(p *Process) int { return runProgram(p, args, run, fds, x.env, x.dir) }), 0
}

// become runs another command in the same process.
func (x *command) become(args []string) int {
	run, code := x.lookup(args)
	if run == nil {
		return code
	}
	x.p.setArgs(args)
	return runProgram(x.p, args, run, x.fds, x.env, x.dir)
}

// shell is a new shell in the place of the program.
func (x *command) shell() *shell {
	sh := newShell(x.p, x.env, x.dir)
	sh.fds = x.fds
	return sh
}

// duration reads a time such as 1.5, 3s or 2m.
func duration(s string) (time.Duration, bool) {
	unit := time.Second
	for suffix, d := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = number, d
			break
		}
	}
	var n float64
	if _, err := fmt.Sscanf(s, "%g", &n); err != nil || n < 0 {
		return 0, false
	}
	return time.Duration(n * float64(unit)), true
}
