package policy_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// wire is the other end of a connection: it keeps what arrives.
type wire struct {
	bytes.Buffer
	closed bool
}

func (w *wire) Close() error { w.closed = true; return nil }

// opener answers requests by switching protocols to its wire.
type opener struct{ wire *wire }

func (o opener) RoundTrip(req *http.Request) (*http.Response, error) {
	if o.wire == nil {
		return nil, errors.New("it reached the wire")
	}
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: o.wire}, nil
}

// openConsole asks for a console through a guard.
func openConsole(ctx context.Context, t *testing.T, p policy.Policy, path string, w *wire) (io.ReadWriteCloser, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://pve/api2/json"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	resp, err := (&policy.Guard{Policy: p}).Transport(opener{w}).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return resp.Body.(io.ReadWriteCloser), nil
}

// masked is a frame of a client.
func masked(op byte, payload []byte) []byte {
	out := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	out = append(out, mask...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

// payloads are those of the frames of bytes on a wire, one after the other. Each frame has to
// be one that PVE takes.
func payloads(t *testing.T, b []byte) (out []byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 6 || b[0]&0xf0 != 0x80 || b[1]&0x80 == 0 {
			t.Fatalf("%x is no frame", b[:min(len(b), 10)])
		}
		op, size, head := b[0]&0xf, int(b[1]&0x7f), 2
		switch size {
		case 126:
			size, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			size, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if size > 128<<10 || len(b) < head+4+size {
			t.Fatalf("a frame of %d bytes, of which %d are there", size, len(b))
		}
		for i, c := range b[head+4 : head+4+size] {
			if op == 2 {
				out = append(out, c^b[head+i%4])
			}
		}
		b = b[head+4+size:]
	}
	return out
}

var execOn = policy.Policy{Exec: true}

const vnc = "/nodes/pve1/qemu/100/vncwebsocket"

// The messages of a client that looks at a screen, and those of one that types.
var (
	rfbStart = slices.Concat([]byte("RFB 003.008\n"), []byte{2}, make([]byte, 16), []byte{1})
	looks    = [][]byte{
		append([]byte{0}, make([]byte, 19)...),
		{2, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0},
		{3, 1, 0, 0, 0, 0, 0, 4, 0, 4},
	}
	types = [][]byte{
		{4, 1, 0, 0, 0, 0, 0, 'a'},
		{5, 1, 0, 7, 0, 7},
		append([]byte{6, 0, 0, 0, 0, 0, 0, 5}, "paste"...),
		append([]byte{6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfb}, "paste"...),
		{255, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0, 30},
	}
)

// What a client types is dropped, however it is cut into frames and writes, unless the call
// has consent for it.
func TestConsoleDropsInput(t *testing.T) {
	grant := consented(t).Grant(t.Context(), policy.Target{Method: "GET", Path: "/nodes/*/qemu/*/vncwebsocket", Subject: policy.Guest(100)})
	sent, kept := slices.Clone(rfbStart), slices.Clone(rfbStart)
	for i := range looks {
		sent = slices.Concat(sent, looks[i], types[i], types[i+1], types[i+2])
		kept = append(kept, looks[i]...)
	}
	for _, perFrame := range []int{1, 3, 7, 1000} {
		for _, perWrite := range []int{1, 5, 10_000} {
			var frames []byte
			for part := range slices.Chunk(sent, perFrame) {
				frames = append(frames, masked(2, part)...)
			}
			w := &wire{}
			conn, err := openConsole(t.Context(), t, execOn, vnc, w)
			if err != nil {
				t.Fatal(err)
			}
			for part := range slices.Chunk(frames, perWrite) {
				if n, err := conn.Write(part); err != nil || n != len(part) {
					t.Fatalf("%d %v", n, err)
				}
			}
			if got := payloads(t, w.Bytes()); !bytes.Equal(got, kept) {
				t.Errorf("in frames of %d and writes of %d:\n%x, want\n%x", perFrame, perWrite, got, kept)
			}
		}
	}
	w := &wire{}
	conn, err := openConsole(grant, t, execOn, vnc, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(masked(2, sent)); err != nil || !bytes.Equal(payloads(t, w.Bytes()), sent) {
		t.Errorf("with consent: %v, %x", err, w.Bytes())
	}
	again := &wire{}
	if conn, err = openConsole(grant, t, execOn, vnc, again); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(masked(2, sent)); err != nil || !bytes.Equal(payloads(t, again.Bytes()), kept) {
		t.Errorf("with consent that was used: %v, %x", err, again.Bytes())
	}
}

// Consent is for one guest, and does not lift a rule.
func TestConsoleConsentIsForOneGuest(t *testing.T) {
	protect, err := policy.ParseRules("100")
	if err != nil {
		t.Fatal(err)
	}
	allow, err := policy.ParseCommands("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	target := policy.Target{Method: "GET", Path: "/nodes/*/qemu/*/vncwebsocket", Subject: policy.Guest(101)}
	for name, tt := range map[string]struct {
		policy policy.Policy
		guest  int
	}{
		"another guest": {execOn, 101}, "a protected guest": {policy.Policy{Exec: true, Protect: protect}, 100}, "some commands only": {policy.Policy{Exec: true, ExecAllow: allow}, 100},
	} {
		target.Subject = policy.Guest(tt.guest)
		w := &wire{}
		conn, err := openConsole(consented(t).Grant(t.Context(), target), t, tt.policy, vnc, w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(masked(2, slices.Concat(rfbStart, types[0]))); err != nil || !bytes.Equal(payloads(t, w.Bytes()), rfbStart) {
			t.Errorf("%s: %v, %x", name, err, w.Bytes())
		}
	}
}

// A message that cannot be read ends the connection, and nothing of it is sent.
func TestConsoleEndsOnWhatIsUnknown(t *testing.T) {
	whole := masked(2, []byte("RFB 003.008\n"))
	with := func(i int, b byte) []byte {
		out := slices.Clone(whole)
		out[i] = b
		return out
	}
	for name, frame := range map[string][]byte{
		"a part": with(0, 2), "the rest of a message": with(0, 0x80), "text": with(0, 0x81), "compressed": with(0, 0xc2), "no mask": with(1, 12), "unknown": with(0, 0x83),
		"too long":      slices.Concat([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 2, 0, 1}, make([]byte, 4)),
		"a long ping":   masked(9, make([]byte, 126)),
		"RFB 3.3":       masked(2, []byte("RFB 003.003\n")),
		"neither":       masked(2, []byte("hello\n")),
		"a long ticket": masked(2, bytes.Repeat([]byte("x"), 9000)),
		"VeNCrypt":      masked(2, []byte("RFB 003.008\n\x13")),
		"audio":         masked(2, append(slices.Clone(rfbStart), 255, 1, 0, 0)),
		"a new message": masked(2, append(slices.Clone(rfbStart), 248, 0, 0, 0)),
		"a terminal":    masked(2, []byte("u@pve:ticket\n9:")),
		"no length":     masked(2, []byte("u@pve:ticket\n0:x"+strings.Repeat("y", 40))),
	} {
		w := &wire{}
		conn, err := openConsole(t.Context(), t, execOn, vnc, w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(frame); name != "a terminal" && (err == nil || !w.closed || w.Len() > 0) {
			t.Errorf("%s: %v, closed %v, sent %x", name, err, w.closed, w.Bytes())
		} else if name == "a terminal" && (string(payloads(t, w.Bytes())) != "u@pve:ticket\n") {
			t.Errorf("%s: %v, sent %x", name, err, w.Bytes())
		}
	}
}

// Only a guest's console may have a connection of its own.
func TestOnlyConsolesAreOpened(t *testing.T) {
	for path, p := range map[string]policy.Policy{
		vnc:                                  {ReadOnly: true},
		"/nodes/pve1/lxc/100/vncwebsocket":   {},
		"/nodes/pve1/vncwebsocket":           execOn,
		"/version":                           execOn,
		"/nodes/pve1/lxc/1/mtunnelwebsocket": execOn,
	} {
		var refused *policy.RefusedError
		if _, err := openConsole(t.Context(), t, p, path, nil); !errors.As(err, &refused) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Terminals that were recorded: what was typed is dropped, and everything else is sent.
func TestRecordedConsoles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(os.Getenv("PVE_RECORDINGS"), "console", "*.jsonl"))
	if err != nil || os.Getenv("PVE_RECORDINGS") == "" || len(files) == 0 {
		t.Skip("there are no recordings: PVE_RECORDINGS")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w := &wire{}
		conn, err := openConsole(t.Context(), t, execOn, vnc, w)
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for line := range bytes.Lines(data) {
			var row struct{ Dir, B64 string }
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatal(err)
			}
			payload, err := base64.StdEncoding.DecodeString(row.B64)
			if err != nil || row.Dir != "send" {
				continue
			}
			if _, err := conn.Write(masked(2, payload)); err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
			sent += len(payload)
		}
		got := payloads(t, w.Bytes())
		if strings.HasPrefix(filepath.Base(file), "vnc") == bytes.Contains(got, []byte("PVEVNC:")) || bytes.Contains(got, []byte("\n0:")) {
			t.Errorf("%s: %q", filepath.Base(file), got)
		}
		t.Logf("%s: %d rows of bytes, %d passed", filepath.Base(file), sent, len(got))
	}
}

// However a client's messages are made and cut, what it types never arrives, and what it
// looks at always does, in order.
func FuzzConsole(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, byte(3), byte(5), false)
	f.Add([]byte{7, 6, 0, 0, 3}, byte(1), byte(1), true)
	f.Add([]byte("\x04\x00\xff"), byte(200), byte(2), false)
	screen := slices.Concat(looks, types)
	lines := [][]byte{[]byte("1:80:25:"), []byte("2"), []byte("0:3:0:1"), []byte("0:0:"), []byte("0:12:1:80:25:2RFB ")}
	lines[4] = lines[4][:len("0:12:")+12]
	f.Fuzz(func(t *testing.T, which []byte, perFrame, perWrite byte, text bool) {
		sent := slices.Clone(rfbStart)
		messages, pass := screen, len(looks)
		if text {
			sent, messages, pass = []byte("u@pve!t:PVEVNC:x\n"), lines, 2
		}
		kept := slices.Clone(sent)
		for _, i := range which {
			m := messages[int(i)%len(messages)]
			sent = append(sent, m...)
			if int(i)%len(messages) < pass {
				kept = append(kept, m...)
			}
		}
		var frames []byte
		for part := range slices.Chunk(sent, max(1, int(perFrame))) {
			frames = slices.Concat(frames, masked(9, []byte("ping")), masked(2, part))
		}
		w := &wire{}
		conn, err := openConsole(t.Context(), t, execOn, vnc, w)
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(frames, max(1, int(perWrite))) {
			if _, err := conn.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if got := payloads(t, w.Bytes()); !bytes.Equal(got, kept) {
			t.Errorf("%q arrived, want %q", got, kept)
		}
	})
}

// Whatever a client sends, what arrives is frames that PVE takes, and a prefix of it comes
// without anything that was typed.
func FuzzConsoleBytes(f *testing.F) {
	f.Add(masked(2, slices.Concat(rfbStart, types[0])))
	f.Add(masked(8, []byte{3, 0xe8}))
	f.Add([]byte{0x82, 0xfe, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := &wire{}
		conn, err := openConsole(t.Context(), t, execOn, vnc, w)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write(data)
		if (err != nil) != w.closed {
			t.Errorf("%v, closed %v", err, w.closed)
		}
		payloads(t, w.Bytes())
	})
}
