package files_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pve-mcp/internal/files"
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
