package deploy

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Whatever looks like a setting in a file is one.
func TestSettings(t *testing.T) {
	known := map[string]bool{}
	for _, s := range config.Settings() {
		known[s.Key] = true
	}
	files, err := os.ReadDir("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	settingRE := regexp.MustCompile(`\bPVE_[A-Z_]*[A-Z]\b`)
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		for _, name := range settingRE.FindAllString(read(t, f.Name()), -1) {
			if !known[name] {
				t.Errorf("deploy/%s: %s is no setting", f.Name(), name)
			}
		}
	}
}

// A release makes each image from all the folders that the program is made of.
func TestReleasedImages(t *testing.T) {
	data, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var release struct {
		Images []struct {
			ID, Dockerfile string
			Flags          []string
			Files          []string `yaml:"extra_files"`
		} `yaml:"dockers_v2"`
	}
	if err := yaml.Unmarshal(data, &release); err != nil || len(release.Images) != 2 {
		t.Fatalf("%v: %+v", err, release)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../cmd/pve-mcp").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/pve-mcp/pve-mcp/"
	needs := map[string]bool{"Makefile": true, "go.mod": true, "go.sum": true}
	for name := range strings.FieldsSeq(string(out)) {
		if own, ok := strings.CutPrefix(name, module); ok {
			folder, _, _ := strings.Cut(own, "/")
			needs[folder] = true
		}
	}
	for _, i := range release.Images {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(needs)), slices.Sorted(slices.Values(i.Files))); diff != "" || i.Dockerfile != "deploy/Containerfile" {
			t.Errorf("%s is made by %s from (-needed +given)\n%s", i.ID, i.Dockerfile, diff)
		}
	}
	if diff := cmp.Diff([]string{"--target=sim"}, release.Images[1].Flags); diff != "" || len(release.Images[0].Flags) > 0 {
		t.Errorf("their flags: %+v", release.Images)
	}
}

// exposure is the most that systemd-analyze security may find in the unit, in tenths: 0 is
// the least, 100 the most. systemd 252 finds 11: the service uses the network, and lives in
// the root of the machine. Later versions ask for more.
const exposure = "15"

// analyze is systemd's own judge of units. For make clients it is installed where it is not.
func analyze(t *testing.T) (program string) {
	t.Helper()
	const name = "systemd-analyze"
	if _, err := exec.LookPath(name); err != nil && os.Getenv("PVE_MCP_CLIENTS") != "" {
		install := exec.CommandContext(t.Context(), "apt-get", "install", "-y", "--no-install-recommends", "systemd")
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := install.CombinedOutput(); err != nil {
			t.Logf("systemd cannot be installed: %v: %s", err, out)
		}
	}
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("1 unit not checked: there is no " + name)
	}
	return name
}

// program is found by systemd in /usr/local/bin, and where packages put it, in /usr/bin.
const program = "pve-mcp"

// What the unit says of the server, and which user the latter has.
func TestUnitAgrees(t *testing.T) {
	has := map[string][]string{}
	for line := range strings.Lines(read(t, "pve-mcp.service")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		has[key] = append(has[key], value)
	}
	for key, want := range map[string][]string{
		"ExecStart": {program + " http"}, "Type": {"notify"}, "DynamicUser": {"yes"}, "CapabilityBoundingSet": {""},
		"EnvironmentFile": {"/etc/pve-mcp/pve-mcp.env"},
		"LoadCredential":  {"secret:/etc/pve-mcp/secret", "tokens.json:/etc/pve-mcp/tokens.json"},
		"Environment":     {"PVE_TOKEN_SECRET_FILE=%d/secret", "PVE_MCP_HTTP_TOKENS=%d/tokens.json", "PVE_MCP_AUDIT_LOG=%L/pve-mcp/audit.log"},
		"LogsDirectory":   {"pve-mcp"},
	} {
		if diff := cmp.Diff(want, has[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	cfg, err := config.Load(config.Sources{NoCluster: true})
	if err != nil {
		t.Fatal(err)
	}
	const stopTime = 5 * time.Second // after that of PVE_MCP_HTTP_DRAIN
	if stop, err := time.ParseDuration(has["TimeoutStopSec"][0] + "s"); err != nil || stop <= cfg.HTTP.Drain+stopTime {
		t.Errorf("it is killed after %v: %v", stop, err)
	}
}

func TestUnit(t *testing.T) {
	judge := analyze(t)
	text := read(t, "pve-mcp.service")
	unit := filepath.Join(t.TempDir(), "pve-mcp.service")
	self, err := os.Executable() // a program that is there
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(text, "ExecStart="+program+" ", "ExecStart="+self+" ")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", "--recursive-errors=no", unit},
		{"security", "--offline=true", "--threshold=" + exposure, unit},
	} {
		out, err := exec.CommandContext(t.Context(), judge, args...).CombinedOutput()
		if complaint := bytes.Contains(out, []byte("pve-mcp.service:")); err != nil || complaint && args[0] == "verify" {
			t.Errorf("systemd-analyze %s: %v: %s", args[0], err, out)
		}
	}
}

// wanted skips the test unless it is for make clients.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("libraries and a simulated cluster are for make clients")
	}
}

func TestSchemas(t *testing.T) {
	wanted(t)
	fetch := exec.CommandContext(t.Context(), "go", "mod", "download")
	fetch.Dir = "schemas"
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Skipf("3 files not checked: the libraries that read them cannot be fetched: %v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-C", "schemas", "-count=1", "-vet=off", "-v", ".").CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
}
