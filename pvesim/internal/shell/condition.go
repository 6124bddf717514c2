package shell

import (
	"io/fs"
	"regexp"
	"strconv"

	"mvdan.cc/sh/v3/pattern"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

// test evaluates a condition: test EXPR, or [ EXPR ].
func test(sh *shell, name string, args []string) int {
	if name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			sh.complain("[: missing ]")
			return 2
		}
		args = args[:len(args)-1]
	}
	t := &condition{sh: sh, words: args}
	if len(args) == 0 {
		return 1
	}
	ok := t.or()
	if t.bad || t.at != len(t.words) {
		sh.complain("%s: unknown operand", name)
		return 2
	}
	if ok {
		return 0
	}
	return 1
}

// condition is one that is being evaluated, word by word.
type condition struct {
	sh    *shell
	words []string
	at    int
	bad   bool
}

func (t *condition) peek() string {
	if t.at < len(t.words) {
		return t.words[t.at]
	}
	return ""
}

func (t *condition) next() string {
	word := t.peek()
	if t.at >= len(t.words) {
		t.bad = true
	}
	t.at++
	return word
}

func (t *condition) or() bool {
	ok := t.and()
	for t.at < len(t.words) && t.peek() == "-o" {
		t.at++
		right := t.and()
		ok = ok || right
	}
	return ok
}

func (t *condition) and() bool {
	ok := t.primary()
	for t.at < len(t.words) && t.peek() == "-a" {
		t.at++
		right := t.primary()
		ok = ok && right
	}
	return ok
}

func (t *condition) primary() bool {
	left := len(t.words) - t.at
	word := t.peek()
	switch {
	case left >= 3 && isBinary(t.words[t.at+1]):
		t.at++
		return t.compare(word, t.next(), t.next())
	case word == "!" && left > 1:
		t.at++
		return !t.primary()
	case word == "(" && left > 2:
		t.at++
		ok := t.or()
		t.bad = t.next() != ")" || t.bad
		return ok
	case left >= 2 && len(word) == 2 && word[0] == '-':
		t.at++
		return t.unary(word[1], t.next())
	}
	return t.next() != ""
}

func isBinary(op string) bool {
	switch op {
	case "=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef":
		return true
	}
	return false
}

func (t *condition) compare(a, op, b string) bool {
	switch op {
	case "=", "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case ">":
		return a > b
	case "-nt", "-ot", "-ef":
		x, errX := t.stat(a)
		y, errY := t.stat(b)
		switch {
		case op == "-ef":
			return errX == nil && errY == nil && cleaned(t.sh.path(a)) == cleaned(t.sh.path(b))
		case op == "-ot":
			x, y, errX, errY = y, x, errY, errX
		}
		return errX == nil && (errY != nil || x.ModTime().After(y.ModTime()))
	}
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	t.bad = t.bad || errX != nil || errY != nil
	return map[string]bool{"-eq": x == y, "-ne": x != y, "-lt": x < y, "-le": x <= y, "-gt": x > y, "-ge": x >= y}[op]
}

func (t *condition) stat(name string) (memfs.Info, error) {
	return t.sh.p.sys.FS.Stat(t.sh.path(name), true)
}

func (t *condition) unary(op byte, word string) bool {
	switch op {
	case 'n':
		return word != ""
	case 'z':
		return word == ""
	case 't':
		fd, _ := strconv.Atoi(word)
		_, ok := streamOf(t.sh.fds[fd]).(terminal)
		return ok
	case 'L', 'h':
		info, err := t.sh.p.sys.FS.Stat(t.sh.path(word), false)
		return err == nil && info.Mode()&fs.ModeSymlink != 0
	}
	info, err := t.stat(word)
	device := isDevice(t.sh.path(word))
	if err != nil && !device {
		return false
	}
	switch op {
	case 'e', 'r', 'w':
		return true
	case 'f':
		return !device && info.Mode().IsRegular()
	case 'd':
		return info.IsDir()
	case 's':
		return info.Size() > 0 || info.IsDir()
	case 'x':
		return info.IsDir() || memfs.Bits(info.Mode())&0o111 != 0
	case 'c':
		return device
	case 'u', 'g', 'k', 'p', 'S', 'b':
		return false
	}
	t.bad = true
	return false
}

// streamOf is what a handle leads to; nil if there is none.
func streamOf(h *handle) stream {
	if h == nil {
		return nil
	}
	return h.stream
}

func isDevice(name string) bool {
	switch name {
	case "/dev/null", "/dev/zero", "/dev/tty", "/dev/console":
		return true
	}
	return false
}

// matches reports whether a word is what a pattern of the shell means.
func matches(text, word string) bool {
	expr, err := pattern.Regexp(text, pattern.EntireString)
	if err != nil {
		return text == word
	}
	ok, err := regexp.MatchString(expr, word)
	return ok && err == nil
}
