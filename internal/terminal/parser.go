package terminal

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parser divides what is written into characters and sequences.
type parser struct {
	step    step
	partial []byte // of a character in UTF-8
	args    []byte // of a sequence
	charset int    // that is being chosen
}

// step is where in a sequence the parser is.
type step int

const (
	ground step = iota
	escape
	csi
	charset
	text      // that is for nobody here, such as a title
	textEnds  // the escape character that may end it
	skipOne   // the rest of an escape sequence
	mostArgs  = 64
	mostCount = 1 << 12
)

// take takes a byte.
func (p *parser) take(e *Emulator, b byte) {
	switch {
	case p.step == text || p.step == textEnds:
		p.skipText(b)
	case b == 0x1b:
		p.partial = p.partial[:0]
		p.step = escape
	case b == 0x18 || b == 0x1a:
		p.step = ground
	case b < ' ' || b == 0x7f:
		e.control(b)
	case p.step == escape:
		p.takeEscape(e, b)
	case p.step == csi:
		p.takeCSI(e, b)
	case p.step == charset:
		e.sets[p.charset], p.step = b, ground
	case p.step == skipOne:
		p.step = ground
	default:
		p.takeText(e, b)
	}
}

// skipText goes on to the end of a text.
func (p *parser) skipText(b byte) {
	switch {
	case b == 0x07, b == 0x18, b == 0x1a, p.step == textEnds && b == '\\':
		p.step = ground
	case b == 0x1b:
		p.step = textEnds
	default:
		p.step = text
	}
}

func (p *parser) takeText(e *Emulator, b byte) {
	if len(p.partial) == 0 && b < utf8.RuneSelf {
		e.print(rune(b))
		return
	}
	p.partial = append(p.partial, b)
	for len(p.partial) > 0 && (utf8.FullRune(p.partial)) {
		r, size := utf8.DecodeRune(p.partial)
		e.print(r)
		p.partial = slices.Delete(p.partial, 0, size)
	}
}

func (p *parser) takeEscape(e *Emulator, b byte) {
	p.step = ground
	switch b {
	case '[':
		p.step, p.args = csi, p.args[:0]
	case ']', 'P', 'X', '^', '_':
		p.step = text
	case '(', ')':
		p.step, p.charset = charset, int(b-'(')
	case '#', '%', '*', '+', ' ':
		p.step = skipOne
	case '7':
		e.saved = [2]int{e.x, e.y}
	case '8':
		e.moveTo(e.saved[0], e.saved[1])
	case 'D':
		e.lineFeed()
	case 'E':
		e.moveTo(0, e.y)
		e.lineFeed()
	case 'M':
		e.reverseLineFeed()
	case 'c':
		e.reset()
	}
}

// takeCSI takes a byte of a control sequence, and does what it says at its end.
func (p *parser) takeCSI(e *Emulator, b byte) {
	if b < '@' {
		if len(p.args) < mostArgs {
			p.args = append(p.args, b)
		}
		return
	}
	p.step = ground
	args := string(p.args)
	private, own := strings.CutPrefix(args, "?")
	if own {
		if b == 'h' || b == 'l' {
			e.setMode(numbers(private), b == 'h')
		}
		return
	}
	if strings.Trim(args, "0123456789;") != "" {
		return // of another kind
	}
	e.sequence(b, numbers(args))
}

// args are the numbers of a sequence.
type args []int

// at returns a number, or another one if it is missing or 0.
func (a args) at(i, missing int) int {
	if i >= len(a) || a[i] == 0 {
		return missing
	}
	return a[i]
}

func numbers(text string) (out args) {
	for part := range strings.SplitSeq(text, ";") {
		n, err := strconv.Atoi(part)
		if err != nil && part != "" {
			n = mostCount
		}
		out = append(out, min(n, mostCount))
	}
	return out
}

func (e *Emulator) setMode(modes args, on bool) {
	for _, m := range modes {
		if m == 47 || m == 1047 || m == 1049 {
			e.useOther(on)
		}
	}
}

// sequence does what a control sequence says.
func (e *Emulator) sequence(kind byte, a args) {
	n := a.at(0, 1)
	switch kind {
	case 'A':
		e.moveTo(e.x, e.y-n)
	case 'B', 'e':
		e.moveTo(e.x, e.y+n)
	case 'C', 'a':
		e.moveTo(e.x+n, e.y)
	case 'D':
		e.moveTo(e.x-n, e.y)
	case 'E':
		e.moveTo(0, e.y+n)
	case 'F':
		e.moveTo(0, e.y-n)
	case 'G', '`':
		e.moveTo(n-1, e.y)
	case 'd':
		e.moveTo(e.x, n-1)
	case 'H', 'f':
		e.moveTo(a.at(1, 1)-1, n-1)
	case 's':
		e.saved = [2]int{e.x, e.y}
	case 'u':
		e.moveTo(e.saved[0], e.saved[1])
	default:
		e.edit(kind, n, a)
	}
}

// edit does what a control sequence says that changes more than where the cursor is.
func (e *Emulator) edit(kind byte, n int, a args) {
	switch kind {
	case 'J':
		e.eraseScreen(a.at(0, 0))
	case 'K':
		from, to := part(a.at(0, 0), e.x, e.columns)
		e.erase(e.y, from, to)
	case 'X':
		e.erase(e.y, e.x, min(e.columns, e.x+n))
	case '@':
		e.shift(n)
	case 'P':
		e.shift(-n)
	case 'L', 'M':
		if e.y >= e.top && e.y < e.bottom {
			if kind == 'L' {
				n = -n
			}
			e.scroll(e.y, n)
		}
	case 'S':
		e.scroll(e.top, n)
	case 'T':
		e.scroll(e.top, -n)
	case 'b':
		for range min(n, e.columns*e.rows) {
			if e.last != 0 {
				e.print(e.last)
			}
		}
	case 'r':
		top, bottom := n-1, min(a.at(1, e.rows), e.rows)
		if top < bottom-1 {
			e.top, e.bottom = top, bottom
			e.moveTo(0, 0)
		}
	}
}

// part is what an erasing is about: what comes from the cursor on, up to it, or all.
func part(which, cursor, all int) (from, to int) {
	switch which {
	case 0:
		return cursor, all
	case 1:
		return 0, cursor + 1
	}
	return 0, all
}

func (e *Emulator) eraseScreen(which int) {
	from, to := part(which, e.y, e.rows)
	for y := from; y < to; y++ {
		left, right := 0, e.columns
		if y == e.y {
			left, right = part(which, e.x, e.columns)
		}
		e.erase(y, left, right)
	}
}
