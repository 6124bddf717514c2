// Package rfb is a client of the RFB protocol 3.8, by which QEMU shows the screen of a VM and
// takes its keys. It looks at a screen; it does not draw one.
//
// What comes is the guest's and is trusted with nothing: the size of a screen, the bytes and
// the pixels of a message, and the number of messages that a look takes are bounded. The
// caller's context bounds the time.
package rfb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/duplex"
)

// MaxPixels is how many pixels a screen may have.
const MaxPixels = 4096 * 2304

// Client is a connection to a screen. It is used by one goroutine at a time.
type Client struct {
	conn    *duplex.Conn
	pending []byte // that came and was not read
	name    string
	screen  *image.RGBA
	inflate inflater
	resized bool // since the last request for all of the screen
	covered int  // pixels that came since then
}

// Connect takes over a stream and opens the screen with a password, of which the first 8
// bytes count. Others who have the screen open keep it. The connection ends with ctx. On an error
// the stream is closed.
func Connect(ctx context.Context, s duplex.Stream, password string) (*Client, error) {
	c := &Client{conn: duplex.New(ctx, s)}
	greeting, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	err := c.greet(greeting, password)
	if err == nil {
		err = c.setUp()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Name is how the screen calls itself.
func (c *Client) Name() string { return c.name }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// maxLookMessages is how many messages may come before all of a screen is known.
const maxLookMessages = 1000

// Look asks for all of the screen, and returns it. The picture is good until the next call.
func (c *Client) Look(ctx context.Context) (*image.RGBA, error) {
	if err := c.request(false); err != nil {
		return nil, err
	}
	for range maxLookMessages {
		if err := c.message(ctx); err != nil {
			return nil, err
		}
		switch size := c.screen.Rect.Size(); {
		case c.resized:
			if err := c.request(false); err != nil {
				return nil, err
			}
		case c.covered >= size.X*size.Y:
			return c.screen, nil
		}
	}
	return nil, errors.New("the screen was not shown as a whole within 1000 messages")
}

// Watch waits until something of the screen changes, and returns all of it. If ctx ends
// before, it returns the screen as it is, and changed is false.
func (c *Client) Watch(ctx context.Context) (screen *image.RGBA, changed bool, err error) {
	c.resized = false
	if err := c.request(true); err != nil {
		return nil, false, err
	}
	changed, err = c.awaitChange(ctx)
	return c.screen, changed, err
}

// messageTime is how long a message may take to come whole.
const messageTime = 20 * time.Second

// awaitChange takes what the screen sends until something of it has changed, or ctx ends.
func (c *Client) awaitChange(ctx context.Context) (changed bool, err error) {
	for before := c.covered; ; {
		if err := c.await(ctx, 1); err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			return false, err
		}
		if err := c.wholeMessage(ctx); err != nil {
			return false, err
		}
		if c.resized || c.covered != before {
			return true, nil
		}
	}
}

// wholeMessage reads a message that has begun to come, though ctx may end meanwhile. If the
// screen has another size after it, all of it is read anew.
func (c *Client) wholeMessage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), messageTime)
	defer cancel()
	if err := c.message(ctx); err != nil || !c.resized {
		return err
	}
	_, err := c.Look(ctx)
	c.resized = true
	return err
}

// Key presses or releases a key, by its X keysym.
func (c *Client) Key(keysym uint32, down bool) error {
	m := []byte{4, 0, 0, 0}
	if down {
		m[1] = 1
	}
	return c.conn.Send(binary.BigEndian.AppendUint32(m, keysym))
}

// request asks for the screen: for what changes, or for all of it.
func (c *Client) request(changes bool) error {
	m := []byte{3, 0, 0, 0, 0, 0}
	if changes {
		m[1] = 1
	} else {
		c.resized, c.covered = false, 0
	}
	size := c.screen.Rect.Size()
	m = binary.BigEndian.AppendUint16(m, uint16(size.X))
	return c.conn.Send(binary.BigEndian.AppendUint16(m, uint16(size.Y)))
}

// resize makes the screen another size. What it shows comes later.
func (c *Client) resize(width, height int) error {
	if width < 1 || height < 1 || width*height > MaxPixels {
		return fmt.Errorf("the screen has %d x %d pixels, and at most %d are looked at", width, height, MaxPixels)
	}
	c.screen, c.resized, c.covered = image.NewRGBA(image.Rect(0, 0, width, height)), true, 0
	return nil
}

// await waits until so many bytes have come.
func (c *Client) await(ctx context.Context, n int) error {
	for len(c.pending) < n {
		data, err := c.conn.Next(ctx)
		if err != nil {
			return err
		}
		c.pending = append(c.pending, data...)
	}
	return nil
}

// take waits for so many bytes, and returns them. They are good until the next call.
func (c *Client) take(ctx context.Context, n int) ([]byte, error) {
	if err := c.await(ctx, n); err != nil {
		return nil, err
	}
	out := c.pending[:n:n]
	c.pending = c.pending[n:]
	return out, nil
}

// skip waits for so many bytes, and forgets them.
func (c *Client) skip(ctx context.Context, n int) error {
	for n > 0 {
		if err := c.await(ctx, 1); err != nil {
			return err
		}
		some := min(n, len(c.pending))
		c.pending, n = c.pending[some:], n-some
	}
	return nil
}
