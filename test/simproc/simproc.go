// Package simproc serves a simulated cluster by a process of its own, for tests of other
// programs.
package simproc

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"
)

// Serve starts pve-mcp sim, as the command has it, and returns the variables that it
// prints, for the environment of a client, when it is ready. The command ends with the
// test's context.
func Serve(t *testing.T, sim *exec.Cmd) (env []string) {
	t.Helper()
	out, err := sim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Wait() }) // killed when the test's context ends, before this
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if variable, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			env = append(env, strings.ReplaceAll(variable, "'", ""))
		}
		if strings.HasPrefix(lines.Text(), "# ready") {
			return env
		}
	}
	t.Fatal("pve-mcp sim is not ready")
	return nil
}
