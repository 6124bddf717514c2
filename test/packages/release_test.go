package packages

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// published makes a copy of the tree, as a repository of its own with a tag, where somebody
// publishes.
func published(t *testing.T) (dir string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Skipf("1 release not made: this is no clone of the repository: %v", err)
	}
	dir = t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // deleted, and that not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if name == "server.json" {
			nobody := regexp.MustCompile(`io\.github\.([^/]+)/`).FindSubmatch(data)[1]
			data = bytes.ReplaceAll(data, nobody, []byte("Some-One"))
		}
		if name == ".goreleaser.yaml" { // one system is enough to see how a release is put together
			data = regexp.MustCompile(`(goos|goarch): \[(\w+), .*\]`).ReplaceAll(data, []byte("$1: [$2]"))
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{
		"init -q", "add -A", "-c user.name=x -c user.email=x@example.org commit -q -m x", "tag v1.2.3",
		"remote add origin https://example.org/pve-mcp.git",
	} {
		output(t, dir, "git", strings.Fields(args)...)
	}
	return dir
}

// goreleaser checks its configuration and makes what a release is made of, without what
// needs Docker or syft.
func TestRelease(t *testing.T) {
	patient(t, "1 release not made")
	fetch := exec.CommandContext(t.Context(), "go", "mod", "download", "-modfile=tools/release/go.mod")
	fetch.Dir = "../.."
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Skipf("1 release not made: goreleaser cannot be fetched: %v: %s", err, out)
	}
	dir := published(t)
	env := strings.Fields(output(t, dir, "go", "run", "./packaging", "env"))
	if diff := cmp.Diff([]string{"SERVER_NAME=io.github.Some-One/pve-mcp", "PUBLISHER=some-one"}, env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	output(t, "../..", "env", append(env, "go", "tool", "-modfile=tools/release/go.mod", "goreleaser", "check")...)
	skip := "docker"
	if _, err := exec.LookPath("syft"); err != nil {
		t.Log("1 SBOM not made: there is no syft")
		skip += ",sbom"
	}
	output(t, dir, "make", "snapshot", "SKIP="+skip)
	output(t, dir, "go", "run", "./packaging", "server")
	dist := filepath.Join(dir, "dist")

	const name = "pve-mcp_1.2.4-snapshot_linux_amd64"
	checkSums(t, dist, name+".deb", name+".rpm", name+".tar.gz", name+".mcpb")
	output(t, dist, "tar", "xzf", name+".tar.gz")
	if got := output(t, dist, "./pve-mcp", "version"); !strings.HasPrefix(got, "pve-mcp 1.2.4-snapshot (") {
		t.Errorf("version: %s", got)
	}
	checkDeb(t, dir, filepath.Join(dist, name+".deb"))

	packages, _ := checkServer(t, filepath.Join(dist, "server.json"))["packages"].([]any)
	var got []string
	for _, p := range packages {
		p := p.(map[string]any)
		got = append(got, fmt.Sprint(p["registryType"], " ", p["identifier"], " ", p["fileSha256"]))
	}
	want := []string{
		"oci ghcr.io/some-one/pve-mcp:1.2.4-snapshot <nil>",
		"mcpb https://github.com/Some-One/pve-mcp/releases/download/v1.2.3/" + name + ".mcpb " + sum(t, filepath.Join(dist, name+".mcpb")),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}

func sum(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

func checkSums(t *testing.T, dist string, files ...string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if line := sum(t, filepath.Join(dist, name)) + "  " + name + "\n"; !strings.Contains(string(sums), line) {
			t.Errorf("SHA256SUMS has no %s%s", line, sums)
		}
	}
	if n := bytes.Count(sums, []byte("\n")); n != len(files) {
		t.Errorf("SHA256SUMS has %d lines:\n%s", n, sums)
	}
}

// checkDeb looks into the package with dpkg's own tool.
func checkDeb(t *testing.T, dir, file string) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Log("1 package not read: there is no dpkg-deb")
		return
	}
	root := t.TempDir()
	output(t, root, "dpkg-deb", "--raw-extract", file, ".")
	for name, source := range map[string]string{
		"usr/lib/systemd/system/pve-mcp.service": "deploy/pve-mcp.service",
		"etc/pve-mcp/pve-mcp.env":                "deploy/pve-mcp.env",
		"usr/share/doc/pve-mcp/copyright":        "LICENSE",
		"DEBIAN/postinst":                        "packaging/postinstall.sh",
		"DEBIAN/prerm":                           "packaging/preremove.sh",
		"DEBIAN/postrm":                          "packaging/postremove.sh",
	} {
		if sum(t, filepath.Join(root, name)) != sum(t, filepath.Join(dir, source)) {
			t.Errorf("%s is not %s", name, source)
		}
		if strings.HasSuffix(source, ".sh") {
			output(t, root, "sh", "-n", name)
		}
	}
	if conf := output(t, root, "cat", "DEBIAN/conffiles"); strings.TrimSpace(conf) != "/etc/pve-mcp/pve-mcp.env" {
		t.Errorf("what is kept when it was changed: %s", conf)
	}
	if info, err := os.Stat(filepath.Join(root, "etc/pve-mcp")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("/etc/pve-mcp, where the secret goes: %v %v", info.Mode(), err)
	}
	if got := output(t, root, "usr/bin/pve-mcp", "version"); !strings.Contains(got, "1.2.4-snapshot") {
		t.Errorf("version: %s", got)
	}
}
