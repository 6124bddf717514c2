// Package rfb is the server of a text console by the RFB protocol, as QEMU speaks it to VNC
// clients.
package rfb

import (
	"bytes"
	"crypto/des"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"strings"
)

// Rows and Columns are the size of a console, in characters.
const Rows, Columns = 25, 80

const screenWidth, screenHeight = Columns * cellWidth, Rows * cellHeight

// Screen is what a console shows and where its keys go.
type Screen struct {
	Name  string
	Lines func() []string // at most [Rows], in ASCII
	Press func(keysym uint32)
}

// pixels is how a client wants a pixel.
type pixels struct {
	bytes     int
	big       bool
	white     uint32 // of all colours as much as there is
	format    []byte // as in messages
	supported bool
}

func pixelsOf(format []byte) pixels {
	p := pixels{bytes: int(format[0]) / 8, big: format[2] != 0, format: format, supported: format[3] != 0}
	for i := range 3 {
		p.white |= uint32(binary.BigEndian.Uint16(format[4+2*i:])) << format[10+i]
	}
	return p
}

// qemuFormat is QEMU's own format: 32 bits, of which 24 are colours, the lowest byte first.
var qemuFormat = []byte{32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0}

// Serve speaks RFB 3.8 with a client that knows the password, until the client goes
// away. The challenge must not have been used before.
func Serve(conn io.ReadWriter, password string, challenge [16]byte, s Screen) error {
	if err := authenticate(conn, password, challenge); err != nil {
		return err
	}
	var shared [1]byte
	if _, err := io.ReadFull(conn, shared[:]); err != nil {
		return err
	}
	hello := binary.BigEndian.AppendUint16(nil, screenWidth)
	hello = binary.BigEndian.AppendUint16(hello, screenHeight)
	hello = append(hello, qemuFormat...)
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(s.Name)))
	if _, err := conn.Write(append(hello, s.Name...)); err != nil {
		return err
	}
	return serveMessages(conn, s)
}

// authenticate agrees on the version and lets in who answers the challenge: encrypted with
// the password, the bits of whose bytes VNC turns round.
func authenticate(conn io.ReadWriter, password string, challenge [16]byte) error {
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
	if _, err := conn.Write(challenge[:]); err != nil {
		return err
	}
	var response [16]byte
	if _, err := io.ReadFull(conn, response[:]); err != nil {
		return err
	}
	var key [8]byte
	copy(key[:], password)
	for i := range key {
		key[i] = bits.Reverse8(key[i])
	}
	block, err := des.NewCipher(key[:])
	if err != nil {
		return err
	}
	want := challenge
	block.Encrypt(want[:8], challenge[:8])
	block.Encrypt(want[8:], challenge[8:])
	if !bytes.Equal(want[:], response[:]) {
		const text = "Authentication failed"
		_, _ = conn.Write(append([]byte{0, 0, 0, 1, 0, 0, 0, byte(len(text))}, text...))
		return errors.New("rfb: " + text)
	}
	_, err = conn.Write([]byte{0, 0, 0, 0})
	return err
}

// The messages of a client, with the length of what follows the type.
var clientMessages = map[byte]int{0: 19, 2: 3, 3: 9, 4: 7, 5: 5, 6: 7}

// serveMessages answers the messages of a client. Asked what has changed, it waits for a
// key to change something.
func serveMessages(conn io.ReadWriter, s Screen) error {
	format, shown, asked := pixelsOf(qemuFormat), "\x00", false
	for {
		var kind [1]byte
		if _, err := io.ReadFull(conn, kind[:]); err != nil {
			return err
		}
		size, known := clientMessages[kind[0]]
		if !known {
			return errors.New("rfb: an unknown message of RFB")
		}
		m := make([]byte, size)
		if _, err := io.ReadFull(conn, m); err != nil {
			return err
		}
		switch kind[0] {
		case 0:
			if format = pixelsOf(m[3:]); !format.supported || format.bytes == 0 || format.bytes > 4 || format.bytes == 3 {
				return errors.New("rfb: a format of pixels without true colours")
			}
		case 2: // encodings; all know the raw one
			if _, err := io.CopyN(io.Discard, conn, 4*int64(binary.BigEndian.Uint16(m[1:]))); err != nil {
				return err
			}
		case 3:
			asked = true
			if m[0] == 0 {
				shown = "\x00" // not what is on any screen
			}
		case 4:
			if m[0] != 0 {
				s.Press(binary.BigEndian.Uint32(m[3:]))
			}
		case 6:
			if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(m[3:]))); err != nil {
				return err
			}
		}
		lines := s.Lines()
		now := strings.Join(lines, "\n")
		if !asked || now == shown {
			continue
		}
		asked, shown = false, now
		if _, err := conn.Write(frame(format, lines)); err != nil {
			return err
		}
	}
}

// frame is an update of the whole screen, uncompressed.
func frame(p pixels, lines []string) []byte {
	head := []byte{0, 0, 0, 1, 0, 0, 0, 0}
	head = binary.BigEndian.AppendUint16(head, screenWidth)
	head = binary.BigEndian.AppendUint16(head, screenHeight)
	head = append(head, 0, 0, 0, 0)
	dots := make([]byte, screenWidth*screenHeight*p.bytes)
	draw(screenWidth, screenHeight, lines, func(x, y int) {
		dot := dots[(y*screenWidth+x)*p.bytes:][:p.bytes]
		for i := range dot {
			shift := 8 * i
			if p.big {
				shift = 8 * (p.bytes - 1 - i)
			}
			dot[i] = byte(p.white >> shift)
		}
	})
	return append(head, dots...)
}
