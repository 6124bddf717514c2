// Package websocket is the server side of a websocket as PVE has it for consoles: binary
// frames, of which the client's are masked, whole, and at most 128 KiB long.
package websocket

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Upgrade returns the headers of the answer that begins a websocket, and false if the
// request does not ask for one as PVE expects it.
func Upgrade(head http.Header) (http.Header, bool) {
	key := head.Get("Sec-WebSocket-Key")
	if !strings.EqualFold(head.Get("Upgrade"), "websocket") || head.Get("Sec-WebSocket-Version") != "13" || key == "" {
		return nil, false
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	out := http.Header{
		"Upgrade": {"WebSocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
	}
	if protocol := head.Get("Sec-WebSocket-Protocol"); protocol != "" {
		out.Set("Sec-WebSocket-Protocol", protocol)
	}
	return out, true
}

// WriteSwitch writes the answer that begins a websocket.
func WriteSwitch(w io.Writer, head http.Header) error {
	if _, err := io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\n"); err != nil {
		return err
	}
	if err := head.Write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\r\n")
	return err
}

// Conn reads and writes the payload of the frames of a websocket. Pings are answered
// while it is read.
type Conn struct {
	in   *bufio.Reader
	out  io.Writer
	left []byte // of the last frame
}

// New returns the websocket that a connection has become.
func New(in *bufio.Reader, out io.Writer) *Conn { return &Conn{in: in, out: out} }

// The opcodes of frames.
const (
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

func (s *Conn) Read(b []byte) (int, error) {
	for len(s.left) == 0 {
		op, payload, err := s.frame()
		switch {
		case err != nil:
			return 0, err
		case op == opClose:
			return 0, io.EOF
		case op == opPing:
			if err := s.send(opPong, payload); err != nil {
				return 0, err
			}
		case op == opBinary || op == 1:
			s.left = payload
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *Conn) frame() (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 == 0 {
		return 0, nil, errors.New("websocket: a frame in parts, with an extension, or without a mask")
	}
	size := uint64(head[1] & 0x7f)
	if size >= 126 {
		more := make([]byte, 2+6*(size-126))
		if _, err := io.ReadFull(s.in, more); err != nil {
			return 0, nil, err
		}
		size = 0
		for _, b := range more {
			size = size<<8 | uint64(b)
		}
	}
	if size > 128<<10 {
		return 0, nil, fmt.Errorf("websocket: a frame of %d bytes", size)
	}
	masked := make([]byte, 4+size)
	if _, err := io.ReadFull(s.in, masked); err != nil {
		return 0, nil, err
	}
	payload = masked[4:]
	for i := range payload {
		payload[i] ^= masked[i%4]
	}
	return head[0] & 0xf, payload, nil
}

func (s *Conn) Write(b []byte) (int, error) { return len(b), s.send(opBinary, b) }

func (s *Conn) send(op byte, payload []byte) error {
	head := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	_, err := s.out.Write(append(head, payload...))
	return err
}
