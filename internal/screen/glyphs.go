package screen

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
	"sync"
)

// vgaGlyphs has the glyphs of the VGA text mode, in the order of code page 437: 16 bytes each, a
// byte a row, the highest bit leftmost. They are in the public domain.
//
//go:embed vga8x16.bin
var vgaGlyphs []byte

// cp437 are the characters of the code page.
const cp437 = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" +
	" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~⌂" +
	"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
	"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ "

// glyph is the rows of a character, the highest first.
type glyph [2]uint64

// font finds characters by their glyphs.
type font struct {
	glyphs []glyph
	chars  []rune
	exact  map[glyph]rune
}

// vgaFont is made when it is first needed.
var vgaFont = sync.OnceValue(func() *font {
	f := &font{chars: []rune(cp437), exact: map[glyph]rune{}}
	for i, r := range f.chars {
		g := glyph{binary.BigEndian.Uint64(vgaGlyphs[16*i:]), binary.BigEndian.Uint64(vgaGlyphs[16*i+8:])}
		f.glyphs = append(f.glyphs, g)
		if _, has := f.exact[g]; !has || ' ' <= r && r <= '~' {
			f.exact[g] = r
		}
	}
	return f
})

// mostBitsOff is how many bits of a glyph another font may draw in another way.
const mostBitsOff = 4

// find returns the character whose glyph is nearest to g, and how many bits are off.
func (f *font) find(g glyph) (char rune, off int) {
	if char, ok := f.exact[g]; ok {
		return char, 0
	}
	off = 129
	for i, known := range f.glyphs {
		if n := bits.OnesCount64(g[0]^known[0]) + bits.OnesCount64(g[1]^known[1]); n < off {
			char, off = f.chars[i], n
		}
	}
	return char, off
}

// withoutCursor is g without a cursor that underlines it: rows at the bottom that are set from
// one side to the other. found says that there is one.
func (g glyph) withoutCursor() (rest glyph, found bool) {
	for row := range 4 { // from the lowest
		mask := uint64(0xff) << (8 * row)
		if g[1]&mask == mask {
			g[1] &^= mask
			found = true
		}
	}
	return g, found
}
