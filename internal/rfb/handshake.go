package rfb

import (
	"context"
	"crypto/des" //nolint:gosec // RFB has nothing better
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// RefusedError means that a screen does not let us in. Reason is in its own words.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "the screen refuses the connection: " + e.Reason }

// BusyError means that somebody has opened the screen for himself alone.
type BusyError struct{}

func (BusyError) Error() string { return "somebody has opened the screen for himself alone" }

const (
	version     = "RFB 003.008\n"
	byPassword  = 2
	mostWords   = 4 << 10 // bytes of a name or a reason
	mostClipped = 1 << 20 // bytes of a clipboard
)

// greet agrees on the version, authenticates, and reads what kind of screen there is.
func (c *Client) greet(ctx context.Context, password string) error {
	said, err := c.take(ctx, len(version))
	if err != nil {
		return err
	}
	if string(said) != version {
		return fmt.Errorf("the screen says %q, which is not RFB 3.8", said)
	}
	if err := c.conn.Send([]byte(version)); err != nil {
		return err
	}
	if err := c.authenticate(ctx, password); err != nil {
		return err
	}
	const shared = 1
	if err := c.conn.Send([]byte{shared}); err != nil {
		return err
	}
	hello, err := c.take(ctx, 24)
	if errors.Is(err, io.EOF) {
		return BusyError{}
	}
	if err != nil {
		return err
	}
	width, height, long := binary.BigEndian.Uint16(hello), binary.BigEndian.Uint16(hello[2:]), binary.BigEndian.Uint32(hello[20:])
	if err := c.resize(int(width), int(height)); err != nil {
		return err
	}
	name, err := c.words(ctx, long)
	c.name = name
	return err
}

func (c *Client) authenticate(ctx context.Context, password string) error {
	n, err := c.take(ctx, 1)
	if err != nil {
		return err
	}
	if n[0] == 0 {
		return c.refused(ctx)
	}
	types, err := c.take(ctx, int(n[0]))
	if err != nil {
		return err
	}
	if !slices.Contains(types, byPassword) {
		return fmt.Errorf("the screen offers the security types %v, and none is by a password of VNC", types)
	}
	if err := c.conn.Send([]byte{byPassword}); err != nil {
		return err
	}
	challenge, err := c.take(ctx, 16)
	if err != nil {
		return err
	}
	if err := c.conn.Send(answerOf(challenge, password)); err != nil {
		return err
	}
	result, err := c.take(ctx, 4)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(result) != 0 {
		return c.refused(ctx)
	}
	return nil
}

// answerOf encrypts a challenge with a password, the bits of whose bytes VNC turns round.
func answerOf(challenge []byte, password string) []byte {
	key := make([]byte, des.BlockSize)
	copy(key, password)
	for i := range key {
		key[i] = bits.Reverse8(key[i])
	}
	block, err := des.NewCipher(key) //nolint:gosec // RFB has nothing better
	if err != nil {
		panic(err) // the key has its length
	}
	out := make([]byte, 2*des.BlockSize)
	block.Encrypt(out, challenge)
	block.Encrypt(out[des.BlockSize:], challenge[des.BlockSize:])
	return out
}

// refused reads why the screen does not let us in.
func (c *Client) refused(ctx context.Context) error {
	long, err := c.take(ctx, 4)
	if err != nil {
		return &RefusedError{Reason: "it gives no reason"}
	}
	why, err := c.words(ctx, binary.BigEndian.Uint32(long))
	if err != nil {
		return err
	}
	return &RefusedError{Reason: why}
}

// words reads a text of the screen.
func (c *Client) words(ctx context.Context, long uint32) (string, error) {
	if long > mostWords {
		return "", fmt.Errorf("the screen sends a text of %d bytes", long)
	}
	text, err := c.take(ctx, int(long))
	return render.Text(string(text), 200), err
}

// setUp says how pixels and updates are wanted: 3 bytes of colour in 4, the lowest first, and
// compressed if that can be had.
func (c *Client) setUp() error {
	format := []byte{0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0}
	wanted := []int32{zrle, desktopSize, raw}
	encodings := binary.BigEndian.AppendUint16([]byte{2, 0}, uint16(len(wanted)))
	for _, e := range wanted {
		encodings = binary.BigEndian.AppendUint32(encodings, uint32(e))
	}
	return errors.Join(c.conn.Send(format), c.conn.Send(encodings))
}
