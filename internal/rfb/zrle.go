package rfb

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
)

// inflater decompresses the data of rectangles: a single stream for the whole connection.
type inflater struct {
	compressed bytes.Buffer
	stream     io.ReadCloser // nil before the first rectangle
}

// mostLeft is how many compressed bytes may be left of a rectangle once its pixels are
// known: the end of a block.
const mostLeft = 64

var errShort = errors.New("the screen sends fewer pixels than it says")

// ReadByte and Read read compressed bytes. That there are no more ends the stream, so that an
// end is an error.
func (i *inflater) ReadByte() (byte, error) {
	b, err := i.compressed.ReadByte()
	if err != nil {
		return 0, errShort
	}
	return b, nil
}

func (i *inflater) Read(p []byte) (int, error) {
	n, err := i.compressed.Read(p)
	if err != nil {
		return 0, errShort
	}
	return n, nil
}

// bytes returns the next decompressed bytes, at most those of a tile, in a buffer.
func (i *inflater) bytes(buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(i.stream, buf); err != nil {
		return nil, fmt.Errorf("the screen sends data that cannot be decompressed: %w", err)
	}
	return buf, nil
}

func (i *inflater) byte() (byte, error) {
	var b [1]byte
	_, err := i.bytes(b[:])
	return b[0], err
}

// tileSize is that of the tiles of a rectangle.
const tileSize = 64

// drawZRLE reads a rectangle in the encoding ZRLE.
func (c *Client) drawZRLE(ctx context.Context, area image.Rectangle) error {
	head, err := c.take(ctx, 4)
	if err != nil {
		return err
	}
	long := uint64(binary.BigEndian.Uint32(head))
	if most := uint64(area.Dx()*area.Dy())*4 + uint64(area.Dx()+area.Dy()) + 4096; long > most {
		return fmt.Errorf("the screen sends %d bytes for a rectangle of %v pixels", long, area.Size())
	}
	data, err := c.take(ctx, int(long))
	if err != nil {
		return err
	}
	z := &c.inflate
	z.compressed.Write(data)
	if z.stream == nil && area.Dx()*area.Dy() > 0 {
		if z.stream, err = zlib.NewReader(z); err != nil {
			return fmt.Errorf("the screen sends data that cannot be decompressed: %w", err)
		}
	}
	for y := area.Min.Y; y < area.Max.Y; y += tileSize {
		for x := area.Min.X; x < area.Max.X; x += tileSize {
			t := tile{area: image.Rect(x, y, x+tileSize, y+tileSize).Intersect(area), from: z, to: c.screen}
			if err := t.draw(); err != nil {
				return err
			}
		}
	}
	if left := z.compressed.Len(); left > mostLeft {
		return fmt.Errorf("the screen sends %d bytes more than the rectangle %v needs", left, area)
	}
	return nil
}

// tile is a tile of a rectangle.
type tile struct {
	area image.Rectangle
	from *inflater
	to   *image.RGBA
	at   int // the next pixel
}

func (t *tile) pixels() int { return t.area.Dx() * t.area.Dy() }

// fill sets the next pixels to a colour.
func (t *tile) fill(n int, colour []byte) error {
	if n > t.pixels()-t.at {
		return errors.New("the screen sends more pixels than a tile has")
	}
	for range n {
		put(t.to.Pix[t.to.PixOffset(t.area.Min.X+t.at%t.area.Dx(), t.area.Min.Y+t.at/t.area.Dx()):], colour)
		t.at++
	}
	return nil
}

const colourBytes = 3 // of a pixel whose fourth byte has no colour

// draw reads the tile. Its first byte says how it is packed.
func (t *tile) draw() error {
	kind, err := t.from.byte()
	if err != nil {
		return err
	}
	switch {
	case kind == 0:
		return t.drawPlain()
	case kind <= 16:
		return t.drawPacked(int(kind))
	case kind == 128:
		return t.drawRuns(nil)
	case kind > 129:
		palette, err := t.palette(int(kind) - 128)
		if err != nil {
			return err
		}
		return t.drawRuns(palette)
	}
	return fmt.Errorf("the screen sends a tile of the unknown kind %d", kind)
}

func (t *tile) drawPlain() error {
	data, err := t.from.bytes(make([]byte, colourBytes*t.pixels()))
	if err != nil {
		return err
	}
	for i := 0; i < len(data); i += colourBytes {
		if err := t.fill(1, data[i:]); err != nil {
			return err
		}
	}
	return nil
}

// palette reads the colours of the tile.
func (t *tile) palette(n int) ([]byte, error) { return t.from.bytes(make([]byte, colourBytes*n)) }

// drawPacked reads a tile of few colours: of one, or a row of numbers of colours after the
// other.
func (t *tile) drawPacked(colours int) error {
	palette, err := t.palette(colours)
	if err != nil {
		return err
	}
	if colours == 1 {
		return t.fill(t.pixels(), palette)
	}
	bits := 4
	switch {
	case colours == 2:
		bits = 1
	case colours <= 4:
		bits = 2
	}
	perRow := (t.area.Dx()*bits + 7) / 8
	data, err := t.from.bytes(make([]byte, perRow*t.area.Dy()))
	if err != nil {
		return err
	}
	for y := range t.area.Dy() {
		for x := range t.area.Dx() {
			bit := x * bits
			i := int(data[y*perRow+bit/8]>>(8-bits-bit%8)) & (1<<bits - 1)
			if i >= colours {
				return errColour
			}
			if err := t.fill(1, palette[colourBytes*i:]); err != nil {
				return err
			}
		}
	}
	return nil
}

var errColour = errors.New("the screen sends a colour that its palette does not have")

// drawRuns reads a tile of runs of one colour: with a palette, the colour is its number in
// that, and a single pixel has no length.
func (t *tile) drawRuns(palette []byte) error {
	for t.at < t.pixels() {
		colour, run := make([]byte, colourBytes), true
		if palette == nil {
			if _, err := t.from.bytes(colour); err != nil {
				return err
			}
		} else {
			i, err := t.from.byte()
			if err != nil {
				return err
			}
			run = i >= 128
			if i &= 127; colourBytes*int(i) >= len(palette) {
				return errColour
			}
			colour = palette[colourBytes*int(i):]
		}
		n := 1
		for more := run; more; {
			b, err := t.from.byte()
			if err != nil {
				return err
			}
			if n += int(b); n > t.pixels() {
				return errors.New("the screen sends more pixels than a tile has")
			}
			more = b == 255
		}
		if err := t.fill(n, colour); err != nil {
			return err
		}
	}
	return nil
}
