//go:build unix

package audit_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/audit"
)

// To a process that writes a file, a limit of its size is like a full disk: part of a
// line is written, and then nothing more. The limit holds for a process, so that this
// test has one of its own.
func TestFullDisk(t *testing.T) {
	if path := os.Getenv("AUDIT_FULL_DISK"); path != "" {
		fillDisk(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), "AUDIT_FULL_DISK="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "SKIP") {
		t.Skipf("%s", out)
	}
	// There is room again.
	refuse(t, open(t, path), 1)
	r, err := verify(nil, "", read(t, path))
	if err != nil || r.Count < 3 || len(r.Torn) > 0 || len(r.Open) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func fillDisk(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ)
	l := open(t, path)
	e, err := l.Begin(t.Context(), audit.Record{Tool: "t"})
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skip(err)
	}
	before := limit
	limit.Cur = 1400
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skip(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }()
	for range 20 {
		if err = l.Refuse(t.Context(), audit.Record{Tool: "t"}, "refused"); err != nil {
			break
		}
	}
	if err == nil || err.Error() != path+": file too large" {
		t.Errorf("a refusal: %v", err)
	}
	if begun, err := l.Begin(t.Context(), audit.Record{Tool: "t"}); begun != nil || err == nil || err.Error() != path+": file too large" {
		t.Errorf("a begin: %v %v", begun, err)
	}
	if err := e.End(t.Context(), "ok", ""); err == nil || err.Error() != path+": file too large" {
		t.Errorf("an end: %v", err)
	}
}
