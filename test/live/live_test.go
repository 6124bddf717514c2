package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// dir has the programs that the tests run: pve-mcp, and this command as live.
var dir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if dir, err = os.MkdirTemp("", "live"); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		build := exec.Command("go", "build", "-o", dir, "../../cmd/pve-mcp", ".")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// simulate serves a cluster, as pve-mcp sim in a process of its own, until the test ends, and
// returns the environment of a run against it.
func simulate(t *testing.T) (env []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "pve-mcp"), "sim", "--listen", "127.0.0.1:0", "--speed", "100", "--token", "root@pam!full")
	return append(simproc.Serve(t, cmd), "PVE_LIVE_I_MEAN_IT=yes", "PVE_LIVE_VMIDS=9000-9005", "PVE_LIVE_STORAGE=local-zfs", "PVE_LIVE_BACKUPS=nfs",
		"PVE_LIVE_TEMPLATE=local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz")
}

// command runs a program where the module is, with none of this environment's settings.
func command(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name), args...)
	cmd.Dir = "../.."
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PVE_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// guests are how many the cluster has.
func guests(t *testing.T, env []string) string {
	t.Helper()
	var own []string
	for _, variable := range env {
		if !strings.HasPrefix(variable, "PVE_LIVE_") {
			own = append(own, variable)
		}
	}
	out, err := command(t, own, "pve-mcp", "call", "pve_list_guests", "--limit", "1").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`"total":\d+`).Find(out))
}

// The stories of the tools run on pvesim as if it were a real node.
func TestStoriesRunLive(t *testing.T) {
	env := simulate(t)
	before := guests(t, env)
	out, err := command(t, env, "live", "./internal/toolsets/tasks", "./internal/toolsets/storage").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"live: pve1, PVE 9.0.11, at https://127.0.0.1:",
		"live: passed    pve_task_status: of a snapshot (on pve1, PVE 9.0.11)\n",
		"live: passed    pve_storage_content: a disk of a CT (on pve1, PVE 9.0.11)\n",
		"live: 9 passed, 0 failed, 0 not here, 9 sim only\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "---") {
		t.Errorf("chatter:\n%s", out)
	}
	if after := guests(t, env); after != before {
		t.Errorf("guests: %s before, %s after", before, after)
	}
}

// If the storage makes no snapshots of containers, their stories are left out, and all
// others run.
func TestSnapshotsOfContainersAreLeftOut(t *testing.T) {
	env := append(simulate(t), "PVE_LIVE_STORAGE=nfs", "PVE_LIVE_KVM=no")
	out, err := command(t, env, "live", "./internal/toolsets/snapshots").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"live: passed    pve_create_snapshot: VM (on pve1, PVE 9.0.11)\n",
		"live: not here  pve_create_snapshot: CT (nfs, of type nfs, makes no snapshots of containers)\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// Without a node there is nothing to do; with one, nothing is done that is not meant.
func TestNothingIsBegun(t *testing.T) {
	out, err := command(t, nil, "live").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "live: skipped: no PVE node in the environment: PVE_HOST is not set.") || !strings.Contains(string(out), "PVE_LIVE_VMIDS") {
		t.Errorf("%v\n%s", err, out)
	}
	env := append(simulate(t), "PVE_LIVE_I_MEAN_IT=")
	out, err = command(t, env, "live").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nothing was begun:\nPVE_LIVE_I_MEAN_IT: it is not set") || strings.Contains(string(out), "passed") {
		t.Errorf("%v\n%s", err, out)
	}
}
