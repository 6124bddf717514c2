package policy_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// runFileProgram runs the program for files in a shell of this machine.
func runFileProgram(t *testing.T, do policy.FileAction, name, stdin string, more ...string) error {
	t.Helper()
	argv := policy.FileCommand(do, name, "", more...)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	return cmd.Run()
}

// A file arrives whole, with its mode, and nothing is left beside it.
func TestFileProgramWrites(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	name := filepath.Join(t.TempDir(), "file")
	for _, tt := range []struct{ how, want string }{{"replace", "hello"}, {"append", "hellohello"}, {"replace", "hello"}} {
		for _, err := range []error{
			runFileProgram(t, policy.FileBegin, name, "", "TOKEN"),
			runFileProgram(t, policy.FilePut, name, base64.StdEncoding.EncodeToString([]byte("hello")), "TOKEN", "0"),
			runFileProgram(t, policy.FileEnd, name, "", "TOKEN", hex.EncodeToString(sum[:]), tt.how),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != tt.want {
			t.Errorf("%q, %v", got, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// The owner of the folder of a file that is written puts a link in the place of what collects the
// content: nothing is written, changed or removed where it leads.
func TestFileProgramFollowsNoSwap(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	steps := map[string]func(t *testing.T, name string) error{
		"put": func(t *testing.T, name string) error {
			return runFileProgram(t, policy.FilePut, name, base64.StdEncoding.EncodeToString([]byte("hello")), "TOKEN", "0")
		},
		"end": func(t *testing.T, name string) error {
			return runFileProgram(t, policy.FileEnd, name, "", "TOKEN", hex.EncodeToString(sum[:]), "replace")
		},
		"drop": func(t *testing.T, name string) error { return runFileProgram(t, policy.FileDrop, name, "", "TOKEN") },
	}
	for step, run := range steps {
		for _, leads := range []string{"file", "folder"} {
			t.Run(step+" to a "+leads, func(t *testing.T) {
				home, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
				name, inside := filepath.Join(home, "file"), victim
				content := ""
				if step == "end" {
					content = "hello"
				}
				if leads == "folder" {
					inside = filepath.Join(victim, "f")
					if err := os.Mkdir(victim, 0o700); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(inside, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte("old"), 0o666); err != nil {
					t.Fatal(err)
				}
				if err := runFileProgram(t, policy.FileBegin, name, "", "TOKEN"); err != nil {
					t.Fatal(err)
				}
				collects := filepath.Join(home, ".pve-mcp-TOKEN")
				if err := os.RemoveAll(collects); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(victim, collects); err != nil {
					t.Fatal(err)
				}
				err := run(t, name)
				got, missing := os.ReadFile(inside)
				info, _ := os.Lstat(inside)
				if missing != nil || string(got) != content || info.Mode().Perm() != 0o600 {
					t.Errorf("the victim has %q, %v, %v", got, info, missing)
				}
				if now, _ := os.ReadFile(name); err == nil || string(now) != "old" {
					t.Errorf("%v; the file has %q", err, now)
				}
			})
		}
	}
}
