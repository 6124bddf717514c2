// Package rfb is the server of a screen by the RFB protocol, as QEMU speaks it to VNC
// clients.
package rfb

import (
	"bytes"
	"crypto/des"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"
	"time"
)

// Screen is what is served.
type Screen struct {
	Name      string
	Password  func() string          // the present one
	Challenge [16]byte               // that was not used before
	Look      func() (Picture, bool) // false when there is no screen any more
	Key       func(keysym uint32, down bool)
	Alone     func() // the client wants the others to go
	Fault     string // how the server misbehaves; "" means that it does not
}

// look is how often the screen is compared with what the client has.
const look = 50 * time.Millisecond

// Serve speaks RFB 3.8 with a client that knows the password, until one side goes away.
func Serve(conn io.ReadWriter, s Screen) error {
	if err := authenticate(conn, s); err != nil {
		return err
	}
	var shared [1]byte
	if _, err := io.ReadFull(conn, shared[:]); err != nil {
		return err
	}
	if shared[0] == 0 && s.Alone != nil {
		s.Alone()
	}
	p, ok := s.Look()
	if !ok {
		return io.EOF
	}
	width, height := p.Width, p.Height
	if s.Fault == "huge" {
		width, height = 65535, 65535
	}
	hello := binary.BigEndian.AppendUint16(nil, uint16(width))
	hello = binary.BigEndian.AppendUint16(hello, uint16(height))
	hello = append(hello, qemuFormat...)
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(s.Name)))
	if _, err := conn.Write(append(hello, s.Name...)); err != nil {
		return err
	}
	v := &view{s: s, conn: conn, format: pixelsOf(qemuFormat), width: p.Width, height: p.Height, encoder: newEncoder()}
	v.poke = make(chan struct{}, 1)
	return v.serve()
}

// authenticate agrees on the version and lets in who answers the challenge: encrypted with
// the password, the bits of whose bytes VNC turns round.
func authenticate(conn io.ReadWriter, s Screen) error {
	if _, err := io.WriteString(conn, "RFB 003.008\n"); err != nil {
		return err
	}
	version := make([]byte, 12)
	if _, err := io.ReadFull(conn, version); err != nil {
		return err
	}
	const vncAuthentication = 2
	if _, err := conn.Write([]byte{1, vncAuthentication}); err != nil {
		return err
	}
	var chosen [1]byte
	if _, err := io.ReadFull(conn, chosen[:]); err != nil || chosen[0] != vncAuthentication {
		return errors.Join(err, errors.New("rfb: no security type of VNC"))
	}
	if _, err := conn.Write(s.Challenge[:]); err != nil {
		return err
	}
	var response [16]byte
	if _, err := io.ReadFull(conn, response[:]); err != nil {
		return err
	}
	var key [8]byte
	password := s.Password()
	copy(key[:], password)
	for i := range key {
		key[i] = bits.Reverse8(key[i])
	}
	block, err := des.NewCipher(key[:])
	if err != nil {
		return err
	}
	want := s.Challenge
	block.Encrypt(want[:8], s.Challenge[:8])
	block.Encrypt(want[8:], s.Challenge[8:])
	if password == "" || !bytes.Equal(want[:], response[:]) {
		const text = "Authentication failed"
		_, _ = conn.Write(append([]byte{0, 0, 0, 1, 0, 0, 0, byte(len(text))}, text...))
		return errors.New("rfb: " + text)
	}
	_, err = conn.Write([]byte{0, 0, 0, 0})
	return err
}

// view is a client that has the screen open.
type view struct {
	s    Screen
	conn io.ReadWriter
	poke chan struct{} // holds a value if something may be to send

	mu      sync.Mutex
	encoder *encoder // guarded by mu
	format  pixels   // guarded by mu
	zrle    bool     // the client knows it; guarded by mu
	resizes bool     // and new sizes of the screen; guarded by mu
	width   int      // of the screen, as the client knows it; guarded by mu
	height  int      // guarded by mu
	asked   bool     // for what has changed; guarded by mu
	whole   bool     // for all of the screen; guarded by mu
	sent    Picture  // guarded by mu
	pixels  []uint32 // of it; guarded by mu
}

// The messages of a client, with the length of what follows the type.
var clientMessages = map[byte]int{0: 19, 2: 3, 3: 9, 4: 7, 5: 5, 6: 7}

// serve answers the messages of the client, and sends what changes.
func (v *view) serve() error {
	over, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		failed <- v.read()
		close(over)
	}()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return <-failed
		case <-v.poke:
		case <-tick.C:
		}
		if err := v.update(); err != nil {
			return err
		}
	}
}

// read takes the messages of the client.
func (v *view) read() error {
	for {
		var kind [1]byte
		if _, err := io.ReadFull(v.conn, kind[:]); err != nil {
			return err
		}
		size, known := clientMessages[kind[0]]
		if !known {
			return errors.New("rfb: an unknown message of RFB")
		}
		m := make([]byte, size)
		if _, err := io.ReadFull(v.conn, m); err != nil {
			return err
		}
		if err := v.message(kind[0], m); err != nil {
			return err
		}
	}
}

// message takes a message of the client.
func (v *view) message(kind byte, m []byte) error {
	switch kind {
	case 0:
		format := pixelsOf(m[3:])
		if !format.supported || format.bytes == 0 || format.bytes > 4 || format.bytes == 3 {
			return errors.New("rfb: a format of pixels without true colours")
		}
		v.mu.Lock()
		v.format = format
		v.mu.Unlock()
	case 2:
		list := make([]byte, 4*int(binary.BigEndian.Uint16(m[1:])))
		if _, err := io.ReadFull(v.conn, list); err != nil {
			return err
		}
		v.encodings(list)
	case 3:
		v.mu.Lock()
		v.asked, v.whole = true, v.whole || m[0] == 0
		v.mu.Unlock()
		v.wake()
	case 4:
		v.s.Key(binary.BigEndian.Uint32(m[3:]), m[0] != 0)
		v.wake()
	case 6:
		if _, err := io.CopyN(io.Discard, v.conn, int64(binary.BigEndian.Uint32(m[3:]))); err != nil {
			return err
		}
	}
	return nil
}

// The encodings that this server knows. The last one is a message about the screen's size.
const (
	encodingRaw  = 0
	encodingZRLE = 16
	encodingSize = -223
)

// encodings takes those that the client knows, the best one first.
func (v *view) encodings(list []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.zrle, v.resizes = false, false
	chosen := false
	for ; len(list) >= 4; list = list[4:] {
		switch int32(binary.BigEndian.Uint32(list)) {
		case encodingZRLE:
			v.zrle, chosen = v.zrle || !chosen, true
		case encodingRaw:
			chosen = true
		case encodingSize:
			v.resizes = true
		}
	}
}

// wake has the screen compared at once.
func (v *view) wake() {
	select {
	case v.poke <- struct{}{}:
	default:
	}
}

// update sends what the client has asked for, if that has changed. Meanwhile, the client can
// send.
func (v *view) update() error {
	p, ok := v.s.Look()
	if !ok {
		return io.EOF
	}
	v.mu.Lock()
	asked := v.asked && (v.whole || p != v.sent)
	v.mu.Unlock()
	if asked && v.s.Fault != "" {
		return v.misbehave()
	}
	if out := v.answer(p); len(out) > 0 {
		_, err := v.conn.Write(out)
		return err
	}
	return nil
}

// answer is the message that the client waits for; nil if there is nothing new.
func (v *view) answer(p Picture) []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.asked || !v.whole && p == v.sent {
		return nil
	}
	if v.resizes && (p.Width != v.width || p.Height != v.height) {
		v.width, v.height, v.asked = p.Width, p.Height, false
		v.sent, v.pixels = Picture{}, nil
		return rectangle([]byte{0, 0, 0, 1}, 0, 0, v.width, v.height, encodingSize)
	}
	pixels := clip(p.draw(), p.Width, p.Height, v.width, v.height)
	areas := []area{{0, 0, v.width, v.height}}
	if !v.whole && v.pixels != nil {
		areas = changed(v.pixels, pixels, v.width, v.height)
	}
	v.sent = p
	if len(areas) == 0 {
		return nil
	}
	v.asked, v.whole, v.pixels = false, false, pixels
	out := []byte{0, 0}
	out = binary.BigEndian.AppendUint16(out, uint16(len(areas)))
	for _, a := range areas {
		if v.zrle {
			out = rectangle(out, a.x, a.y, a.w, a.h, encodingZRLE)
			out = v.encoder.zrle(out, pixels, v.width, a, v.format)
			continue
		}
		out = rectangle(out, a.x, a.y, a.w, a.h, encodingRaw)
		out = raw(out, pixels, v.width, a, v.format)
	}
	return out
}

// rectangle appends the head of one.
func rectangle(out []byte, x, y, w, h, encoding int) []byte {
	for _, n := range []int{x, y, w, h} {
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	}
	return binary.BigEndian.AppendUint32(out, uint32(int32(encoding)))
}

// misbehave sends what no server should.
func (v *view) misbehave() error {
	head := []byte{0, 0, 0, 1}
	var out []byte
	switch v.s.Fault {
	case "huge": // that does not fit the size that was given
		out = rectangle(head, 0, 0, 65535, 65535, encodingRaw)
	case "outside":
		out = append(rectangle(head, v.width-1, v.height-1, 64, 64, encodingRaw), make([]byte, 64*64*4)...)
	case "encoding":
		out = rectangle(head, 0, 0, v.width, v.height, 12345)
	case "zlib":
		out = append(rectangle(head, 0, 0, v.width, v.height, encodingZRLE), 0, 0, 0, 4, 1, 2, 3, 4)
	case "bomb":
		out = v.encoder.bomb(rectangle(head, 0, 0, v.width, v.height, encodingZRLE))
	case "message":
		out = []byte{99}
	case "cut":
		_, _ = v.conn.Write(rectangle(head, 0, 0, v.width, v.height, encodingRaw))
		return io.ErrUnexpectedEOF
	case "endless": // bells, and pieces that never make a whole
		for {
			if _, err := v.conn.Write(append([]byte{2}, rectangle([]byte{0, 0, 0, 1}, 0, 0, 0, 0, encodingRaw)...)); err != nil {
				return err
			}
		}
	default: // it says nothing
		return nil
	}
	v.mu.Lock()
	v.asked, v.whole = false, false
	v.mu.Unlock()
	_, err := v.conn.Write(out)
	return err
}
