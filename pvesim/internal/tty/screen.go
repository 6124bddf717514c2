package tty

import (
	"strings"
	"sync"
)

// Screen is what a text console shows: lines of characters, which scroll.
type Screen struct {
	columns, rows int

	mu     sync.Mutex
	lines  [][]rune // guarded by mu
	x, y   int      // of the cursor; guarded by mu
	escape []byte   // a sequence that is not complete yet; guarded by mu
}

// NewScreen returns an empty screen.
func NewScreen(columns, rows int) *Screen {
	return &Screen{columns: columns, rows: rows, lines: make([][]rune, rows)}
}

// Write shows what a program writes. It knows the carriage return, the line feed, the backspace
// and the tab, and of the escape sequences those that clear.
func (s *Screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range string(b) {
		s.put(c)
	}
	return len(b), nil
}

func (s *Screen) put(c rune) {
	switch {
	case len(s.escape) > 0:
		s.sequence(c)
	case c == escape:
		s.escape = []byte{escape}
	case c == '\r':
		s.x = 0
	case c == '\n':
		s.feed()
	case c == '\b':
		s.x = max(0, s.x-1)
	case c == '\t':
		s.x = min(s.columns-1, s.x/8*8+8)
	case c >= ' ':
		if s.x == s.columns {
			s.x = 0
			s.feed()
		}
		for len(s.lines[s.y]) <= s.x {
			s.lines[s.y] = append(s.lines[s.y], ' ')
		}
		s.lines[s.y][s.x] = c
		s.x++
	}
}

// feed goes to the next line, and scrolls at the end.
func (s *Screen) feed() {
	if s.y++; s.y == s.rows {
		s.y--
		s.lines = append(s.lines[1:], nil)
	}
}

// sequence takes a character of an escape sequence.
func (s *Screen) sequence(c rune) {
	s.escape = append(s.escape, byte(c))
	if len(s.escape) == 2 && c == '[' || len(s.escape) > 2 && c < '@' {
		return
	}
	text := string(s.escape)
	s.escape = nil
	switch text {
	case "\x1b[J", "\x1b[K":
		s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
		for y := s.y + 1; text == "\x1b[J" && y < s.rows; y++ {
			s.lines[y] = nil
		}
	case "\x1b[H":
		s.x, s.y = 0, 0
	case "\x1b[2J":
		s.lines = make([][]rune, s.rows)
	}
}

// Text is what stands on the screen, and where the cursor is.
func (s *Screen) Text() (text string, x, y int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := make([]string, s.rows)
	for i, line := range s.lines {
		lines[i] = string(line)
	}
	return strings.Join(lines, "\n"), min(s.x, s.columns-1), s.y
}
