package ctshell

import (
	"strings"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// The size that the terminal is given.
const (
	columns = 400
	rows    = 50
)

// escapeRE is a control sequence of a terminal: CSI, OSC, or a short one.
var escapeRE = lazyregexp.New(`^\x1b(?:\[([0-9;:<=>?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()*+#][0-9A-Za-z]|[0-~])`)

// lastLine returns what stands on the line of the cursor after some output, and before it.
func lastLine(out []byte) string {
	var line []rune
	at := 0
	for len(out) > 0 {
		c, size := utf8.DecodeRune(out)
		switch {
		case c == 0x1b:
			seq := escapeRE.FindStringSubmatch(string(out[:min(len(out), 4096)]))
			if seq == nil {
				break
			}
			size = len(seq[0])
			switch {
			case seq[2] == "J" && seq[1] == "2", seq[2] == "H", seq[2] == "f":
				line, at = nil, 0
			case seq[2] == "K" || seq[2] == "J":
				line = line[:min(at, len(line))]
			case seq[2] == "D":
				at = max(0, at-count(seq[1]))
			case seq[2] == "C":
				at += count(seq[1])
			case seq[2] == "G":
				at = max(0, count(seq[1])-1)
			}
			at = min(at, columns)
		case c == '\n':
			line, at = nil, 0
		case c == '\r':
			at = 0
		case c == '\b':
			at = max(0, at-1)
		case c >= ' ' && c != 0x7f && at < columns:
			for len(line) <= at {
				line = append(line, ' ')
			}
			line[at] = c
			at++
		}
		out = out[size:]
	}
	return string(line)
}

// count is the number in a control sequence, which is 1 if it is left out.
func count(text string) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' || n > columns {
			break
		}
		n = 10*n + int(c-'0')
	}
	return max(1, n)
}

var (
	// promptRE is a line that holds the prompt of a shell and nothing else.
	promptRE = lazyregexp.New(`^[^#$%]*[^#$%=][#$%] *$|^[#$%] *$`)
	loginRE  = lazyregexp.New(`(?i)(?:login|password|username|passphrase)[^:]{0,60}: *$`)
)

func isPrompt(line string) bool { return promptRE.MatchString(line) && !isLogin(line) }

func isLogin(line string) bool { return loginRE.MatchString(strings.TrimRight(line, " ")) }
