//go:build unix

package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// A pipe or a device is neither read nor written, and never waited for.
func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"zero": "/dev/zero", "null": "/dev/null", "tty": "/dev/tty", "link": "pipe", "folder": "."} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	all := []files.Name{files.At("/dev/zero"), files.At("/dev/null")}
	for _, name := range []string{"pipe", "link", "zero", "null", "tty", "folder"} {
		all = append(all, files.At(filepath.Join(dir, name)), files.Below(dir, name))
	}
	for _, n := range all {
		if _, err := n.Read(); err == nil {
			t.Errorf("%v is read", n)
		}
		for _, flag := range []int{appends, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
			if f, err := n.Open(flag); err == nil {
				f.Close()
				t.Errorf("%v is opened with %x", n, flag)
			}
		}
	}
	if _, err := files.At(filepath.Join(dir, "pipe")).Read(); err == nil || !strings.Contains(err.Error(), "pipe: not a regular file") {
		t.Error(err)
	}
}

// What is swapped between being looked at and being opened is not waited for, nor read
// elsewhere.
func TestSwapped(t *testing.T) {
	p := newPlace(t)
	pipe, file := filepath.Join(p.outside, "pipe"), filepath.Join(p.dir, "swapped")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			temp := file + ".new"
			if i%2 == 0 {
				_ = os.WriteFile(temp, []byte("in"), 0o600)
			} else {
				_ = os.Symlink([]string{filepath.Join(p.outside, "file"), pipe}[i/2%2], temp)
			}
			_ = os.Rename(temp, file)
		}
	}()
	for range 2000 {
		if data, err := files.Below(p.dir, "swapped").Read(); err == nil && string(data) != "in" {
			t.Errorf("%q was read", data)
		}
		if f, err := files.Below(p.dir, "swapped").Open(os.O_WRONLY | os.O_APPEND); err == nil {
			f.Close()
		}
		_, _ = files.At(file).Read() // a pipe would be waited for
	}
	close(stop)
	<-stopped
}
