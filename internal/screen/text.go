// Package screen says what a picture of a screen shows: the text of a text mode or of a
// console on a framebuffer, exactly, by the glyphs of the VGA font; and what state the machine
// is in by what it says.
package screen

import (
	"encoding/binary"
	"image"
	"strings"
	"unicode"
)

// Text is the text on a screen.
type Text struct {
	Columns, Rows int
	Lines         []string // without blanks at the end, down to the last one with text
	// Cursor is the cell of the cursor, counted from 1, zero if none is seen.
	Cursor image.Point
	// Unread is how many cells show something that is no character.
	Unread int
}

func (t Text) String() string { return strings.Join(t.Lines, "\n") }

// Kind is what a screen shows.
type Kind int

// The kinds of screens.
const (
	Graphical Kind = iota
	Textual
	Blank // of one colour
)

const (
	cellHeight = 16
	unreadMark = '\ufffd'
)

// Read reads the text on a screen. It returns none unless the screen is textual.
func Read(img *image.RGBA) (Text, Kind) {
	size := img.Rect.Size()
	if isBlank(img) {
		return Text{}, Blank
	}
	var best Text
	found := false
	for _, width := range []int{9, 8} {
		if width == 9 && size.X%9 != 0 {
			continue
		}
		g := newGrid(img, width)
		if text, ok := g.read(); ok && (!found || text.Unread < best.Unread) {
			best, found = text, true
		}
	}
	if !found {
		return Text{}, Graphical
	}
	return best, Textual
}

func isBlank(img *image.RGBA) bool {
	first := colourAt(img.Pix)
	for i := 4; i < len(img.Pix); i += 4 {
		if colourAt(img.Pix[i:]) != first {
			return false
		}
	}
	return true
}

func colourAt(pix []byte) uint32 { return binary.LittleEndian.Uint32(pix) }

// grid divides a screen into cells.
type grid struct {
	img           *image.RGBA
	width         int // of a cell
	columns, rows int
}

func newGrid(img *image.RGBA, width int) grid {
	size := img.Rect.Size()
	return grid{img: img, width: width, columns: size.X / width, rows: size.Y / cellHeight}
}

// cell is what is in a cell.
type cell struct {
	char   rune
	cursor bool
}

// read reads all cells. ok is false if too many of them are no characters.
func (g grid) read() (t Text, ok bool) {
	t.Columns, t.Rows = g.columns, g.rows
	inked, words := 0, 0
	for row := range g.rows {
		var line strings.Builder
		for column := range g.columns {
			c := g.cell(column, row)
			if c.cursor && t.Cursor == (image.Point{}) {
				t.Cursor = image.Pt(column+1, row+1)
			}
			if c.char == unreadMark {
				t.Unread++
			}
			if c.char != ' ' {
				inked++
			}
			if unicode.IsLetter(c.char) || unicode.IsDigit(c.char) {
				words++
			}
			line.WriteRune(c.char)
			if inked > 100 && t.Unread > inked/2 {
				return t, false
			}
		}
		t.Lines = append(t.Lines, strings.TrimRight(line.String(), " "))
	}
	for len(t.Lines) > 0 && t.Lines[len(t.Lines)-1] == "" {
		t.Lines = t.Lines[:len(t.Lines)-1]
	}
	const mostUnread, fewest = 50, 2 // one of so many, or so many
	isText := t.Unread <= max(fewest, inked/mostUnread)
	onlyCursor := inked <= 1 && t.Cursor != (image.Point{})
	return t, isText && (words > 0 && 4*words >= inked || onlyCursor)
}

// cell reads a cell: the more frequent of its two colours is the background.
func (g grid) cell(column, row int) cell {
	var colours [2]uint32
	var counts [2]int
	var bits [2]glyph // the pixels of each colour
	used := 0
	for y := range cellHeight {
		at := g.img.PixOffset(column*g.width, row*cellHeight+y)
		for x := range g.width {
			colour, i := colourAt(g.img.Pix[at+4*x:]), 0
			for i < used && colours[i] != colour {
				i++
			}
			switch {
			case i == len(colours):
				return cell{char: unreadMark}
			case i == used:
				colours[i] = colour
				used++
			}
			counts[i]++
			if x < 8 { // the ninth column only repeats the eighth, or is empty
				bits[i][y/8] |= 1 << (63 - 8*(y%8) - x)
			}
		}
	}
	if used < 2 {
		return cell{char: ' '}
	}
	ink := bits[0]
	if counts[0] > counts[1] {
		ink = bits[1]
	}
	return charOf(ink)
}

// charOf returns the character that is drawn, under a cursor or not.
func charOf(ink glyph) cell {
	f := vgaFont()
	char, off := f.find(ink)
	if off == 0 {
		return cell{char: char}
	}
	if rest, has := ink.withoutCursor(); has {
		if under, off := f.find(rest); off == 0 {
			return cell{char: under, cursor: true}
		}
	}
	if off <= mostBitsOff {
		return cell{char: char}
	}
	return cell{char: unreadMark}
}
