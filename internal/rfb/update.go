package rfb

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
)

// The encodings of rectangles.
const (
	raw                 = 0
	zrle                = 16
	desktopSize         = -223
	extendedDesktopSize = -308
)

// message reads a message of the screen, and does what it says.
func (c *Client) message(ctx context.Context) error {
	kind, err := c.take(ctx, 1)
	if err != nil {
		return err
	}
	switch kind[0] {
	case 0:
		return c.update(ctx)
	case 1: // colours of a palette, which is not in use
		head, err := c.take(ctx, 5)
		if err != nil {
			return err
		}
		return c.skip(ctx, 6*int(binary.BigEndian.Uint16(head[3:])))
	case 2: // the bell
		return nil
	case 3: // the clipboard
		head, err := c.take(ctx, 7)
		if err != nil {
			return err
		}
		long := binary.BigEndian.Uint32(head[3:])
		if long > mostClipped {
			return fmt.Errorf("the screen sends a clipboard of %d bytes", long)
		}
		return c.skip(ctx, int(long))
	}
	return fmt.Errorf("the screen sends a message of the unknown kind %d", kind[0])
}

// How much one update may have: sizes of the screen, and as many pixels as times all of it.
const (
	mostResizes = 4
	mostTimes   = 4
)

// update reads an update of the screen.
func (c *Client) update(ctx context.Context) error {
	head, err := c.take(ctx, 3)
	if err != nil {
		return err
	}
	rects := int(binary.BigEndian.Uint16(head[1:]))
	resizes, pixels := 0, 0
	for range rects {
		head, err := c.take(ctx, 12)
		if err != nil {
			return err
		}
		x, y := int(binary.BigEndian.Uint16(head)), int(binary.BigEndian.Uint16(head[2:]))
		w, h := int(binary.BigEndian.Uint16(head[4:])), int(binary.BigEndian.Uint16(head[6:]))
		encoding := int32(binary.BigEndian.Uint32(head[8:]))
		switch encoding {
		case desktopSize, extendedDesktopSize:
			if resizes++; resizes > mostResizes {
				return fmt.Errorf("the screen changes its size %d times at once", resizes)
			}
			if err := c.readSize(ctx, encoding, y, w, h); err != nil {
				return err
			}
			pixels = 0
			continue
		}
		area, size := image.Rect(x, y, x+w, y+h), c.screen.Rect.Size()
		if pixels += w * h; pixels > mostTimes*size.X*size.Y {
			return fmt.Errorf("the screen sends more than %d times all of it at once", mostTimes)
		}
		if w > 0 && h > 0 && !area.In(c.screen.Rect) {
			return fmt.Errorf("the screen sends the rectangle %v, and has %v", area, size)
		}
		if err := c.draw(ctx, encoding, area); err != nil {
			return err
		}
		c.covered += w * h
	}
	return nil
}

// readSize reads a new size of the screen.
func (c *Client) readSize(ctx context.Context, encoding int32, status, w, h int) error {
	if encoding == extendedDesktopSize {
		head, err := c.take(ctx, 4)
		if err != nil {
			return err
		}
		if err := c.skip(ctx, 16*int(head[0])); err != nil {
			return err
		}
		if status != 0 { // an error, and no new size
			return nil
		}
	}
	if size := c.screen.Rect.Size(); size.X == w && size.Y == h {
		return nil
	}
	return c.resize(w, h)
}

// draw reads a rectangle of pixels.
func (c *Client) draw(ctx context.Context, encoding int32, area image.Rectangle) error {
	switch encoding {
	case raw:
		if area.Empty() { // wherever it is
			return nil
		}
		for y := area.Min.Y; y < area.Max.Y; y++ {
			line, err := c.take(ctx, 4*area.Dx())
			if err != nil {
				return err
			}
			row := c.screen.Pix[c.screen.PixOffset(area.Min.X, y):]
			for x := range area.Dx() {
				put(row[4*x:], line[4*x:])
			}
		}
		return nil
	case zrle:
		return c.drawZRLE(ctx, area)
	}
	return fmt.Errorf("the screen sends the encoding %d, which was not asked for", encoding)
}

// put writes a pixel, from blue, green and red to red, green, blue and opaque.
func put(to, from []byte) { to[0], to[1], to[2], to[3] = from[2], from[1], from[0], 255 }
