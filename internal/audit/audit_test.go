package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/files"
)

var key = [][]byte{[]byte("a key")}

// start returns a log on a new file, and the name of that.
func start(t *testing.T, keys ...[]byte) (*audit.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	return open(t, path, keys...), path
}

func open(t *testing.T, path string, keys ...[]byte) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.Options{File: files.At(path), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refuse writes n lines.
func refuse(t *testing.T, l *audit.Log, n int) {
	t.Helper()
	for range n {
		if err := l.Refuse(t.Context(), audit.Record{Tool: "t", Caller: "c"}, "refused"); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// verify verifies files by their contents, named 1, 2 and so on.
func verify(keys [][]byte, head string, contents ...string) (audit.Report, error) {
	var files []audit.File
	for i, text := range contents {
		files = append(files, audit.File{Name: fmt.Sprint(i + 1), Content: strings.NewReader(text)})
	}
	return audit.Verify(files, keys, head)
}

func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	now := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.FixedZone("", 3600))
	var heard bytes.Buffer
	l, err := audit.New(audit.Options{
		File: files.At(path), Now: func() time.Time { now = now.Add(time.Second); return now },
		Logger: slog.New(slog.NewTextHandler(&heard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Begin(t.Context(), audit.Record{
		Tool: "pve_guest_power", Caller: "claude", Arguments: json.RawMessage(`{"vmid": 104, "action":"stop", "password":"hunter2"}`),
		About: "Stop of VM 104 (a<b\u202e\U000e0041)", Guest: 104, Node: "pve1", Consent: "none",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.End(t.Context(), "ok", "UPID:pve1:x"); err != nil {
		t.Fatal(err)
	}
	if err := l.Refuse(t.Context(), audit.Record{Tool: "t", Caller: "c", Arguments: json.RawMessage(`{"a":`), Consent: "none"}, "declined"); err != nil {
		t.Fatal(err)
	}
	shared := `"id":"ID","caller":"claude","tool":"pve_guest_power","arguments":{"action":"stop","password":"**********","vmid":104},` +
		`"about":"Stop of VM 104 (a<b\u202e\udb40\udc41)","guest":104,"node":"pve1","consent":"none"`
	want := `{"time":"2026-03-01T12:00:01.005+01:00","event":"begin",` + shared + `,"prev":"HASH","hash":"HASH"}
{"time":"2026-03-01T12:00:02.005+01:00","event":"end",` + shared + `,"outcome":"ok","upid":"UPID:pve1:x","duration_ms":1000,"prev":"HASH","hash":"HASH"}
{"time":"2026-03-01T12:00:03.005+01:00","event":"refused","caller":"c","tool":"t","arguments":"********** (5 bytes that are no JSON)","consent":"none","outcome":"declined","prev":"HASH","hash":"HASH"}
`
	got := regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(read(t, path), "HASH")
	got = regexp.MustCompile(`"id":"[A-Z2-7]{26}"`).ReplaceAllString(got, `"id":"ID"`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := heard.String(); strings.Count(text, "\n") != 3 || strings.Contains(text, "hunter2") || !strings.Contains(text, `msg="change ended"`) {
		t.Errorf("the logger heard %s", text)
	}
	for _, name := range []string{path, path + ".head", path + ".lock"} {
		if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestNilDoesNothing(t *testing.T) {
	var l *audit.Log
	e, err := l.Begin(t.Context(), audit.Record{})
	if e != nil || err != nil || e.End(t.Context(), "ok", "") != nil || l.Refuse(t.Context(), audit.Record{}, "refused") != nil {
		t.Errorf("%v %v", e, err)
	}
}

func TestManyWriters(t *testing.T) {
	const logs, lines = 8, 20
	_, path := start(t)
	var wg sync.WaitGroup
	for range logs {
		l := open(t, path, key...)
		for range 2 {
			wg.Go(func() {
				for range lines / 2 {
					e, err := l.Begin(t.Context(), audit.Record{Tool: "t"})
					if err != nil || e.End(t.Context(), "ok", "") != nil {
						t.Errorf("%v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	r, err := verify(key, strings.TrimSpace(read(t, path+".head")), read(t, path))
	if err != nil || r.Count != logs*lines*2 || len(r.Open) != 0 || r.Later != 0 || r.After != "" {
		t.Errorf("%+v %v", r, err)
	}
}

// A process that was stopped while it held the lock is waited for, and not for ever.
func TestLockIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, path := start(t)
		other := flock.New(path + ".lock")
		if ok, err := other.TryLock(); !ok || err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err := l.Refuse(t.Context(), audit.Record{}, "refused")
		if err == nil || err.Error() != path+": another process has held its lock for 10s" || time.Since(begun) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		go func() {
			time.Sleep(3 * time.Second)
			if err := other.Unlock(); err != nil {
				t.Error(err)
			}
		}()
		begun = time.Now()
		if refuse(t, l, 1); time.Since(begun) < 3*time.Second || read(t, path) == "" {
			t.Errorf("written after %v", time.Since(begun))
		}
	})
}

func TestRotation(t *testing.T) {
	l, path := start(t)
	refuse(t, l, 2)
	first := read(t, path)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	refuse(t, l, 2)
	second := read(t, path)
	write(t, path, "") // emptied
	refuse(t, open(t, path), 1)
	third := read(t, path)
	if r, err := verify(nil, "", first, second, third); err != nil || r.Count != 5 || r.After != "" {
		t.Errorf("%+v %v", r, err)
	}
	r, err := verify(nil, "", second, third)
	if err != nil || r.Count != 3 || !strings.Contains(first, `"hash":"`+r.After+`"`) {
		t.Errorf("without the first file: %+v %v", r, err)
	}
	for want, files := range map[string][]string{
		"2:1: the files are in the wrong order: 1 continues 2":                           {second, first, third},
		"2:1: the files are in the wrong order: 2 continues 3":                           {first, third, second},
		"2:1: a line before this one is missing, or a file":                              {first, third},
		"2:1: the lines were reordered: this one follows 2:2":                            {first, flip(second)},
		"1: the log ends here without the line whose hash is " + strings.Repeat("a", 64): {""},
	} {
		head := ""
		if files[0] == "" {
			head = strings.Repeat("a", 64)
		}
		if _, err := verify(nil, head, files...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// What a crash leaves does not stop the next process.
func TestTorn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		crash func(whole, next string) (log, head string)
		torn  []string
		count int // of the lines, with one more that is written after the crash
	}{
		{"within a line", func(whole, next string) (string, string) { return whole + next[:40], "" }, []string{"1:3"}, 4},
		{"before the newline", func(whole, next string) (string, string) { return whole + strings.TrimSuffix(next, "\n"), "" }, nil, 4},
		{"before the head", func(whole, next string) (string, string) { return whole + next, "" }, nil, 4},
		{"twice", func(whole, next string) (string, string) { return whole + next[:40] + "\n" + next[:9], "" }, []string{"1:3"}, 4},
		{"with an empty line", func(whole, next string) (string, string) { return whole + "\n", "" }, []string{"1:3"}, 4},
		{"on a disk that lost the text", func(whole, next string) (string, string) { return whole + strings.Repeat("\x00", 100), "" }, []string{"1:3"}, 4},
		{"within the head", func(whole, next string) (string, string) { return whole, "abc" }, nil, 3},
		{"within the first line of all", func(whole, next string) (string, string) { return next[:12], "-" }, []string{"1:1"}, 2},
		{"within the first bytes", func(whole, next string) (string, string) { return next[:3], "-" }, []string{"1:1"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, path := start(t)
			refuse(t, l, 2)
			whole, before := read(t, path), read(t, path+".head")
			refuse(t, l, 1)
			log, head := tt.crash(whole, strings.TrimPrefix(read(t, path), whole))
			write(t, path, log)
			if head == "" {
				head = before
			}
			write(t, path+".head", head)
			if r, err := verify(nil, "", log); err != nil && tt.name != "twice" && tt.name != "with an empty line" {
				t.Errorf("before the next line: %+v %v", r, err)
			}
			refuse(t, open(t, path), 1)
			r, err := verify(nil, strings.TrimSpace(read(t, path+".head")), read(t, path))
			var torn []string
			for _, p := range r.Torn {
				torn = append(torn, p.String())
			}
			if err != nil || r.Count != tt.count || !slices.Equal(torn, tt.torn) {
				t.Errorf("%+v %v\n%s", r, err, read(t, path))
			}
			if len(tt.torn) == 0 {
				return
			}
			// The place of a crash is none to put something else.
			lines := strings.Split(read(t, path), "\n")
			i := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, `"event":"torn"`) })
			lines[i-1] += "x"
			changed := strings.Join(lines, "\n")
			if r, err := verify(nil, "", changed); err == nil {
				t.Errorf("changed: %+v\n%s", r, changed)
			}
		})
	}
}

// A file that is something else is left alone, and so is one elsewhere that a link leads
// to.
func TestUnusable(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "profile")
	write(t, outside, "")
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string) error
		want string // after the path
	}{
		{"a folder", func(_ *testing.T, path string) error { return os.Mkdir(path, 0o700) }, ": is a directory"},
		{"another text", func(_ *testing.T, path string) error { return os.WriteFile(path, []byte("alias ls=ls\n"), 0o600) },
			": it has other lines than those of an audit log, and is left alone"},
		{"a head that is a folder", func(_ *testing.T, path string) error { return os.Mkdir(path+".head", 0o700) }, ".head: is a directory"},
		{"a link", func(_ *testing.T, path string) error { return os.Symlink(outside, path) }, ": path escapes from parent"},
		{"a head that is a link", func(_ *testing.T, path string) error { return os.Symlink(outside, path+".head") }, ".head: path escapes from parent"},
		{"a lock that is a link", func(_ *testing.T, path string) error { return os.Symlink(outside+"2", path+".lock") }, ".lock: path escapes from parent"},
		{"a folder without the right", func(t *testing.T, path string) error {
			if os.Getuid() == 0 {
				t.Skip("root may write everywhere")
			}
			return os.Chmod(filepath.Dir(path), 0o500)
		}, ".lock: permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			if err := tt.make(t, path); err != nil {
				t.Skip(err)
			}
			_, err := audit.New(audit.Options{File: files.At(path)})
			if err == nil || err.Error() != path+tt.want {
				t.Errorf("got %v\nwant %s", err, path+tt.want)
			}
		})
	}
	if _, err := os.Stat(outside + "2"); read(t, outside) != "" || err == nil {
		t.Error("something was written at the other end of a link")
	}
	missing := filepath.Join(t.TempDir(), "no")
	if _, err := audit.New(audit.Options{File: files.At(filepath.Join(missing, "audit.log"))}); err == nil || err.Error() != missing+": "+fs.ErrNotExist.Error() && !strings.HasSuffix(err.Error(), "no such file or directory") {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	if _, err := audit.Verify([]audit.File{{Name: "dir", Content: mustOpen(t, t.TempDir())}}, nil, ""); err == nil || !strings.HasPrefix(err.Error(), "dir: ") {
		t.Errorf("%v", err)
	}
}

func mustOpen(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
