// Package independent lets PVE clients that others have written drive pve-mcp sim, over the
// wire: Debian's python3-proxmoxer, go-proxmox and npm's proxmox-api. The helpers in contrib
// are tried with them.
package independent

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// Debian's own Python, which has Debian's packages.
const python = "/usr/bin/python3"

// TestClients runs everything with one program.
func TestClients(t *testing.T) {
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("clients of others are fetched only for make clients")
	}
	b := bench{program: filepath.Join(t.TempDir(), "pve-mcp")}
	b.run(t, "go", "build", "-o", b.program, "../../cmd/pve-mcp")
	t.Run("proxmoxer", b.proxmoxer)
	t.Run("go-proxmox", b.goProxmox)
	t.Run("pytest", b.pytest)
	t.Run("npm", b.npm)
	t.Run("testcontainers", b.testcontainers)
}

// bench is where clients are tried.
type bench struct {
	program string   // pve-mcp
	env     []string // of the clients
}

// run runs a command that has to succeed, and returns what it prints.
func (b bench) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := b.command(t, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out.String(), errs.String())
	}
	return out.String()
}

// command is one of a client, which finds the program and the cluster in its environment.
func (b bench) command(t *testing.T, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(append(os.Environ(), "PVE_MCP="+b.program), b.env...)
	return cmd
}

// fetch gets what a client needs, or skips the test, saying why.
func (b bench) fetch(t *testing.T, what, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("1 client not tried: %s cannot be fetched: %v: %s", what, err, out)
	}
}

// simulate serves a cluster until the test ends, for clients that find it in their
// environment.
func (b bench) simulate(t *testing.T, flags ...string) bench {
	t.Helper()
	sim := exec.CommandContext(t.Context(), b.program, append([]string{"sim", "--listen", "127.0.0.1:0", "--token", "root@pam!full"}, flags...)...)
	b.env = append(simproc.Serve(t, sim), "PASSWORD=simulated")
	return b
}

// says runs a client that prints one line when it has come to its end.
func (b bench) says(t *testing.T, want, name string, args ...string) {
	t.Helper()
	if got := strings.TrimSpace(b.run(t, name, args...)); got != want {
		t.Errorf("it printed %q, not %q", got, want)
	}
	t.Log(want)
}

func (b bench) proxmoxer(t *testing.T) {
	b.debian(t, "proxmoxer", "requests")
	b.simulate(t, "--speed", "50").says(t, "18 tasks", python, "story.py")
}

// debian skips the test if Debian's Python lacks modules, and Debian's packages of them
// cannot be installed.
func (b bench) debian(t *testing.T, modules ...string) {
	t.Helper()
	if exec.Command(python, "-c", "import "+strings.Join(modules, ", ")).Run() == nil {
		return
	}
	args := []string{"install", "-y", "--no-install-recommends"}
	for _, m := range modules {
		args = append(args, "python3-"+m)
	}
	b.fetch(t, strings.Join(args[3:], " "), "", "apt-get", args...)
}

func (b bench) goProxmox(t *testing.T) {
	b.fetch(t, "go-proxmox", "go-proxmox", "go", "mod", "download")
	client := filepath.Join(t.TempDir(), "client")
	b.run(t, "go", "build", "-C", "go-proxmox", "-o", client, ".")
	b.simulate(t, "--speed", "50").says(t, "13 tasks", client)
	// A terminal's size is that of its own, and PVE's proxy hangs up on a client without one.
	b = b.simulate(t)
	cmd := b.command(t, client, "consoles")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	out, _ := io.ReadAll(terminal) // its end is an error on Linux
	if err := cmd.Wait(); err != nil || string(out) != "2 consoles\r\n" {
		t.Errorf("%v: %s", err, out)
	}
	t.Log("2 consoles")
}

const contrib = "../../contrib/"

func (b bench) pytest(t *testing.T) {
	b.debian(t, "pytest", "proxmoxer", "requests")
	out := b.run(t, python, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", contrib+"pytest")
	counted(t, out, `(?m)^(\d+ passed) in `)
}

func (b bench) npm(t *testing.T) {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("1 client not tried: there is no %s", name)
		}
	}
	b.fetch(t, "proxmox-api", contrib+"npm", "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	out := b.run(t, "npm", "--prefix", contrib+"npm", "test", "--", "--test-reporter=tap")
	counted(t, out, `(?m)^# (pass \d+)$`)
}

// counted looks for the number of tests that passed.
func counted(t *testing.T, out, expression string) {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(out)
	if m == nil || strings.HasSuffix(m[1], " 0") {
		t.Fatalf("no test passed: %s", out)
	}
	t.Log(m[1])
}

// testcontainers needs an engine that runs the image; what it is made of is tested without
// one in test/deploy.
func (b bench) testcontainers(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "docker", "version").CombinedOutput(); err != nil {
		t.Skipf("1 example not run: no container engine answers: %v: %s", err, out)
	}
	b.run(t, "docker", "build", "-f", "../../deploy/Containerfile", "--target", "sim", "-t", "pvesim", "../..")
	b.fetch(t, "testcontainers", contrib+"testcontainers", "npm", "install", "--no-audit", "--no-fund", "--loglevel=error")
	out := b.run(t, "npm", "--prefix", contrib+"testcontainers", "test", "--", "--test-reporter=tap")
	counted(t, out, `(?m)^# (pass \d+)$`)
}
