package policy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// consoles are the endpoints whose connections may become a websocket, by method and path.
var consoles = map[string]bool{"GET /nodes/{node}/qemu/{vmid}/vncwebsocket": true, "GET /nodes/{node}/lxc/{vmid}/vncwebsocket": true}

// upgrades reports whether a request asks to use its connection for another protocol.
func upgrades(req *http.Request) bool {
	return req.Header.Get("Upgrade") != "" || strings.Contains(strings.ToLower(req.Header.Get("Connection")), "upgrade")
}

// refuseConsole returns why a connection must not become a websocket, or "".
func refuseConsole(req *http.Request, e *row) string {
	switch {
	case !consoles[e.method+" "+e.path]:
		return "its connection would become one that this server cannot read"
	case !strings.EqualFold(req.Header.Get("Upgrade"), "websocket") || req.Header.Get("Sec-WebSocket-Extensions") != "":
		return "it asks for another protocol than a websocket without extensions"
	}
	return ""
}

// mayType reports whether a call may type into the console of a request: it has a grant for
// that, which this uses up, and no rule forbids it.
func (g *Guard) mayType(req *http.Request, r request, e *row) (used *grant, may bool) {
	var reason string
	if r.params, reason, _ = readParams(req, r, e); reason != "" || !granted(req.Context(), *e, r) {
		return nil, false
	}
	if g.Policy.Refusal(Exec) != "" || g.Policy.Confirm == Human && !grantOf(req.Context()).byHuman() {
		return nil, false
	}
	changes := e.effectOf(r)
	if g.refuseCommand(req.Context(), *e, r) != "" || g.newJudge().refuse(proxmox.WithReadsOf(withoutValues{req.Context()}, req.Context()), changes) != "" {
		return nil, false
	}
	used, reason = spend(req.Context(), *e, r, changes)
	return used, reason == ""
}

// refuseCommand returns why the command of a request must not be run, or "": that in its
// parameters, or the one that its call types into the console.
func (g *Guard) refuseCommand(ctx context.Context, e row, r request) string {
	if reason := g.Policy.refuseAgentFile(e); reason != "" {
		return reason
	}
	argv, stdin := r.params["command"], r.params.Get("input-data") != ""
	if held := grantOf(ctx); held != nil && held.target.opens(e.target(r)) {
		argv, stdin = held.target.Command, held.target.Stdin
	}
	return g.Policy.RefuseCommand(argv, stdin)
}

// opens reports whether a path is that of a console which the target is to open, or offers it.
func (t Target) opens(path string) bool {
	guest, is := strings.CutSuffix(t.Path, "/vncwebsocket")
	return is && t.Method == http.MethodGet && (path == t.Path || path == guest+"/termproxy" || path == guest+"/vncproxy")
}

// offersGranted reports whether a request has a console offered that a human has consented to
// open. The consent is used up when the console is opened.
func offersGranted(ctx context.Context, e row, r request, changes effect) bool {
	g := grantOf(ctx)
	return g.byHuman() && !g.used.Load() && g.target.opens(e.target(r)) && g.target.covers(changes)
}

// watchConsole wraps a console. The wrapper drops input of a call that may not type.
func watchConsole(resp *http.Response, mayType bool) error {
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.Join(errors.New("the connection cannot be written to"), resp.Body.Close())
	}
	resp.Body = &console{ReadWriteCloser: conn, mayType: mayType}
	return nil
}

// console is a websocket to a guest's console. The client writes frames to it. Input in them,
// in the protocol of a screen (RFB) or of a terminal, is dropped unless the call may type. A
// message that it cannot read ends the connection. Only one goroutine at a time may write to
// it.
type console struct {
	io.ReadWriteCloser
	mayType bool
	frames  []byte // that are not complete yet
	stream  consoleStream
}

// maxConsoleFrame is the most payload of a frame that PVE takes.
const maxConsoleFrame = 128 << 10

// Write takes a part of the frames of the client.
func (c *console) Write(b []byte) (int, error) {
	c.frames = append(c.frames, b...)
	var out []byte
	for {
		f, size, err := firstFrame(c.frames)
		if err != nil {
			return 0, errors.Join(err, c.Close())
		}
		if size == 0 {
			break
		}
		passed, err := c.pass(f, c.frames[:size])
		if err != nil {
			return 0, errors.Join(err, c.Close())
		}
		out = append(out, passed...)
		c.frames = c.frames[size:]
	}
	c.frames = bytes.Clone(c.frames) // does not retain the sent frames
	if len(out) > 0 {
		if _, err := c.ReadWriteCloser.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// pass returns the part of a frame that may be sent; raw is the whole frame.
func (c *console) pass(f consoleFrame, raw []byte) ([]byte, error) {
	if f.op != opBinary || c.mayType {
		return raw, nil
	}
	left, err := c.stream.withoutInput(f.payload)
	switch {
	case err != nil:
		return nil, err
	case len(left) == 0:
		return nil, nil
	}
	return f.with(left), nil
}

// The opcodes of frames.
const (
	opBinary = 2
	opClose  = 8
	opPong   = 10
)

// consoleFrame is a frame of a client, without its mask.
type consoleFrame struct {
	op      byte
	mask    [4]byte
	payload []byte
}

// firstFrame reads the frame at the start of b. size is its whole size, 0 while it is not
// complete.
func firstFrame(b []byte) (f consoleFrame, size int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	f.op = b[0] & 0xf
	control := f.op >= opClose && f.op <= opPong
	if b[0]&0xf0 != 0x80 || b[1]&0x80 == 0 || f.op != opBinary && !control {
		return f, 0, errors.New("a frame for the console is in parts, is text, has an extension, or has no mask")
	}
	length, head := uint64(b[1]&0x7f), 2
	if length >= 126 {
		head += 2
		if length == 127 {
			head += 6
		}
		if len(b) < head {
			return f, 0, nil
		}
		length = binary.BigEndian.Uint64(append(make([]byte, 10-head, 8), b[2:head]...))
	}
	if length > maxConsoleFrame || control && length > 125 {
		return f, 0, fmt.Errorf("a frame for the console has %d bytes", length)
	}
	size = head + len(f.mask) + int(length)
	if len(b) < size {
		return f, 0, nil
	}
	copy(f.mask[:], b[head:])
	f.payload = bytes.Clone(b[head+len(f.mask) : size])
	f.applyMask(f.payload)
	return f, size, nil
}

// applyMask applies the mask, or removes it.
func (f consoleFrame) applyMask(b []byte) {
	for i := range b {
		b[i] ^= f.mask[i%len(f.mask)]
	}
}

// with writes the frame with another payload.
func (f consoleFrame) with(payload []byte) []byte {
	out := []byte{0x80 | f.op}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(n))
	}
	out = append(out, f.mask[:]...)
	f.applyMask(payload)
	return append(out, payload...)
}

// consoleStream is what a client has sent to a console, over all frames.
type consoleStream struct {
	stage   int
	pending []byte // of a message that is not complete yet
	skip    uint64 // bytes of input that are still to come
}

// The stages of a conversation, by what is sent next.
const (
	greeting     = iota // the version of RFB, or the ticket of a terminal
	securityType        // of RFB
	challenged
	shared
	screen   // messages of RFB
	terminal // messages of a terminal
)

const rfbVersion = "RFB 003.008\n"

// withoutInput takes bytes of the client, and returns those that may be sent now.
func (s *consoleStream) withoutInput(b []byte) (out []byte, err error) {
	s.pending = append(s.pending, b...)
	for {
		n := min(s.skip, uint64(len(s.pending)))
		s.pending, s.skip = s.pending[n:], s.skip-n
		if len(s.pending) == 0 || s.skip > 0 {
			return out, nil
		}
		m, err := s.next()
		if err != nil {
			return nil, err
		}
		if m.size == 0 || len(s.pending) < m.size {
			s.pending = bytes.Clone(s.pending)
			return out, nil
		}
		if !m.input {
			out = append(out, s.pending[:m.size]...)
		}
		s.pending, s.skip, s.stage = s.pending[m.size:], m.follows, m.stage
	}
}

// consoleMessage is a message of a client.
type consoleMessage struct {
	size    int    // bytes, 0 while unknown
	stage   int    // after it
	input   bool   // it types, or moves the pointer
	follows uint64 // bytes that are input, too
}

// next is the message at the start of pending, which is not empty.
func (s *consoleStream) next() (consoleMessage, error) {
	switch s.stage {
	case greeting:
		return greetingOf(s.pending)
	case securityType:
		switch s.pending[0] {
		case 1: // none
			return consoleMessage{size: 1, stage: shared}, nil
		case 2: // a password
			return consoleMessage{size: 1, stage: challenged}, nil
		}
		return consoleMessage{}, fmt.Errorf("the security type %d of a console is unknown", s.pending[0])
	case challenged:
		return consoleMessage{size: 16, stage: shared}, nil
	case shared:
		return consoleMessage{size: 1, stage: screen}, nil
	case screen:
		return screenMessage(s.pending)
	}
	return terminalMessage(s.pending)
}

func greetingOf(b []byte) (consoleMessage, error) {
	const longest = 8 << 10
	end := bytes.IndexByte(b, '\n') + 1
	switch {
	case end == 0 && len(b) < longest:
		return consoleMessage{}, nil
	case string(b[:end]) == rfbVersion:
		return consoleMessage{size: end, stage: securityType}, nil
	case end > 0 && !bytes.HasPrefix(b, []byte("RFB ")) && bytes.IndexByte(b[:end], ':') > 0:
		return consoleMessage{size: end, stage: terminal}, nil
	}
	return consoleMessage{}, errors.New("what is sent to a console begins neither as RFB 3.8 nor with a ticket")
}

// screenMessage reads a message of RFB.
func screenMessage(b []byte) (consoleMessage, error) {
	const (
		setPixelFormat = 0
		setEncodings   = 2
		updateRequest  = 3
		keyEvent       = 4
		pointerEvent   = 5
		cutText        = 6
		qemu           = 255
	)
	pass := func(size int) (consoleMessage, error) { return consoleMessage{size: size, stage: screen}, nil }
	drop := func(size int, follows uint64) (consoleMessage, error) {
		return consoleMessage{size: size, stage: screen, input: true, follows: follows}, nil
	}
	switch {
	case b[0] == setPixelFormat:
		return pass(20)
	case b[0] == setEncodings && len(b) < 4, b[0] == cutText && len(b) < 8, b[0] == qemu && len(b) < 2:
		return consoleMessage{}, nil
	case b[0] == setEncodings:
		return pass(4 + 4*int(binary.BigEndian.Uint16(b[2:])))
	case b[0] == updateRequest:
		return pass(10)
	case b[0] == keyEvent:
		return drop(8, 0)
	case b[0] == pointerEvent:
		return drop(6, 0)
	case b[0] == cutText:
		length := int64(int32(binary.BigEndian.Uint32(b[4:]))) // below 0 in an extension
		return drop(8, uint64(max(length, -length)))
	case b[0] == qemu && b[1] == 0: // a key
		return drop(12, 0)
	}
	return consoleMessage{}, fmt.Errorf("the message %d to a screen is unknown", b[0])
}

// terminalRE is the head of a message to a terminal.
var terminalRE = lazyregexp.New(`^(?:0:(\d{1,9}):|1:\d{1,5}:\d{1,5}:|2)`)

// terminalMessage reads a message to a terminal: 0:LENGTH:DATA, 1:COLUMNS:ROWS: or 2.
func terminalMessage(b []byte) (consoleMessage, error) {
	const longest = 32 // of a head
	head := terminalRE.FindStringSubmatch(string(b[:min(longest, len(b))]))
	if head == nil && len(b) < longest {
		return consoleMessage{}, nil
	}
	if head == nil {
		return consoleMessage{}, errors.New("a message to a terminal is in no known form")
	}
	m := consoleMessage{size: len(head[0]), stage: terminal, input: b[0] == '0'}
	if m.input {
		m.follows, _ = strconv.ParseUint(head[1], 10, 64) // nine digits at most
	}
	return m, nil
}
