package rfb_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"image/color"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/rfb"
)

// server says something whatever the client says, in messages of some size, one after a
// pause. Then it says no more, or ends the connection.
type server struct {
	says  []byte
	size  int
	pause time.Duration
	ends  bool
}

func (s *server) Read(ctx context.Context) ([]byte, error) {
	if s.pause > 0 {
		time.Sleep(s.pause)
	}
	if len(s.says) == 0 {
		if !s.ends {
			<-ctx.Done()
		}
		return nil, io.EOF
	}
	n := min(s.size, len(s.says))
	out := s.says[:n]
	s.says = s.says[n:]
	return out, nil
}

func (s *server) Write(context.Context, []byte) error { return nil }
func (s *server) Close() error                        { return nil }

func u16(values ...int) []byte {
	var out []byte
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	return out
}

func u32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

// hello is what a server says until there is a screen of a size.
func hello(width, height int) []byte {
	return slices.Concat([]byte("RFB 003.008\n\x01\x02"), make([]byte, 16), u32(0), u16(width, height), make([]byte, 16), u32(2), []byte("vm"))
}

// updateOf is an update of rectangles.
func updateOf(rects ...[]byte) []byte {
	return slices.Concat([]byte{0, 0}, u16(len(rects)), slices.Concat(rects...))
}

func rect(x, y, w, h, encoding int, data ...byte) []byte {
	return slices.Concat(u16(x, y, w, h), u32(encoding), data)
}

// compress is data as ZRLE has it.
func compress(data []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(data)
	_ = z.Flush()
	return slices.Concat(u32(out.Len()), out.Bytes())
}

// look looks at the screen of a server.
func look(ctx context.Context, s *server) (*rfb.Client, error) {
	c, err := rfb.Connect(ctx, s, "password")
	if err != nil {
		return nil, err
	}
	_, err = c.Look(ctx)
	return c, errors.Join(err, c.Close())
}

// Each kind of tile gives its pixels.
func TestTiles(t *testing.T) {
	red, green := []byte{0, 0, 255}, []byte{0, 255, 0}
	plain := []byte{0}
	for i := range 70 * 2 {
		plain = append(plain, slices.Concat(red, green)[3*(i%2):][:3]...)
	}
	plain = slices.Concat(plain[:1+3*64*2], []byte{0}, plain[1+3*64*2:]) // two tiles: 64 and 6 wide
	row := func(n int) []byte { return bytes.Repeat([]byte{0x55}, n) }
	for name, data := range map[string][]byte{
		"plain":        plain,
		"packed":       slices.Concat([]byte{2}, red, green, row(16), []byte{2}, red, green, row(2)),
		"packed of 16": slices.Concat([]byte{16}, red, green, make([]byte, 3*14), bytes.Repeat([]byte{1}, 64), []byte{3}, red, green, red, bytes.Repeat([]byte{0b00010001, 0b00010000}, 2)),
		"runs":         slices.Concat([]byte{128}, bytes.Repeat(slices.Concat(red, []byte{0}, green, []byte{0}), 64), []byte{128}, bytes.Repeat(slices.Concat(red, []byte{0}, green, []byte{0}), 6)),
		"palette runs": slices.Concat([]byte{130}, red, green, bytes.Repeat([]byte{0, 129, 0}, 64), []byte{130}, red, green, bytes.Repeat([]byte{128, 0, 1}, 6)),
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{says: slices.Concat(hello(70, 2), updateOf(rect(0, 0, 70, 2, 16, compress(data)...))), size: 7}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, err := rfb.Connect(ctx, s, "x")
			if err != nil {
				t.Fatal(err)
			}
			img, err := c.Look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for x := range 70 {
				want := color.RGBA{255, 0, 0, 255}
				if x%2 == 1 {
					want = color.RGBA{0, 255, 0, 255}
				}
				if got := img.RGBAAt(x, 1); got != want {
					t.Fatalf("pixel %d: %v, want %v", x, got, want)
				}
			}
			cancel()
			_ = c.Close()
		})
	}
}

// A screen may change its size before all of it has come.
func TestResize(t *testing.T) {
	small, big := make([]byte, 4*2*2), bytes.Repeat([]byte{9}, 4*3*1)
	s := &server{size: 5, says: slices.Concat(hello(2, 2), updateOf(rect(0, 0, 1, 1, 0, small[:4]...), rect(0, 0, 3, 1, -223)), updateOf(rect(0, 0, 3, 1, 0, big...)))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := rfb.Connect(ctx, s, "")
	if err != nil {
		t.Fatal(err)
	}
	img, err := c.Look(ctx)
	if err != nil || img.Rect.Dx() != 3 || img.Rect.Dy() != 1 || img.RGBAAt(2, 0).R != 9 {
		t.Errorf("%v %v", img, err)
	}
	cancel()
	_ = c.Close()
}

// What a hostile screen says ends the look, with an error that says why, soon and without
// much memory.
func TestHostile(t *testing.T) {
	bomb := compress(make([]byte, 40<<20))
	tooMany := slices.Concat([]byte{0, 0}, u16(0xffff))
	start := func(says ...[]byte) []byte { return slices.Concat(hello(64, 64), slices.Concat(says...)) }
	for name, tt := range map[string]struct {
		says []byte
		want string
	}{
		"another protocol":       {[]byte("SSH-2.0-OpenSSH_9.2\r\n"), "is not RFB 3.8"},
		"no security type":       {[]byte("RFB 003.008\n\x00\x00\x00\x00\x04busy"), "refuses the connection: busy"},
		"an unknown one":         {[]byte("RFB 003.008\n\x02\x13\x01"), "none is by a password"},
		"a wrong password":       {slices.Concat([]byte("RFB 003.008\n\x01\x02"), make([]byte, 16), u32(1), u32(21), []byte("Authentication failed")), "Authentication failed"},
		"a long reason":          {slices.Concat([]byte("RFB 003.008\n\x00"), u32(1<<31-1)), "a text of 2147483647 bytes"},
		"taken":                  {slices.Concat([]byte("RFB 003.008\n\x01\x02"), make([]byte, 16), u32(0)), "for himself alone"},
		"a huge screen":          {hello(65535, 65535), "65535 x 65535 pixels"},
		"no pixels":              {hello(0, 5), "0 x 5 pixels"},
		"a long name":            {slices.Concat(hello(1, 1)[:len(hello(1, 1))-6], u32(1<<30)), "a text of 1073741824 bytes"},
		"an unknown message":     {start([]byte{77}), "unknown kind 77"},
		"an unknown encoding":    {start(updateOf(rect(0, 0, 1, 1, 5))), "encoding 5"},
		"outside":                {start(updateOf(rect(60, 0, 8, 1, 0))), "rectangle"},
		"too many pixels":        {start(updateOf(rect(0, 0, 64, 64, 0, make([]byte, 4*4096)...), rect(0, 0, 65535, 65535, 0))), "more than 4 times"},
		"endless sizes":          {start(updateOf(rect(0, 0, 1, 1, -223), rect(0, 0, 2, 1, -223), rect(0, 0, 1, 1, -223), rect(0, 0, 2, 1, -223), rect(0, 0, 1, 1, -223))), "5 times at once"},
		"a new size too large":   {start(updateOf(rect(0, 0, 60000, 60000, -223))), "60000 x 60000"},
		"a long clipboard":       {start([]byte{3, 0, 0, 0}, u32(1<<31-1)), "clipboard of 2147483647"},
		"a bomb":                 {start(updateOf(rect(0, 0, 64, 64, 16, bomb...))), "bytes for a rectangle"},
		"a bomb within":          {start(updateOf(rect(0, 0, 64, 64, 16, compress(make([]byte, 10<<20))...))), "bytes more than the rectangle"},
		"too few pixels":         {start(updateOf(rect(0, 0, 64, 64, 16, compress([]byte{0, 1, 2, 3})...))), "fewer pixels"},
		"not compressed":         {start(updateOf(rect(0, 0, 64, 64, 16, slices.Concat(u32(4), []byte("abcd"))...))), "cannot be decompressed"},
		"a colour that is none":  {start(updateOf(rect(0, 0, 64, 64, 16, compress(slices.Concat([]byte{3}, make([]byte, 9), bytes.Repeat([]byte{255}, 2000)))...))), "palette does not have"},
		"a run that is none":     {start(updateOf(rect(0, 0, 64, 64, 16, compress(slices.Concat([]byte{130}, make([]byte, 6), []byte{5}))...))), "palette does not have"},
		"a run without end":      {start(updateOf(rect(0, 0, 64, 64, 16, compress(slices.Concat([]byte{128, 1, 2, 3}, bytes.Repeat([]byte{255}, 9999)))...))), "more pixels than a tile has"},
		"an unknown tile":        {start(updateOf(rect(0, 0, 64, 64, 16, compress([]byte{77})...))), "unknown kind 77"},
		"endless bells":          {start(bytes.Repeat([]byte{2}, 100_000)), "1000 messages"},
		"endless empty updates":  {start(bytes.Repeat(updateOf(), 100_000)), "1000 messages"},
		"nothing after the head": {start(tooMany), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := look(t.Context(), &server{says: tt.says, size: 1 << 20, ends: true})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
				t.Errorf("it took %d bytes", after.TotalAlloc-before.TotalAlloc)
			}
		})
	}
}

// A screen that comes a byte at a time, or not at all, costs no more time than the caller has.
func TestSlow(t *testing.T) {
	full := slices.Concat(hello(64, 64), updateOf(rect(0, 0, 64, 64, 0, make([]byte, 4*4096)...)))
	for name, says := range map[string][]byte{"drips": full, "stops": full[:len(full)-1], "says nothing": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				begun := time.Now()
				_, err := look(ctx, &server{says: says, size: 1, pause: time.Second})
				if took := time.Since(begun); err == nil || took > 32*time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// A watch that is given up loses nothing of what comes later.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pixel := func(v byte) []byte { return updateOf(rect(0, 0, 1, 1, 0, v, v, v, 0)) }
		s := &server{says: slices.Concat(hello(1, 1), pixel(1), pixel(2)), size: 8, pause: time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c, err := rfb.Connect(ctx, s, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Look(ctx); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			short, end := context.WithTimeout(ctx, 300*time.Millisecond)
			img, changed, err := c.Watch(short)
			end()
			if err != nil {
				t.Fatal(err)
			}
			if changed {
				if img.RGBAAt(0, 0).R != 2 {
					t.Errorf("%v", img.RGBAAt(0, 0))
				}
				cancel()
				_ = c.Close()
				return
			}
		}
		t.Error("no change came")
	})
}

// Whatever a screen sends, a look at it ends with a picture or an error.
func FuzzLook(f *testing.F) {
	f.Add(slices.Concat(hello(64, 64), updateOf(rect(0, 0, 64, 64, 16, compress([]byte{1, 2, 3, 4})...))), uint16(7))
	f.Add(slices.Concat(hello(3, 1), updateOf(rect(0, 0, 3, 1, 0, make([]byte, 12)...))), uint16(1))
	f.Add(slices.Concat(hello(3, 1), updateOf(rect(0, 0, 1, 1, -308, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))), uint16(100))
	f.Add([]byte("RFB 003.008\n\x00\x00\x00\x00\x04busy"), uint16(3))
	f.Fuzz(func(t *testing.T, says []byte, size uint16) {
		c, err := look(t.Context(), &server{says: says, size: 1 + int(size), ends: true})
		if err == nil && c == nil {
			t.Error("neither a screen nor an error")
		}
	})
}

// Whatever the pixels of a rectangle are, it is drawn within the screen, or refused.
func FuzzRectangle(f *testing.F) {
	f.Add(uint16(0), uint16(0), uint16(70), uint16(65), []byte{1, 2, 3, 4})
	f.Add(uint16(5), uint16(5), uint16(9), uint16(3), []byte{130, 1, 2, 3, 4, 5, 6, 0, 129, 3})
	f.Fuzz(func(t *testing.T, x, y, w, h uint16, tiles []byte) {
		says := slices.Concat(hello(100, 80), updateOf(rect(int(x), int(y), int(w), int(h), 16, compress(tiles)...)), updateOf(rect(0, 0, 100, 80, 0, make([]byte, 4*8000)...)))
		_, _ = look(t.Context(), &server{says: says, size: 1 << 16, ends: true})
	})
}
