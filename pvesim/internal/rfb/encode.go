package rfb

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"math/bits"
)

// pixels is how a client wants a pixel.
type pixels struct {
	bytes     int
	big       bool
	most      [3]uint32 // of red, green and blue
	shift     [3]byte
	compact   bool // the highest byte says nothing
	supported bool
}

func pixelsOf(format []byte) pixels {
	p := pixels{bytes: int(format[0]) / 8, big: format[2] != 0, supported: format[3] != 0}
	used := uint32(0)
	for i := range 3 {
		p.most[i], p.shift[i] = uint32(binary.BigEndian.Uint16(format[4+2*i:])), format[10+i]
		used |= p.most[i] << p.shift[i]
	}
	p.compact = p.bytes == 4 && format[1] <= 24 && bits.LeadingZeros32(used) >= 8
	return p
}

// qemuFormat is QEMU's own format: 32 bits, of which 24 are colours, the lowest byte first.
var qemuFormat = []byte{32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0}

// append appends a pixel; in a compact way without the byte that says nothing.
func (p pixels) append(out []byte, rgb uint32, compact bool) []byte {
	value := uint32(0)
	for i := range 3 {
		value |= (rgb >> (16 - 8*i) & 0xff) * p.most[i] / 255 << p.shift[i]
	}
	n := p.bytes
	if compact && p.compact {
		n = 3
	}
	for i := range n {
		at := i
		if p.big {
			at = n - 1 - i
		}
		out = append(out, byte(value>>(8*at)))
	}
	return out
}

// area is a part of the screen.
type area struct{ x, y, w, h int }

// clip fits a picture into another size.
func clip(from []uint32, width, height, w, h int) []uint32 {
	if width == w && height == h {
		return from
	}
	out := make([]uint32, w*h)
	for y := range min(height, h) {
		copy(out[y*w:y*w+min(width, w)], from[y*width:])
	}
	return out
}

// strip is the height of the parts in which changes are looked for.
const strip = 16

// changed returns the parts of a screen that differ.
func changed(old, now []uint32, width, height int) []area {
	var out []area
	for y := 0; y < height; y += strip {
		h := min(strip, height-y)
		left, right := width, -1
		for row := y; row < y+h; row++ {
			for x := range width {
				if old[row*width+x] != now[row*width+x] {
					left, right = min(left, x), max(right, x)
				}
			}
		}
		if right >= 0 {
			left = left / strip * strip
			out = append(out, area{left, y, min(width, (right/strip+1)*strip) - left, h})
		}
	}
	return out
}

func raw(out []byte, all []uint32, width int, a area, p pixels) []byte {
	for y := a.y; y < a.y+a.h; y++ {
		for x := a.x; x < a.x+a.w; x++ {
			out = p.append(out, all[y*width+x], false)
		}
	}
	return out
}

// encoder has the stream of zlib that goes through all of a connection.
type encoder struct {
	packed bytes.Buffer
	zlib   *zlib.Writer
}

func newEncoder() *encoder {
	e := &encoder{}
	e.zlib = zlib.NewWriter(&e.packed)
	return e
}

// deflate appends data, compressed, after its length.
func (e *encoder) deflate(out, data []byte) []byte {
	e.packed.Reset()
	_, _ = e.zlib.Write(data)
	_ = e.zlib.Flush()
	out = binary.BigEndian.AppendUint32(out, uint32(e.packed.Len()))
	return append(out, e.packed.Bytes()...)
}

// bomb appends far more than any screen has.
func (e *encoder) bomb(out []byte) []byte { return e.deflate(out, make([]byte, 256<<20)) }

// zrle appends an area in tiles of 64x64.
func (e *encoder) zrle(out []byte, all []uint32, width int, a area, p pixels) []byte {
	const side = 64
	var data []byte
	for y := a.y; y < a.y+a.h; y += side {
		for x := a.x; x < a.x+a.w; x += side {
			t := tile{w: min(side, a.x+a.w-x), format: p}
			for row := y; row < min(y+side, a.y+a.h); row++ {
				t.pixels = append(t.pixels, all[row*width+x:row*width+x+t.w]...)
			}
			data = t.append(data)
		}
	}
	return e.deflate(out, data)
}

// tile is a part that is encoded for itself.
type tile struct {
	pixels []uint32
	w      int
	format pixels
}

// The kinds of tiles.
const (
	tileRaw     = 0
	tileSolid   = 1
	tileRuns    = 128
	tilePalette = 128 // and the number of colours, with runs
)

// append appends the tile in the shortest of the ways that QEMU has.
func (t tile) append(out []byte) []byte {
	palette, index := []uint32{}, map[uint32]int{}
	for _, c := range t.pixels {
		if _, known := index[c]; !known && len(palette) < 128 {
			index[c] = len(palette)
			palette = append(palette, c)
		}
	}
	if len(palette) == 1 {
		return t.format.append(append(out, tileSolid), palette[0], true)
	}
	ways := [][]byte{t.raw(), t.runs()}
	if len(palette) <= 16 {
		ways = append(ways, t.packed(palette, index))
	}
	if len(palette) < 128 {
		ways = append(ways, t.paletteRuns(palette, index))
	}
	best := ways[0]
	for _, way := range ways[1:] {
		if len(way) < len(best) {
			best = way
		}
	}
	return append(out, best...)
}

func (t tile) raw() []byte {
	out := []byte{tileRaw}
	for _, c := range t.pixels {
		out = t.format.append(out, c, true)
	}
	return out
}

// each calls do for each run of one colour.
func (t tile) each(do func(colour uint32, length int)) {
	for at := 0; at < len(t.pixels); {
		n := 1
		for at+n < len(t.pixels) && t.pixels[at+n] == t.pixels[at] {
			n++
		}
		do(t.pixels[at], n)
		at += n
	}
}

// runLength appends a length: 255 for each 255 that it is more than one.
func runLength(out []byte, n int) []byte {
	for n--; n >= 255; n -= 255 {
		out = append(out, 255)
	}
	return append(out, byte(n))
}

func (t tile) runs() []byte {
	out := []byte{tileRuns}
	t.each(func(colour uint32, n int) { out = runLength(t.format.append(out, colour, true), n) })
	return out
}

func (t tile) head(kind int, palette []uint32) []byte {
	out := []byte{byte(kind)}
	for _, c := range palette {
		out = t.format.append(out, c, true)
	}
	return out
}

func (t tile) paletteRuns(palette []uint32, index map[uint32]int) []byte {
	out := t.head(tilePalette+len(palette), palette)
	t.each(func(colour uint32, n int) {
		if n == 1 {
			out = append(out, byte(index[colour]))
			return
		}
		out = runLength(append(out, byte(128|index[colour])), n)
	})
	return out
}

// packed has as many bits a pixel as the palette needs; a row begins with a byte.
func (t tile) packed(palette []uint32, index map[uint32]int) []byte {
	width := map[bool]int{true: 1, false: 2}[len(palette) == 2]
	if len(palette) > 4 {
		width = 4
	}
	out := t.head(len(palette), palette)
	for y := 0; y < len(t.pixels); y += t.w {
		b, left := byte(0), 8
		for _, c := range t.pixels[y : y+t.w] {
			left -= width
			b |= byte(index[c] << left)
			if left == 0 {
				out, b, left = append(out, b), 0, 8
			}
		}
		if left < 8 {
			out = append(out, b)
		}
	}
	return out
}
