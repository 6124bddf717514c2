package pvesim_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// frames is what a VNC client knows of a screen.
type frames struct {
	t             *testing.T
	width, height int
	dots          []uint32
	packed        bytes.Buffer
	zlib          io.Reader
}

// update takes an update of the screen from a stream.
func (f *frames) update(read func(n int) []byte) {
	f.t.Helper()
	head := read(4)
	if head[0] != 0 {
		f.t.Fatalf("a message of type %d", head[0])
	}
	for range binary.BigEndian.Uint16(head[2:]) {
		r := read(12)
		x, y := int(binary.BigEndian.Uint16(r)), int(binary.BigEndian.Uint16(r[2:]))
		w, h := int(binary.BigEndian.Uint16(r[4:])), int(binary.BigEndian.Uint16(r[6:]))
		switch encoding := int32(binary.BigEndian.Uint32(r[8:])); encoding {
		case 0:
			for i, dot := range bytesOf(read(w*h*4), 4) {
				f.dots[(y+i/w)*f.width+x+i%w] = dot
			}
		case 16:
			f.packed.Write(read(int(binary.BigEndian.Uint32(read(4)))))
			if f.zlib == nil {
				f.zlib, _ = zlib.NewReader(&f.packed)
			}
			f.zrle(x, y, w, h)
		case -223:
			f.width, f.height, f.dots = w, h, make([]uint32, w*h)
		default:
			f.t.Fatalf("encoding %d", encoding)
		}
	}
}

// bytesOf are the pixels of some bytes, the lowest byte first.
func bytesOf(b []byte, size int) []uint32 {
	var out []uint32
	for ; len(b) >= size; b = b[size:] {
		out = append(out, uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16)
	}
	return out
}

// inflate reads n bytes of the tiles.
func (f *frames) inflate(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(f.zlib, b); err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *frames) zrle(x0, y0, width, height int) {
	for y := y0; y < y0+height; y += 64 {
		for x := x0; x < x0+width; x += 64 {
			w, h := min(64, x0+width-x), min(64, y0+height-y)
			for i, dot := range f.tile(w, h) {
				f.dots[(y+i/w)*f.width+x+i%w] = dot
			}
		}
	}
}

func (f *frames) tile(w, h int) []uint32 {
	kind := int(f.inflate(1)[0])
	palette := bytesOf(f.inflate(3*(kind&0x7f)), 3)
	var out []uint32
	length := func() int {
		n, b := 1, byte(255)
		for b == 255 {
			b = f.inflate(1)[0]
			n += int(b)
		}
		return n
	}
	repeat := func(dot uint32, n int) {
		for range n {
			out = append(out, dot)
		}
	}
	switch {
	case kind == 0:
		return bytesOf(f.inflate(w*h*3), 3)
	case kind == 1:
		repeat(palette[0], w*h)
	case kind <= 16:
		bits := map[bool]int{true: 4, false: 2}[kind > 4]
		if kind == 2 {
			bits = 1
		}
		for range h {
			line := f.inflate((w*bits + 7) / 8)
			for x := range w {
				out = append(out, palette[int(line[x*bits/8])>>(8-bits-x*bits%8)&(1<<bits-1)])
			}
		}
	case kind == 128:
		for len(out) < w*h {
			repeat(bytesOf(f.inflate(3), 3)[0], length())
		}
	default:
		for len(out) < w*h {
			index, n := f.inflate(1)[0], 1
			if index&128 != 0 {
				n = length()
			}
			repeat(palette[index&127], n)
		}
	}
	return out
}

// text reads the characters of the screen; what is none becomes a question mark.
func (f *frames) text() string {
	font, err := os.ReadFile("internal/rfb/vga8x16.bin")
	if err != nil {
		f.t.Fatal(err)
	}
	cell := 8
	if f.width == 720 {
		cell = 9
	}
	var out []string
	for y := 0; y+16 <= f.height; y += 16 {
		line := ""
		for x := 0; x+8 <= f.width; x += cell {
			var glyph [16]byte
			for i := range 128 {
				if f.dots[(y+i/8)*f.width+x+i%8] != 0 {
					glyph[i/8] |= 0x80 >> (i % 8)
				}
			}
			char := "?"
			for c := range 127 {
				if bytes.Equal(font[16*c:16*c+16], glyph[:]) {
					char = string(rune(max(c, ' ')))
				}
			}
			line += char
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// watch opens the screen of a VM.
func (w *world) watch(guest string, encodings ...byte) (*viewer, *frames) {
	w.Helper()
	offer := w.offer(guest, url.Values{"websocket": {"1"}, "generate-password": {"1"}})
	base := w.sim.URL()
	if w.node != "" {
		base = "https://" + w.node + ":8006"
	}
	v := w.view(w.sim.Transport(), base, guest, offer)
	w.Cleanup(func() { v.out.Close() })
	if !v.login(offer["password"].(string)) {
		w.Fatal("the password is wrong")
	}
	set := []byte{2, 0, 0, byte(len(encodings))}
	for _, e := range encodings {
		set = append(set, 0, 0, 0, e)
		if e == resizes {
			copy(set[len(set)-4:], []byte{255, 255, 255})
		}
	}
	v.send(set...)
	return v, &frames{t: w.T, width: v.width, height: v.height, dots: make([]uint32, min(v.width*v.height, 4<<20))}
}

const (
	rawOnly   = 0
	zrle      = 16
	resizes   = 0x21 // the lowest byte of -223
	returnKey = 0xff0d
)

// ask asks for what has changed, or for all of the screen, and returns its text.
func (v *viewer) ask(f *frames, incremental byte) string {
	v.Helper()
	v.send(3, incremental, 0, 0, 0, 0, byte(f.width>>8), byte(f.width), byte(f.height>>8), byte(f.height))
	f.update(v.read)
	return f.text()
}

func vm(change func(g *pvesim.Guest)) pvesim.Model {
	m := pvesim.Cluster()
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 100 {
			change(g)
		}
	}
	return m
}

// What the screen of a VM shows, by its state and what the model plants.
func TestScreens(t *testing.T) {
	const guest = "/nodes/pve1/qemu/100"
	for name, tt := range map[string]struct {
		change        func(g *pvesim.Guest)
		want          string
		width, height int
	}{
		"login":       {func(*pvesim.Guest) {}, "tty1\n\nweb-1 login: ?", 720, 400},
		"firmware":    {func(g *pvesim.Guest) { g.Up = time.Second }, "SeaBIOS (version", 720, 400},
		"no picture":  {func(g *pvesim.Guest) { g.Up = time.Millisecond }, "Guest has not initialized the display (yet).", 640, 480},
		"boot":        {func(g *pvesim.Guest) { g.Up = 5 * time.Second }, "Linux version", 720, 400},
		"panic":       {func(g *pvesim.Guest) { g.Screen = "panic" }, "Kernel panic - not syncing", 720, 400},
		"fsck":        {func(g *pvesim.Guest) { g.Screen = "fsck" }, "RUN fsck MANUALLY", 720, 400},
		"framebuffer": {func(g *pvesim.Guest) { g.Screen = "framebuffer" }, "web-1 login: ?", 1024, 768},
		"blank":       {func(g *pvesim.Guest) { g.Screen = "blank" }, "", 720, 400},
		"asleep":      {func(g *pvesim.Guest) { g.QMPStatus = "suspended" }, "", 720, 400},
		"text":        {func(g *pvesim.Guest) { g.Screen = "one\ntwo" }, "one\ntwo", 720, 400},
		"no display":  {func(g *pvesim.Guest) { g.Config["vga"] = "none" }, "This VM has no graphic display device.", 640, 480},
		"graphic":     {func(g *pvesim.Guest) { g.Screen = "graphic" }, "", 1024, 768},
		"Windows":     {func(g *pvesim.Guest) { g.Config["ostype"] = "win11" }, "", 1024, 768},
	} {
		for _, encodings := range [][]byte{{rawOnly}, {zrle, rawOnly}} {
			w := newWorld(t, vm(tt.change))
			v, f := w.watch(guest, encodings...)
			got := v.ask(f, 0)
			if f.width != tt.width || f.height != tt.height || !strings.Contains(got, tt.want) || tt.want == "" && name != "graphic" && name != "Windows" && got != "" {
				t.Errorf("%s: %dx%d\n%s", name, f.width, f.height, got)
			}
			v.out.Close()
		}
	}
}

// Keys change the screen, and only what has changed is sent; a reboot shows another size.
func TestKeysChangeTheScreen(t *testing.T) {
	w := newWorld(t, vm(func(*pvesim.Guest) {}))
	v, f := w.watch("/nodes/pve1/qemu/100", zrle, resizes)
	v.ask(f, 0)
	for _, step := range []struct{ keys, want string }{
		{"root", "login: root?"},
		{"\n", "Password: ?"},
		{"x\n", "Login incorrect"},
	} {
		for _, key := range step.keys {
			sym := uint16(key)
			if key == '\n' {
				sym = returnKey
			}
			v.press(sym)
		}
		got := ""
		for range 20 { // keys may arrive between two updates
			if got = v.ask(f, 0); strings.Contains(got, step.want) {
				break
			}
		}
		if !strings.Contains(got, step.want) {
			t.Errorf("after %q:\n%s", step.keys, got)
		}
	}
	for _, key := range []uint16{0xffe3, 0xffe9, 0xffff} {
		v.press(key)
	}
	for range 20 {
		if v.ask(f, 0); f.width == 640 {
			break
		}
	}
	if got := v.ask(f, 0); !strings.Contains(got, "not initialized the display") {
		t.Errorf("after ctrl-alt-del: %dx%d\n%s", f.width, f.height, got)
	}
	w.clock.Advance(20 * time.Second)
	v.ask(f, 1)
	if got := v.ask(f, 0); f.width != 720 || !strings.Contains(got, "login: ?") {
		t.Errorf("after the boot: %dx%d\n%s", f.width, f.height, got)
	}
	w.do("POST", "/nodes/pve1/qemu/100/status/stop", nil)
	w.clock.Advance(time.Minute)
	if _, err := v.in.ReadByte(); err != io.EOF {
		t.Errorf("the screen of a stopped VM: %v", err)
	}
}

// Two people may look, unless one wants to be alone; the password is the newest one's.
func TestTwoAtAScreen(t *testing.T) {
	w := newWorld(t, vm(func(*pvesim.Guest) {}))
	const guest = "/nodes/pve1/qemu/100"
	first, f := w.watch(guest, zrle)
	second, g := w.watch(guest, zrle)
	if first.ask(f, 0) != second.ask(g, 0) {
		t.Error("they see different screens")
	}
	form := url.Values{"websocket": {"1"}, "generate-password": {"1"}}
	a := w.offer(guest, form)
	early := w.view(w.sim.Transport(), w.sim.URL(), guest, a)
	w.watch(guest, zrle)
	if early.login(a["password"].(string)) {
		t.Error("the password of before is still good")
	}
	b := w.offer(guest, form)
	late := w.view(w.sim.Transport(), w.sim.URL(), guest, b)
	w.clock.Advance(31 * time.Second)
	if late.login(b["password"].(string)) {
		t.Error("a password is good for longer than 30 s")
	}
}

// The recorded screens, again: with the same text on it, the picture is the same, dot by dot.
func TestRecordedScreens(t *testing.T) {
	for _, tt := range []struct{ file, node, guest, cursor string }{
		{"vnc84_zrle", "pve1", "/nodes/pve1/qemu/900", "/ # "}, {"vnc92_zrle", "pve2", "/nodes/pve2/qemu/902", "/ # ^[[12;5R"},
	} {
		var stream []byte
		for _, m := range recorded.Conversation(t, tt.file) {
			if m.Dir == "recv" {
				stream = append(stream, m.Data...)
			}
		}
		read := func(n int) []byte {
			out := stream[:n]
			stream = stream[n:]
			return out
		}
		greeting := read(12 + 2)
		read(16) // the challenge
		result := read(4)
		hello := read(24)
		name := string(read(int(hello[23])))
		want := &frames{t: t, width: 720, height: 400, dots: make([]uint32, 720*400)}
		want.update(read)

		m := consoleModel()
		for i := range m.Guests {
			if g := &m.Guests[i]; g.VMID == 900 || g.VMID == 902 {
				lines := strings.Split(want.text(), "\n")
				lines[len(lines)-1] = strings.TrimSuffix(lines[len(lines)-1], "?")
				g.Screen = strings.Join(lines, "\n")
				if !strings.HasSuffix(g.Screen, " ") && tt.cursor == "/ # " {
					g.Screen += " "
				}
				g.Config["name"] = strings.TrimSuffix(strings.TrimPrefix(name, "QEMU ("), ")")
			}
		}
		w := newWorld(t, m)
		w.token, w.node = "mcp@pve!ops", tt.node
		v, f := w.watch(tt.guest, zrle)
		v.ask(f, 0)
		differ := 0
		for i := range f.dots {
			if f.dots[i] != want.dots[i] {
				differ++
			}
		}
		if cursor := 9 * 2; differ > cursor {
			t.Errorf("%s: %d dots differ\n%s\nrecorded\n%s", tt.file, differ, f.text(), want.text())
		}
		if string(greeting) != "RFB 003.008\n\x01\x02" || !bytes.Equal(result, make([]byte, 4)) || !bytes.Equal(hello[:24-4], v.hello[:24-4]) || v.name != name {
			t.Errorf("%s: the server said %x %q, recorded %x %q", tt.file, v.hello, v.name, hello, name)
		}
	}
}

// A server that misbehaves sends what the model says.
func TestScreenFaults(t *testing.T) {
	for fault, want := range map[string]string{
		"huge": "\x00\x00\x00\x01\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00", "encoding": "\x00\x00\x00\x01\x00\x00\x00\x00\x02\xd0\x01\x90\x00\x00\x30\x39",
		"zlib": "\x00\x00\x00\x01\x00\x00\x00\x00\x02\xd0\x01\x90\x00\x00\x00\x10\x00\x00\x00\x04\x01\x02\x03\x04", "message": "c",
		"endless": "\x02\x00\x00\x00\x01", "cut": "\x00\x00\x00\x01",
	} {
		w := newWorld(t, vm(func(g *pvesim.Guest) { g.ScreenFault = fault }))
		v, _ := w.watch("/nodes/pve1/qemu/100", zrle)
		v.send(3, 0, 0, 0, 0, 0, 2, 208, 1, 144)
		if got := string(v.read(len(want))); got != want {
			t.Errorf("%s: %q", fault, got)
		}
		v.out.Close()
	}
}
