package localfiles_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pve-mcp/pve-mcp/internal/localfiles"
)

func TestSave(t *testing.T) {
	dir := t.TempDir()
	d := localfiles.Folder(dir)
	for _, path := range []string{"a", "new/folder/a", filepath.Join(dir, "b")} {
		content := strings.Repeat(path, 100_000)
		saved, err := d.Save(path, strings.NewReader(content), false)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(saved.Path)
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(content))); err != nil || string(data) != content || saved.SHA256 != want || saved.Size != int64(len(content)) {
			t.Errorf("%+v %v", saved, err)
		}
		if info, err := os.Stat(saved.Path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		f, err := d.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(f); err != nil || string(data) != content {
			t.Error(err)
		}
		_ = f.Close()
	}
	if _, err := d.Save("a", strings.NewReader("2"), true); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(data) != "2" {
		t.Errorf("%q %v", data, err)
	}
}

// Nothing outside of the folder is read or written, nothing is replaced unasked, and nothing
// is left of a file that did not come whole.
func TestRefused(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	for name, content := range map[string]string{secret: "secret", filepath.Join(dir, "there"): "old"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"link": outside, "file": secret, "inside": "there"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	d := localfiles.Folder(dir)
	for _, tt := range []struct{ path, want string }{
		{"../x", "which is not below"},
		{"a/../../x", "which is not below"},
		{secret, "which is not below"},
		{"link/secret", "out of"},
		{"link/new", "out of"},
		{"file", "out of"},
		{"", "names no file"},
		{".", "names no file"},
		{"a/", "names no file"},
		{"a\x00b", "names no file"},
		{"link", "out of"},
	} {
		if _, err := d.Open(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("reading %q: %v", tt.path, err)
		}
		for _, overwrite := range []bool{false, true} {
			if _, err := d.Save(tt.path, strings.NewReader("new"), overwrite); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("writing %q: %v", tt.path, err)
			}
		}
	}
	if _, err := d.Save("there", strings.NewReader("new"), false); err == nil || !strings.Contains(err.Error(), "already") {
		t.Error(err)
	}
	if err := d.Check("there", false); err == nil || !strings.Contains(err.Error(), "already") {
		t.Error(err)
	}
	if _, err := d.Save("inside", strings.NewReader("new"), true); err == nil {
		t.Error("a link was replaced")
	}
	broken := errors.New("the source is broken")
	for _, overwrite := range []bool{false, true} {
		_, err := d.Save("there", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), overwrite)
		if overwrite && !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	if _, err := d.Save("half", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), false); !errors.Is(err, broken) {
		t.Error(err)
	}
	for folder, want := range map[string]int{outside: 1, dir: 4} {
		if left, err := os.ReadDir(folder); err != nil || len(left) != want {
			t.Errorf("%v %v", left, err)
		}
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "secret" {
		t.Errorf("%q %v", data, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "there")); err != nil || string(data) != "old" {
		t.Errorf("%q %v", data, err)
	}
}

// Without the setting, and without its folder, the error names it.
func TestNoFolder(t *testing.T) {
	for _, d := range []localfiles.Folder{"", localfiles.Folder(filepath.Join(t.TempDir(), "gone"))} {
		_, saving := d.Save("a", strings.NewReader("x"), false)
		_, reading := d.Open("a")
		for _, err := range []error{saving, reading, d.Check("a", true)} {
			if err == nil || !strings.Contains(err.Error(), "PVE_MCP_FILES") {
				t.Errorf("%q: %v", d, err)
			}
		}
	}
}
