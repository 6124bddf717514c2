package shell

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
)

// builtin is a command that the shell does itself. It returns the status.
type builtin func(sh *shell, args []string) int

// specialBuiltins are those before which assignments last.
var specialBuiltins = map[string]bool{
	":": true, ".": true, "eval": true, "exec": true, "exit": true, "export": true, "readonly": true, "return": true, "set": true,
	"shift": true, "trap": true, "unset": true, "break": true, "continue": true,
}

// builtinNamed returns the builtin of a name, nil if there is none.
func builtinNamed(name string) builtin {
	switch name {
	case ":", "true":
		return func(*shell, []string) int { return 0 }
	case "false":
		return func(*shell, []string) int { return 1 }
	case "break", "continue":
		return leaveLoop(map[string]flow{"break": breaks, "continue": continues}[name])
	case "return":
		return leave(returns)
	case "exit":
		return leave(exits)
	case "cd":
		return changeDir
	case "pwd":
		return func(sh *shell, _ []string) int { fmt.Fprintln(sh.out(), sh.dir); return 0 }
	case "echo":
		return func(sh *shell, args []string) int { return wrote(sh.out(), echoText(args)) }
	case "printf":
		return printf
	case "test", "[":
		return func(sh *shell, args []string) int { return test(sh, name, args) }
	case "read":
		return read
	case "export", "readonly", "local":
		return func(sh *shell, args []string) int { sh.status = 0; sh.declareWords(name, args); return sh.status }
	case "unset":
		return unset
	case "set":
		return setOptions
	case "shift":
		return shift
	case "eval":
		return func(sh *shell, args []string) int { sh.status = 0; sh.eval(strings.Join(args, " ")); return sh.status }
	case ".", "source":
		return source
	case "exec":
		return replace
	case "trap":
		return trap
	case "wait":
		return wait
	case "kill":
		return killJobs
	case "jobs":
		return listJobs
	case "command":
		return command1
	case "type":
		return typeOf
	case "umask", "ulimit", "alias", "unalias", "hash", "times", "bg", "fg", "disown":
		return func(*shell, []string) int { return 0 }
	}
	return nil
}

// wrote writes text, and returns the status of that.
func wrote(w *bound, text string) int {
	if _, err := w.Write([]byte(text)); err != nil {
		return 1
	}
	return 0
}

func leaveLoop(how flow) builtin {
	return func(sh *shell, args []string) int {
		sh.flow, sh.levels = how, 1
		if len(args) > 0 {
			sh.levels, _ = strconv.Atoi(args[0])
		}
		return 0
	}
}

func leave(how flow) builtin {
	return func(sh *shell, args []string) int {
		sh.flow = how
		if len(args) > 0 {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				sh.complain("Illegal number: %s", args[0])
				return 2
			}
			return n & 0xff
		}
		return sh.status
	}
}

func changeDir(sh *shell, args []string) int {
	to := sh.get("HOME")
	if len(args) > 0 {
		to = args[len(args)-1]
	}
	if to == "-" {
		to = sh.get("OLDPWD")
		fmt.Fprintln(sh.out(), to)
	}
	to = cleaned(sh.path(to))
	info, err := sh.p.sys.FS.Stat(to, true)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("not a directory")
	}
	if err != nil {
		sh.complain("cd: can't cd to %s: %v", to, err)
		return 2
	}
	sh.set("OLDPWD", sh.dir)
	sh.dir = to
	sh.set("PWD", to)
	return 0
}

func printf(sh *shell, args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		sh.complain("printf: usage: printf format [arg ...]")
		return 2
	}
	format, rest := args[0], args[1:]
	out := ""
	for {
		text, n, err := expand.Format(sh.config(), format, rest)
		if err != nil {
			sh.complain("printf: %v", err)
			return 1
		}
		out += text
		rest = rest[n:]
		if len(rest) == 0 || n == 0 {
			return wrote(sh.out(), out)
		}
	}
}

// echoText is what echo prints.
func echoText(args []string) string {
	newline, escapes := "\n", false
	for len(args) > 0 && len(args[0]) > 1 && strings.Trim(args[0][1:], "neE") == "" && args[0][0] == '-' {
		if strings.Contains(args[0], "n") {
			newline = ""
		}
		escapes = strings.Contains(args[0], "e")
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		if out, _, err := expand.Format(nil, strings.ReplaceAll(text, "%", "%%"), nil); err == nil {
			text = out
		}
	}
	return text + newline
}

// read takes a line of the input, byte by byte, as no byte of the next may be lost.
func read(sh *shell, args []string) int {
	raw, limit := false, -1
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag := args[0]
		args = args[1:]
		raw = raw || strings.Contains(flag, "r")
		if strings.ContainsAny(flag[len(flag)-1:], "pntd") && len(args) > 0 {
			if strings.HasSuffix(flag, "n") {
				limit, _ = strconv.Atoi(args[0])
			}
			args = args[1:]
		}
	}
	in, line, one := sh.in(), "", make([]byte, 1)
	status := 0
	for limit != 0 {
		if n, err := in.Read(one); n == 0 || err != nil {
			status = 1
			break
		}
		if one[0] == '\n' {
			if !raw && strings.HasSuffix(line, `\`) {
				line = strings.TrimSuffix(line, `\`)
				continue
			}
			break
		}
		if one[0] != 0 {
			line += string(one)
		}
		limit--
	}
	names := args
	if len(names) == 0 {
		names = []string{"REPLY"}
	}
	values := expand.ReadFields(sh.config(), line, len(names), raw)
	for i, name := range names {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		sh.set(name, value)
	}
	return status
}

// declareWords is export, readonly or local with words that were expanded. Of the options, it
// knows -p.
func (sh *shell) declareWords(variant string, words []string) {
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		switch {
		case word == "-p":
			for _, name := range slices.Sorted(maps.Keys(sh.exported())) {
				fmt.Fprintf(sh.out(), "export %s='%s'\n", name, sh.get(name))
			}
		case ok:
			sh.declared(variant, name, &value)
		case !strings.HasPrefix(word, "-"):
			sh.declared(variant, name, nil)
		}
	}
}

func unset(sh *shell, args []string) int {
	functions := false
	for _, name := range args {
		switch {
		case name == "-f" || name == "-v":
			functions = name == "-f"
		case functions:
			delete(sh.funcs, name)
		default:
			_ = environ{sh}.Set(name, expand.Variable{})
		}
	}
	return 0
}

func setOptions(sh *shell, args []string) int {
	if len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(sh.vars)) {
			fmt.Fprintf(sh.out(), "%s='%s'\n", name, strings.ReplaceAll(sh.get(name), "'", `'"'"'`))
		}
		return 0
	}
	for i := 0; i < len(args); i++ {
		flag := args[i]
		if flag == "--" || flag == "-" || !strings.HasPrefix(flag, "-") && !strings.HasPrefix(flag, "+") {
			if flag == "--" || flag == "-" {
				i++
			}
			sh.params = slices.Clone(args[i:])
			return 0
		}
		on := flag[0] == '-'
		for _, letter := range flag[1:] {
			name := map[rune]string{'e': "errexit", 'u': "nounset", 'f': "noglob", 'x': "xtrace"}[letter]
			if letter == 'o' && i+1 < len(args) {
				i++
				name = args[i]
			}
			if !sh.setOption(name, on) && !strings.ContainsRune("mbhaCvn", letter) {
				sh.complain("set: illegal option %s", flag)
				return 2
			}
		}
	}
	return 0
}

// setOption turns an option on or off, and reports whether there is such a one.
func (sh *shell) setOption(name string, on bool) bool {
	o := map[string]*bool{
		"errexit": &sh.errexit, "nounset": &sh.nounset, "noglob": &sh.noglob, "xtrace": &sh.xtrace, "pipefail": &sh.pipefail,
	}[name]
	if o == nil {
		return name == "monitor" || name == "notify" || name == "ignoreeof" || name == "vi" || name == "emacs"
	}
	*o = on
	return true
}

func shift(sh *shell, args []string) int {
	n := 1
	if len(args) > 0 {
		n, _ = strconv.Atoi(args[0])
	}
	if n < 0 || n > len(sh.params) {
		return 1
	}
	sh.params = sh.params[n:]
	return 0
}
