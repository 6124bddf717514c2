// Package independent lets PVE clients that others have written drive pve-mcp sim, over
// the wire and with an API token: Debian's python3-proxmoxer and go-proxmox.
package independent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// wanted skips the test unless it is for make clients.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("clients of others are fetched only for make clients")
	}
}

// run runs a command that has to succeed, and returns what it prints.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), env...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out.String(), errs.String())
	}
	return out.String()
}

// simulate serves a cluster until the test ends, and returns the variables that it
// prints.
func simulate(t *testing.T) (env []string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "pve-mcp")
	run(t, nil, "go", "build", "-o", binary, "../../cmd/pve-mcp")
	cmd := exec.CommandContext(t.Context(), binary, "sim", "--listen", "127.0.0.1:0", "--speed", "50", "--token", "root@pam!full")
	return simproc.Serve(t, cmd)
}

// Debian's own Python, which has Debian's packages.
const python = "/usr/bin/python3"

func TestProxmoxer(t *testing.T) {
	wanted(t)
	if exec.Command(python, "-c", "import proxmoxer, requests").Run() != nil {
		install := exec.CommandContext(t.Context(), "apt-get", "install", "-y", "--no-install-recommends", "python3-proxmoxer", "python3-requests")
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := install.CombinedOutput(); err != nil {
			t.Skipf("1 client not tried: python3-proxmoxer cannot be installed: %v: %s", err, out)
		}
	}
	ran(t, run(t, simulate(t), python, "story.py"), 18)
}

func TestGoProxmox(t *testing.T) {
	wanted(t)
	fetch := exec.CommandContext(t.Context(), "go", "mod", "download")
	fetch.Dir = "go-proxmox"
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Skipf("1 client not tried: go-proxmox cannot be fetched: %v: %s", err, out)
	}
	ran(t, run(t, simulate(t), "go", "run", "-C", "go-proxmox", "."), 13)
}

// ran checks that a story ran to its end.
func ran(t *testing.T, out string, tasks int) {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(out, "%d tasks\n", &n); err != nil || n != tasks {
		t.Errorf("it printed %q; there are %d tasks in it", out, tasks)
	}
	t.Logf("%d tasks ended as they should", n)
}
