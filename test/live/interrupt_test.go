//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// An interrupt ends the run once it has cleaned up.
func TestInterrupt(t *testing.T) {
	env := simulate(t)
	before := guests(t, env)
	cmd := command(t, env, "live", "./internal/toolsets/snapshots")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal interrupts a group
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for lines, sent := bufio.NewScanner(out), false; lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if !sent && strings.HasPrefix(lines.Text(), "live: passed") {
			sent = true
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	if !strings.Contains(text.String(), "(it was interrupted before)") || strings.Count(text.String(), "live: passed") > 3 {
		t.Errorf("it went on:\n%s", &text)
	}
	if after := guests(t, env); after != before {
		t.Errorf("guests: %s before, %s after\n%s", before, after, &text)
	}
}
