package terminal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/terminal"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
)

// What programs write is shown as terminals show it.
func TestEmulator(t *testing.T) {
	for name, tt := range map[string]struct {
		writes, want string
		x, y         int
	}{
		"lines":             {"one\r\ntwo\r\n", "one\ntwo", 1, 3},
		"a bare line feed":  {"one\ntwo", "one\n   two", 7, 2},
		"overwritten":       {"12%\r99%", "99%", 4, 1},
		"backspace":         {"abc\b\bX", "aXc", 3, 1},
		"tab":               {"a\tb", "a       b", 10, 1},
		"cleared":           {"junk\x1b[H\x1b[Jlogin: ", "login:", 8, 1},
		"moved":             {"\x1b[2;3Hx\x1b[A\x1b[2Dy\x1b[5Gz", " y  z\n  x", 6, 1},
		"erased":            {"abcdef\x1b[3D\x1b[K\r\n12345\x1b[1K", "abc", 6, 2},
		"colours":           {"\x1b[1;31mred\x1b[0m", "red", 4, 1},
		"wrapped":           {strings.Repeat("x", 12), "xxxxxxxxxx\nxx", 3, 2},
		"no early wrap":     {strings.Repeat("x", 10) + "\r\ny", "xxxxxxxxxx\ny", 2, 2},
		"scrolled":          {"1\r\n2\r\n3\r\n4\r\n5", "2\n3\n4\n5", 2, 4},
		"region":            {"1\r\n2\r\n3\r\n4\x1b[2;3r\x1b[3;1H\r\n5", "1\n3\n5\n4", 2, 3},
		"reverse line feed": {"1\r\n2\x1b[H\x1bM0", "0\n1\n2", 2, 1},
		"inserted lines":    {"1\r\n2\r\n3\x1b[2H\x1b[Lx", "1\nx\n2\n3", 2, 2},
		"deleted lines":     {"1\r\n2\r\n3\x1b[2H\x1b[M", "1\n3", 1, 2},
		"inserted":          {"abc\r\x1b[2@", "  abc", 1, 1},
		"deleted":           {"abcd\r\x1b[2P", "cd", 1, 1},
		"repeated":          {"-\x1b[3b", "----", 5, 1},
		"box":               {"\x1b(0lqk\x1b(Bq", "┌─┐q", 5, 1},
		"title":             {"\x1b]0;root@web\x07# ", "#", 3, 1},
		"a string":          {"\x1bPq#0\x1b\\ok", "ok", 3, 1},
		"UTF-8":             {"grün 漢字ü", "grün 漢字ü", 10, 1},
		"broken UTF-8":      {"a\xffb\xc3", "ab", 3, 1},
		"other screen":      {"main\x1b[?1049h\x1b[Hvim\x1b[?1049l", "main", 4, 1},
		"saved":             {"ab\x1b7cd\x1b8X", "abXd", 4, 1},
		"reset":             {"junk\x1bcnew", "new", 4, 1},
		"asks where":        {"~ # \x1b[6n", "~ #", 5, 1},
	} {
		e := terminal.NewEmulator(10, 4)
		for _, b := range []byte(tt.writes) { // in the smallest parts
			_, _ = e.Write([]byte{b})
		}
		x, y := e.Cursor()
		if got := strings.Join(e.Lines(), "\n"); got != tt.want || x != tt.x || y != tt.y {
			t.Errorf("%s: %q, cursor %d %d; want %q, %d %d", name, got, x, y, tt.want, tt.x, tt.y)
		}
	}
}

// No number makes a sequence cost more than the screen has cells.
func TestHugeNumbers(t *testing.T) {
	begun := time.Now()
	for kind := byte('@'); kind <= '~'; kind++ {
		for _, args := range []string{"2147483647", "99999999999999999999;99999999999999999999", "?2147483647", "0;0", strings.Repeat("9", 10_000)} {
			e := terminal.NewEmulator(80, 25)
			_, _ = e.Write([]byte("x\x1b[" + args + string(kind) + "\x1b[9;9Hy\x1b[" + args + string(kind)))
			if len(e.Lines()) > 25 {
				t.Errorf("%s%c: %d lines", args, kind, len(e.Lines()))
			}
		}
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// proxy is PVE's terminal proxy: it says something, and keeps what comes.
type proxy struct {
	says [][]byte
	ends bool

	mu  sync.Mutex
	got []byte // guarded by mu
}

func (p *proxy) Read(ctx context.Context) ([]byte, error) {
	if len(p.says) == 0 {
		if !p.ends {
			<-ctx.Done()
		}
		return nil, io.EOF
	}
	m := p.says[0]
	p.says = p.says[1:]
	return m, nil
}

func (p *proxy) Write(_ context.Context, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, data...)
	return nil
}

func (p *proxy) Close() error { return nil }

func (p *proxy) sent() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.got)
}

// The conversation begins with the ticket; what is typed has its length.
func TestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{says: [][]byte{[]byte("O"), []byte("Kweb "), []byte("login: ")}}
		term, err := terminal.Open(t.Context(), p, "ops@pve!mcp", "PVEVNC:1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for term.Watch(ctx) {
		}
		if got := term.Lines(); !slices.Equal(got, []string{"web login:"}) || term.Ended != nil {
			t.Errorf("%q %v", got, term.Ended)
		}
		if err := term.Type("ä\r"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got, want := p.sent(), "ops@pve!mcp:PVEVNC:1\n1:80:25:0:3:ä\r"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		_ = term.Close()
	})
}

// A proxy that ends the connection, or says something else, lets nobody in.
func TestOpenRefused(t *testing.T) {
	for name, says := range map[string][][]byte{"nothing": nil, "half": {[]byte("O")}, "no": {[]byte("NO")}} {
		if _, err := terminal.Open(t.Context(), &proxy{says: says, ends: true}, "u", "t"); !errors.Is(err, terminal.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if _, err := terminal.Open(t.Context(), &proxy{}, "u", "t"); err == nil || time.Since(begun) > time.Minute {
			t.Errorf("silent: %v after %v", err, time.Since(begun))
		}
	})
}

// What real terminals have sent is shown as it was on them.
func TestRecorded(t *testing.T) {
	for file, want := range map[string]struct{ last, has string }{
		"ct92_shell.jsonl": {"~ #", "uid=0(root) gid=0(root)\nrc=0\n~ # printf \"a\\0b\""},
		"ct92_tty.jsonl":   {"cty login:", "cty login: root\nPassword:\nlogin: bad salt"},
		"serial84.jsonl":   {"starting serial terminal on interface serial0", ""},
		"serial92.jsonl":   {"unable to find a serial interface", ""},
	} {
		data, err := os.ReadFile(filepath.Join(recorded.Dir(t), "console", file))
		if err != nil {
			t.Fatal(err)
		}
		p := &proxy{ends: true}
		for line := range bytes.Lines(data) {
			var row struct{ Dir, B64 string }
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatal(err)
			}
			if payload, err := base64.StdEncoding.DecodeString(row.B64); err == nil && row.Dir == "recv" {
				p.says = append(p.says, payload)
			}
		}
		term, err := terminal.Open(t.Context(), p, "mcp@pve!ops", "ticket")
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for term.Ended == nil {
			term.Watch(t.Context())
		}
		lines := term.Lines()
		if all := strings.Join(lines, "\n"); lines[len(lines)-1] != want.last || !strings.Contains(all, want.has) {
			t.Errorf("%s:\n%s", file, all)
		}
		_ = term.Close()
	}
	p := &proxy{ends: true} // as PVE 8.4 does it to a token
	if _, err := terminal.Open(t.Context(), p, "mcp@pve!ops", "ticket"); !errors.Is(err, terminal.ErrRefused) {
		t.Error(err)
	}
}

// Whatever is written, the terminal stays one.
func FuzzEmulator(f *testing.F) {
	f.Add([]byte("\x1b[2;5r\x1b[10L\x1b[3M\x1b[99@\x1b[7P漢\b\x1b[K"), uint8(3), uint8(2))
	f.Add([]byte("\x1b]0;x\x1b\\\x1b(0qx\x1b[?1049h\x1bM\x1bD\x1bc\x1b[5b"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, columns, rows uint8) {
		e := terminal.NewEmulator(1+int(columns), 1+int(rows))
		_, _ = e.Write(data)
		x, y := e.Cursor()
		if x < 1 || x > 1+int(columns) || y < 1 || y > 1+int(rows) || len(e.Lines()) > 1+int(rows) {
			t.Errorf("cursor %d %d, %d lines", x, y, len(e.Lines()))
		}
		for _, line := range e.Lines() {
			if len([]rune(line)) > 1+int(columns) || strings.ContainsAny(line, "\x1b\n\r\x00") {
				t.Errorf("%q", line)
			}
		}
	})
}
