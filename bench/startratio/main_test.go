package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A program is as fast as itself, and needs as much memory, within its interval.
func TestComparisonOfAProgramWithItself(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bare")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../stdio").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := run(t.Context(), &out, 10, []string{program, "PVE_MCP_TOOLSETS=all " + program}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`size of the program: (\d+) and (\d+) bytes, ratio 1\.000\n`,
		`until initialize: .* ms, median of the ratios \d\.\d+ \(95 % interval \d\.\d+ to \d+\.\d+\)\n`,
		`until tools/list: .* ms, median of the ratios \d\.\d+ \(95 % interval \d\.\d+ to \d+\.\d+\)\n`,
	} {
		if !regexp.MustCompile(line).Match(out.Bytes()) {
			t.Errorf("no line %s in\n%s", line, &out)
		}
	}
	if err := run(t.Context(), &out, 10, []string{program}); err == nil {
		t.Error("one program was compared with nothing")
	}
	if err := run(t.Context(), &out, 10, []string{program, "/nonexistent"}); err == nil {
		t.Error("a program was compared with none")
	}
}
