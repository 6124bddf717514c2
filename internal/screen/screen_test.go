package screen_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/screen"
)

var (
	black = color.RGBA{0, 0, 0, 255}
	grey  = color.RGBA{170, 170, 170, 255}
	blue  = color.RGBA{0, 0, 170, 255}
	white = color.RGBA{255, 255, 255, 255}
)

// console draws text as a guest does.
type console struct {
	*image.RGBA
	cell       int // its width
	paper, ink color.RGBA
	font       []byte
}

func newConsole(t *testing.T, width, height, cell int) *console {
	t.Helper()
	font, err := os.ReadFile("vga8x16.bin")
	if err != nil {
		t.Fatal(err)
	}
	c := &console{image.NewRGBA(image.Rect(0, 0, width, height)), cell, black, grey, font}
	c.fill(c.Rect, black)
	return c
}

func (c *console) fill(area image.Rectangle, colour color.RGBA) {
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c.SetRGBA(x, y, colour)
		}
	}
}

// at draws characters of code page 437 at a cell.
func (c *console) at(column, row int, chars ...byte) {
	for i, char := range chars {
		for y := range 16 {
			for x := range c.cell {
				bit := min(x, 7)
				lit := c.font[16*int(char)+y]>>(7-bit)&1 == 1 && (x < 8 || char >= 0xc0 && char <= 0xdf)
				colour := c.paper
				if lit {
					colour = c.ink
				}
				c.SetRGBA((column+i)*c.cell+x, row*16+y, colour)
			}
		}
	}
}

// The text of a console comes back exactly, in each mode, with its cursor and colours.
func TestRead(t *testing.T) {
	for name, tt := range map[string]struct{ width, height, cell, columns, rows int }{
		"text mode": {720, 400, 9, 80, 25}, "text mode, narrow": {640, 400, 8, 80, 25}, "framebuffer": {1024, 768, 8, 128, 48},
		"framebuffer of a multiple of 720": {1440, 900, 8, 180, 56}, "odd framebuffer": {1366, 768, 8, 170, 48}, "800x600": {800, 600, 8, 100, 37},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsole(t, tt.width, tt.height, tt.cell)
			c.at(0, 0, []byte("[    0.000000] Linux version 6.1.0 (gcc 12.2) #1 SMP")...)
			c.at(2, 3, 0xc9, 0xcd, 0xbb, ' ', 0x81, 0xe1, 0x9c)
			c.paper, c.ink = blue, white
			c.at(0, 5, []byte(" F1 Help ")...)
			c.paper, c.ink = grey, black
			c.at(9, 5, []byte("chosen")...)
			c.paper, c.ink = black, white
			c.at(0, tt.rows-1, []byte("web-1 login: ")...)
			c.fill(image.Rect(13*tt.cell, tt.rows*16-2, 14*tt.cell, tt.rows*16), grey)
			text, kind := screen.Read(c.RGBA)
			if kind != screen.Textual || text.Columns != tt.columns || text.Rows != tt.rows || text.Unread != 0 || text.Cursor != image.Pt(14, tt.rows) {
				t.Fatalf("%v %+v", kind, text)
			}
			for row, want := range map[int]string{0: "[    0.000000] Linux version 6.1.0 (gcc 12.2) #1 SMP", 3: "  ╔═╗ üß£", 5: " F1 Help chosen", tt.rows - 1: "web-1 login:"} {
				if text.Lines[row] != want {
					t.Errorf("line %d: %q, want %q", row, text.Lines[row], want)
				}
			}
			if state := screen.StateOf(text.Lines); state != screen.Login {
				t.Errorf("state %q", state)
			}
		})
	}
}

// Each character that is not blank is found as itself in either colour, and so is one that
// another font draws with few other pixels.
func TestEveryCharacter(t *testing.T) {
	c := newConsole(t, 640, 400, 8)
	c.at(0, 0, []byte("letters so that it is text")...)
	for i := range 95 {
		c.at(i%80, 2+i/80, byte(' '+i))
	}
	c.SetRGBA(8*('A'-' '), 2*16, grey) // a pixel more in A
	text, _ := screen.Read(c.RGBA)
	want := ""
	for i := range 95 {
		want += string(rune(' ' + i))
	}
	if got := text.Lines[2] + text.Lines[3]; got != strings.TrimRight(want, " ") {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is no text is no text.
func TestPictures(t *testing.T) {
	noise := newConsole(t, 640, 480, 8)
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.Uint32()) | byte(255*(i%4/3))
	}
	desktop := newConsole(t, 1024, 768, 8)
	desktop.fill(desktop.Rect, blue)
	desktop.fill(image.Rect(100, 90, 707, 501), white)
	desktop.fill(image.Rect(101, 91, 706, 111), grey)
	for x := range 300 {
		desktop.SetRGBA(150+x, 150+x/3, color.RGBA{byte(x), 90, 200, 255})
	}
	weave := newConsole(t, 800, 600, 8)
	for y := range 600 {
		for x := range 800 {
			if (x+y)%2 == 0 {
				weave.SetRGBA(x, y, grey)
			}
		}
	}
	window := newConsole(t, 1024, 768, 8) // a terminal in a window that is not on the cells
	for row := range 20 {
		window.at(4, row, []byte("some text")...)
	}
	moved := newConsole(t, 1024, 768, 8)
	copy(moved.Pix[moved.PixOffset(3, 5):], window.Pix)
	for name, c := range map[string]*console{"noise": noise, "desktop": desktop, "weave": weave, "moved": moved} {
		if text, kind := screen.Read(c.RGBA); kind != screen.Graphical {
			t.Errorf("%s: %v\n%s", name, kind, text)
		}
	}
	blank := newConsole(t, 720, 400, 9)
	if _, kind := screen.Read(blank.RGBA); kind != screen.Blank {
		t.Errorf("blank: %v", kind)
	}
}

// A picture has at most so many bytes, whatever is on it.
func TestPNG(t *testing.T) {
	noise := newConsole(t, 1280, 720, 8)
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.Uint32()) | byte(255*(i%4/3))
	}
	text := newConsole(t, 720, 400, 9)
	text.at(0, 0, []byte("login:")...)
	for name, tt := range map[string]struct {
		c    *console
		size image.Point
	}{"text": {text, image.Pt(720, 400)}, "noise": {noise, image.Pt(160, 90)}} {
		data, size, err := screen.PNG(tt.c.RGBA)
		if err != nil || len(data) > screen.MaxPNG || size != tt.size {
			t.Fatalf("%s: %v, %d bytes of %v", name, err, len(data), size)
		}
		back, err := png.Decode(bytes.NewReader(data))
		if err != nil || back.Bounds().Size() != size {
			t.Fatal(name, err)
		}
		if name == "text" && back.At(1, 3) != tt.c.At(1, 3) && back.At(1, 3) == nil {
			t.Error("another picture")
		}
	}
}

// A cursor that blinks is no change.
func TestSame(t *testing.T) {
	a, b := newConsole(t, 640, 400, 8), newConsole(t, 640, 400, 8)
	b.fill(image.Rect(10, 10, 12, 26), white)
	if !screen.Same(a.RGBA, b.RGBA) {
		t.Error("a cursor counts")
	}
	b.fill(image.Rect(0, 0, 300, 300), white)
	if screen.Same(a.RGBA, b.RGBA) || screen.Same(a.RGBA, newConsole(t, 800, 600, 8).RGBA) {
		t.Error("a change does not count")
	}
}

// A state is that of what is on the screen now, not of what is long over.
func TestStateOf(t *testing.T) {
	lines := func(text string) []string { return strings.Split(text, "\n") }
	for _, tt := range []struct {
		text string
		want screen.State
	}{
		{"[ 1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\n[ 1.3] CPU: 0\n[ 1.4] ---[ end Kernel panic ]---", screen.Panic},
		{"You are in emergency mode. After logging in, type \"journalctl -xb\"\nGive root password for maintenance\n(or press Control-D to continue):", screen.BootStopped},
		{"BusyBox v1.35.0 built-in shell (ash)\n\n(initramfs) ", screen.BootStopped},
		{"error: no such partition.\nEntering rescue mode...\ngrub rescue> ", screen.BootStopped},
		{"/dev/sda1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t(i.e., without -a or -p options)", screen.FsckStopped},
		{"/dev/sda1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\nBusyBox v1.35.0 built-in shell (ash)\n\n(initramfs)", screen.FsckStopped},
		{"fsck from util-linux 2.38.1\nfsck.ext4: /dev/sda1: 47.3% complete", screen.Checking},
		{"/dev/sda1: recovering journal", screen.Checking},
		{"/dev/sda1: recovering journal\n/dev/sda1: clean\n\nDebian GNU/Linux 12 web tty1\n\nweb login: ", screen.Login},
		{"Debian GNU/Linux 12 web tty1\n\nweb login: root\nPassword: ", screen.Login},
		{"SeaBIOS (version 1.16.3)\nBooting from Hard Disk...\nBoot failed: not a bootable disk\n\nNo bootable device.", screen.NotBootable},
		{"BdsDxe: No bootable option or device was found.\nBdsDxe: Press any key to enter the Boot Manager Menu.", screen.NotBootable},
		{"Boot failed: not a bootable disk\nBooting from DVD/CD...\nLoading Linux\n[0.0] Linux version 6\n[0.1] Command line: quiet\nweb login:", screen.Login},
		{"GNU GRUB  version 2.06\n *Debian GNU/Linux\n  Use the ↑ and ↓ keys to select which entry is highlighted.", screen.BootMenu},
		{"ISOLINUX 6.04\nminiguest up\n/ # ", screen.Shell},
		{"root@web:~# ", screen.Shell},
		{"[  OK  ] Started cron.service\n 47 % done", ""},
		{"Guest disabled display.", screen.Asleep},
		{"Guest has not initialized the display (yet).", screen.NoDisplay},
		{"", ""},
	} {
		if got := screen.StateOf(lines(tt.text)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Whatever is on a screen, reading it ends, and a picture has no lines.
func FuzzRead(f *testing.F) {
	f.Add(uint16(720), uint16(400), []byte("\x00\xff\x55"))
	f.Add(uint16(17), uint16(1), []byte("x"))
	f.Fuzz(func(t *testing.T, width, height uint16, pix []byte) {
		img := image.NewRGBA(image.Rect(0, 0, 1+int(width)%2000, 1+int(height)%1000))
		for i := range img.Pix {
			if len(pix) > 0 {
				img.Pix[i] = pix[i%len(pix)]
			}
		}
		text, kind := screen.Read(img)
		if (kind == screen.Textual) != (text.Columns > 0) && kind != screen.Textual && len(text.Lines) > 0 {
			t.Errorf("%v %+v", kind, text)
		}
		if data, _, err := screen.PNG(img); err != nil || len(data) > screen.MaxPNG {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	})
}
