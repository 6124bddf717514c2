// Package terminal is the client of PVE's terminal proxy, which shows the console of a
// container or the serial port of a VM, and of what such a terminal shows.
package terminal

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Emulator shows what is written to a terminal. What is written is the guest's: no sequence
// makes it do more than there are cells, and it answers none.
type Emulator struct {
	columns, rows int
	screen        [][]rune // cells; 0 is the second half of a wide character
	other         [][]rune // the main screen while the alternate one is shown, else nil
	x, y          int
	wraps         bool // the next character begins a line
	saved         [2]int
	top, bottom   int // of the region that scrolls; bottom is not part of it
	sets          [2]byte
	set           int
	last          rune
	parser        parser
}

// NewEmulator returns an empty terminal of a size.
func NewEmulator(columns, rows int) *Emulator {
	e := &Emulator{columns: columns, rows: rows}
	e.reset()
	return e
}

func (e *Emulator) reset() {
	*e = Emulator{columns: e.columns, rows: e.rows, bottom: e.rows, sets: [2]byte{'B', 'B'}, parser: parser{step: ground}}
	e.screen = e.blankScreen()
}

func (e *Emulator) blankScreen() [][]rune {
	out := make([][]rune, e.rows)
	for i := range out {
		out[i] = e.blankLine()
	}
	return out
}

func (e *Emulator) blankLine() []rune { return []rune(strings.Repeat(" ", e.columns)) }

// Lines returns the lines down to the last one that is not blank, without blanks at their
// ends.
func (e *Emulator) Lines() []string {
	var out []string
	for _, cells := range e.screen {
		kept := slices.DeleteFunc(slices.Clone(cells), func(r rune) bool { return r == 0 })
		out = append(out, strings.TrimRight(string(kept), " "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// Cursor returns where the cursor is, counted from 1.
func (e *Emulator) Cursor() (column, row int) { return e.x + 1, e.y + 1 }

// Write takes what a program writes. It never fails.
func (e *Emulator) Write(data []byte) (int, error) {
	for _, b := range data {
		e.parser.take(e, b)
	}
	return len(data), nil
}

// print writes a character at the cursor.
func (e *Emulator) print(r rune) {
	if e.sets[e.set] == '0' && r >= '`' && r <= '~' {
		r = []rune("◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")[r-'`']
	}
	if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.M, r) {
		return
	}
	width := 1
	if isWide(r) && e.columns > 1 {
		width = 2
	}
	if e.wraps || e.x+width > e.columns {
		e.x = 0
		e.lineFeed()
	}
	e.wraps, e.last = false, r
	line := e.screen[e.y]
	line[e.x] = r
	if width == 2 {
		line[e.x+1] = 0
	}
	if e.x += width; e.x >= e.columns {
		e.x, e.wraps = e.columns-1, true
	}
}

// isWide reports whether a character takes two cells.
func isWide(r rune) bool {
	return r >= 0x1100 && (unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) ||
		r >= 0xff01 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff)
}

// control does what a control character says.
func (e *Emulator) control(b byte) {
	switch b {
	case '\b':
		e.moveTo(e.x-1, e.y)
	case '\t':
		e.moveTo((e.x/8+1)*8, e.y)
	case '\n', '\v', '\f':
		e.wraps = false
		e.lineFeed()
	case '\r':
		e.moveTo(0, e.y)
	case 0x0e:
		e.set = 1
	case 0x0f:
		e.set = 0
	}
}

func (e *Emulator) lineFeed() {
	switch {
	case e.y == e.bottom-1:
		e.scroll(e.top, 1)
	case e.y < e.rows-1:
		e.y++
	}
}

func (e *Emulator) reverseLineFeed() {
	switch {
	case e.y == e.top:
		e.scroll(e.top, -1)
	case e.y > 0:
		e.y--
	}
}

// scroll moves the lines from one on up, or down if n is below 0, within the region.
func (e *Emulator) scroll(from, n int) {
	region := e.screen[from:e.bottom]
	n = max(-len(region), min(n, len(region)))
	if n >= 0 {
		copy(region, region[n:])
		for i := len(region) - n; i < len(region); i++ {
			region[i] = e.blankLine()
		}
		return
	}
	copy(region[-n:], region)
	for i := range -n {
		region[i] = e.blankLine()
	}
}

func (e *Emulator) moveTo(x, y int) {
	e.x, e.y, e.wraps = max(0, min(x, e.columns-1)), max(0, min(y, e.rows-1)), false
}

// erase blanks the cells of a line from one to another.
func (e *Emulator) erase(y, from, to int) {
	for x := from; x < to; x++ {
		e.screen[y][x] = ' '
	}
}

// shift moves the rest of the line right, or left if n is below 0.
func (e *Emulator) shift(n int) {
	line := e.screen[e.y][e.x:]
	n = max(-len(line), min(n, len(line)))
	if n >= 0 {
		copy(line[n:], line)
		e.erase(e.y, e.x, e.x+n)
		return
	}
	copy(line, line[-n:])
	e.erase(e.y, e.columns+n, e.columns)
}

// useOther shows the alternate screen, which is empty, or the main one again.
func (e *Emulator) useOther(on bool) {
	switch {
	case on && e.other == nil:
		e.other, e.screen = e.screen, e.blankScreen()
	case !on && e.other != nil:
		e.screen, e.other = e.other, nil
	}
}
