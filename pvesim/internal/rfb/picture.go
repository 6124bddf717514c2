package rfb

import (
	_ "embed"
	"slices"
	"strings"
)

// font are the glyphs of the VGA's text mode, 16 bytes each, in the order of code page 437. They
// are in the public domain (FNTCOL16 of Joseph Gil, as SeaBIOS has them).
//
//go:embed vga8x16.bin
var font []byte

// high are the characters of code page 437 from 128 on.
var high = []rune("ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0")

// Picture is what a screen shows. Pictures that are equal look alike.
type Picture struct {
	Width, Height int
	Lines         string // of text, in cells from the top left corner
	Wide          bool   // a cell has a ninth column, as in the VGA's text mode
	Centred       bool   // the text is in the middle, as in QEMU's own messages
	CursorX       int    // in cells; -1 without a cursor
	CursorY       int
	Graphic       bool // a desktop is drawn, with a window that holds the text
}

// grey is the colour of text, as the VGA has it.
const grey = 0xa8a8a8

// TextMode is the VGA's text mode, 80x25.
func TextMode(lines string) Picture {
	return Picture{Width: 720, Height: 400, Lines: lines, Wide: true, CursorX: -1}
}

// draw returns the pixels, a row after the other, as 0xRRGGBB.
func (p Picture) draw() []uint32 {
	out := make([]uint32, p.Width*p.Height)
	x0, y0, cell := 0, 0, 8
	if p.Wide {
		cell = 9
	}
	if p.Graphic {
		p.desktop(out)
		x0, y0 = p.Width/8+10, p.Height/8+30
	}
	lines := strings.Split(p.Lines, "\n")
	for row, line := range lines {
		if p.Centred {
			x0 = (p.Width/8 - len([]rune(line))) / 2 * 8
			y0 = (p.Height/16 - len(lines)) / 2 * 16
		}
		for column, char := range []rune(line) {
			p.glyph(out, x0+column*cell, y0+row*16, index(char), grey)
		}
	}
	if p.CursorX >= 0 {
		for y := 13; y < 15; y++ {
			for x := range cell {
				p.set(out, x0+p.CursorX*cell+x, y0+p.CursorY*16+y, grey)
			}
		}
	}
	return out
}

// index is the place of a character in the font.
func index(char rune) int {
	if char < 128 {
		return int(char)
	}
	if i := slices.Index(high, char); i >= 0 {
		return 128 + i
	}
	return '?'
}

func (p Picture) set(out []uint32, x, y int, colour uint32) {
	if x >= 0 && y >= 0 && x < p.Width && y < p.Height {
		out[y*p.Width+x] = colour
	}
}

// glyph draws a character. The VGA repeats the eighth column of those that draw lines.
func (p Picture) glyph(out []uint32, x, y, char int, colour uint32) {
	for row := range 16 {
		bits := font[char*16+row]
		for column := range 8 {
			if bits&(0x80>>column) != 0 {
				p.set(out, x+column, y+row, colour)
			}
		}
		if p.Wide && bits&1 != 0 && char >= 0xc0 && char <= 0xdf {
			p.set(out, x+8, y+row, colour)
		}
	}
}

// desktop draws a background of many colours, and a window.
func (p Picture) desktop(out []uint32) {
	for y := range p.Height {
		for x := range p.Width {
			out[y*p.Width+x] = uint32(x*255/p.Width)<<16 | uint32(y*255/p.Height)<<8 | uint32((x^y)&0xff)
		}
	}
	for y := p.Height / 8; y < p.Height*7/8; y++ {
		for x := p.Width / 8; x < p.Width*7/8; x++ {
			out[y*p.Width+x] = 0x202020
			if y < p.Height/8+24 {
				out[y*p.Width+x] = 0x3465a4
			}
		}
	}
}
