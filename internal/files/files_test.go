package files_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func read(t *testing.T, name string) (string, os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), info.Mode()
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := files.Replace(name, text("1")); err != nil {
		t.Fatal(err)
	}
	if got, mode := read(t, name); got != "1" || mode != 0o600 {
		t.Errorf("a new file: %q %v", got, mode)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	if err := files.Replace(link, text("2")); err != nil {
		t.Fatal(err)
	}
	if got, mode := read(t, name); got != "2" || mode != 0o640 {
		t.Errorf("through a link: %q %v", got, mode)
	}
	if _, mode := read(t, link); mode&os.ModeSymlink == 0 {
		t.Error("the link is none any more")
	}
}

// What goes wrong changes nothing, and leaves nothing behind.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := files.Replace(name, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if err := os.Chmod(name, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := files.Replace(name, text("2")); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v", err)
	}
	if err := files.Replace(dir, text("2")); err == nil {
		t.Error("a folder was replaced")
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := files.Replace(filepath.Join(dir, "link"), text("2")); err == nil {
		t.Error("a link that leads nowhere was replaced")
	}
	got, _ := read(t, name)
	if entries, err := os.ReadDir(dir); err != nil || got != "1" || len(entries) != 2 {
		t.Errorf("%v %q %v", err, got, entries)
	}
}

// place is a folder with a file inside it, and one outside that links inside lead to.
type place struct{ dir, outside string }

func newPlace(t *testing.T) place {
	t.Helper()
	top := t.TempDir()
	p := place{filepath.Join(top, "dir"), filepath.Join(top, "outside")}
	for _, step := range []error{
		os.MkdirAll(filepath.Join(p.dir, "sub"), 0o700), os.Mkdir(p.outside, 0o700),
		os.WriteFile(filepath.Join(p.dir, "file"), []byte("in"), 0o600),
		os.WriteFile(filepath.Join(p.outside, "file"), []byte("out"), 0o600),
		os.Symlink("file", filepath.Join(p.dir, "near")),
		os.Symlink("../outside/file", filepath.Join(p.dir, "far")),
		os.Symlink("../outside/new", filepath.Join(p.dir, "farnew")),
		os.Symlink("../outside", filepath.Join(p.dir, "fardir")),
		os.Symlink(filepath.Join(p.outside, "file"), filepath.Join(p.dir, "absolute")),
	} {
		if step != nil {
			t.Skip(step) // such as Windows without the right to make links
		}
	}
	return p
}

const appends = os.O_WRONLY | os.O_APPEND | os.O_CREATE

// Below a folder nothing outside it is read, written, made, replaced or removed, whatever
// the name and the links say.
func TestBelow(t *testing.T) {
	p := newPlace(t)
	for _, path := range []string{
		"far", "farnew", "absolute", "fardir/file", "fardir/new", "../outside/file", "../outside/new", "sub/../../outside/file",
		filepath.Join(p.outside, "file"), filepath.Join(p.dir, "file"), "..", ".", "sub", "",
	} {
		n := files.Below(p.dir, path)
		for what, do := range map[string]func() error{
			"read":    func() error { _, err := n.Read(); return err },
			"stat":    func() error { _, err := n.Stat(); return err },
			"append":  func() error { _, err := n.Open(appends); return err },
			"replace": func() error { return n.Replace(text("evil")) },
			"private": func() error { return n.ReplacePrivate(text("evil")) },
		} {
			if path == "sub" && what == "stat" {
				continue
			}
			if err := do(); err == nil {
				t.Errorf("%s %q: no error", what, path)
			}
		}
	}
	if got, mode := read(t, filepath.Join(p.outside, "file")); got != "out" || mode != 0o600 {
		t.Errorf("outside: %q %v", got, mode)
	}
	if entries, err := os.ReadDir(p.outside); err != nil || len(entries) != 1 {
		t.Errorf("outside: %v %v", entries, err)
	}
	if err := files.Below(p.dir, "far").Remove(); err != nil { // the link, not what it leads to
		t.Error(err)
	}
	for _, path := range []string{"file", "near", "sub/../file"} {
		if data, err := files.Below(p.dir, path).Read(); err != nil || string(data) != "in" {
			t.Errorf("%s: %q %v", path, data, err)
		}
	}
	deep := files.Below(p.dir, "a/b/secret")
	if err := deep.ReplacePrivate(text("s")); err != nil {
		t.Error(err)
	}
	if got, mode := read(t, deep.String()); got != "s" || mode != 0o600 {
		t.Errorf("%q %v", got, mode)
	}
}

// A file anywhere may be read through a link; what is written stays in its folder.
func TestAt(t *testing.T) {
	p := newPlace(t)
	at := func(name string) files.Name { return files.At(filepath.Join(p.dir, name)) }
	if data, err := at("far").Read(); err != nil || string(data) != "out" {
		t.Errorf("%q %v", data, err)
	}
	for _, name := range []string{"far", "farnew", "absolute"} {
		if _, err := at(name).Open(appends); err == nil || !strings.Contains(err.Error(), filepath.Join(p.dir, name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := at("near").Open(appends)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	f, err = at("new").Open(appends)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, mode := read(t, filepath.Join(p.dir, "new")); mode != 0o600 {
		t.Errorf("a new file has %v", mode)
	}
	big := filepath.Join(p.dir, "big")
	if err := os.WriteFile(big, make([]byte, files.MaxRead+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.At(big).Read(); err == nil {
		t.Error("a file without end is read")
	}
}
