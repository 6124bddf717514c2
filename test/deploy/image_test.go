package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// The program runs with no more than the image has: itself and a file of certificates, in a
// root that cannot be written to, as a user without a name.
func TestImage(t *testing.T) {
	wanted(t)
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("2 images not tried: only root may give a process another root: %v: %s", err, out)
	}
	root := image(t)
	t.Run("server", func(t *testing.T) { serverImage(t, root) })
	t.Run("sim", func(t *testing.T) { simulatorsImage(t, root) })
}

func serverImage(t *testing.T, root string) {
	sim := exec.CommandContext(t.Context(), filepath.Join(root, "pve-mcp"), "sim", "--listen", "127.0.0.1:0")
	env := simproc.Serve(t, sim)
	refused := inside(t, root, append(env, "PVE_MCP_HTTP_LISTEN=0.0.0.0:0"), "http")
	if out, err := refused.CombinedOutput(); status(err) != 1 || !bytes.Contains(out, []byte("nobody would be asked who they are")) {
		t.Errorf("without tokens: %v: %s", err, out)
	}
	if out, err := inside(t, root, nil, "token", "add", "alice", "--http-tokens", "/tokens.json").CombinedOutput(); err == nil {
		t.Errorf("the root can be written to: %s", out)
	}

	server := inside(t, root, append(env, "PVE_MCP_HTTP_TOKENS=/etc/pve-mcp/tokens.json", "PVE_MCP_HTTP_LISTEN=0.0.0.0:0"), "http")
	log, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	port := 0
	for port == 0 && lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "url=http://[::]:"); ok {
			if _, err := fmt.Sscanf(at, "%d/mcp", &port); err != nil {
				t.Fatal(err)
			}
		}
	}
	if port == 0 {
		t.Fatal("the server does not serve")
	}
	for args, want := range map[string]string{"health": "alive\n", "health --ready": "ready\n"} {
		cmd := inside(t, root, []string{fmt.Sprintf("PVE_MCP_HTTP_LISTEN=0.0.0.0:%d", port)}, strings.Fields(args)...)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// The image of the simulated cluster becomes healthy, and serves what its user has asked for.
func simulatorsImage(t *testing.T, root string) {
	_, stage, _ := strings.Cut(read(t, "Containerfile"), " AS sim\n")
	stage, _, _ = strings.Cut(stage, "\nFROM ")
	said := func(what string) (args []string) {
		t.Helper()
		_, list, ok := strings.Cut(stage, what+" [")
		list, _, _ = strings.Cut(list, "]\n")
		if err := json.Unmarshal([]byte("["+list+"]"), &args); err != nil || !ok || args[0] != "/pve-mcp" {
			t.Fatalf("%s: %v: %q", what, err, args)
		}
		return args[1:]
	}
	env := simproc.Serve(t, inside(t, root, nil, append(said("ENTRYPOINT"), "--listen", "0.0.0.0:0", "--model", "lab")...)) // a port that is free here
	host := ""
	for _, v := range env {
		if at, ok := strings.CutPrefix(v, "PVE_HOST=https://"); ok {
			host = at
		}
	}
	check := append(said("CMD"), "--listen", host)
	if out, err := inside(t, root, nil, check...).CombinedOutput(); err != nil || string(out) != "serving\n" {
		t.Errorf("%v: %v: %s", check, err, out)
	}
	if out, err := inside(t, root, env, "call", "pve_list_nodes").CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"node":"pve","status":"online"`)) {
		t.Errorf("%v: %s", err, out)
	}
}

// image makes the root of the image: what deploy/Containerfile copies (no certificates here,
// since the simulated cluster's is pinned), the secrets that are mounted, and no more.
func image(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range [][]string{
		{"go", "build", "-trimpath", "-o", filepath.Join(root, "pve-mcp"), "../../cmd/pve-mcp"},
		{"install", "-D", "-m", "644", "/dev/null", filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")},
		{"install", "-d", "-m", "755", filepath.Join(root, "etc/pve-mcp")},
		{filepath.Join(root, "pve-mcp"), "token", "add", "alice", "--http-tokens", filepath.Join(root, "etc/pve-mcp/tokens.json")},
		{"chown", "65532:65532", filepath.Join(root, "etc/pve-mcp/tokens.json")},
	} {
		run := exec.CommandContext(t.Context(), cmd[0], cmd[1:]...)
		run.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "CGO_ENABLED=0"}
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd, err, out)
		}
	}
	return root
}

// inside runs the program of the image as a container would.
func inside(t *testing.T, root string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	const script = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$0" /pve-mcp "$@"`
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "sh", "-c", script, root}, args...)...)
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"))
	return cmd
}

func status(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
