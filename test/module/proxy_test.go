package module

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

const version = "v0.0.1"

// proxyOfCheckout makes a module proxy of files, with the checkout as a version of the
// module. It returns the module's path, and the environment of go commands that take
// modules from there and from this machine's cache.
func proxyOfCheckout(t *testing.T) (path string, env []string) {
	t.Helper()
	root := copyOfCheckout(t)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(mod)
	if found == nil {
		t.Fatal("go.mod has no line with the module's path")
	}
	path = string(found[1])
	escaped, err := module.EscapePath(path)
	if err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(1_700_000_000, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := zip.CreateFromDir(file, module.Version{Path: path, Version: version}, root); err != nil {
		t.Fatal(err)
	}
	cached := filepath.Join(strings.TrimSpace(goCommand(t, ".", nil, "env", "GOMODCACHE")), "cache", "download")
	return path, []string{
		"GOPROXY=" + fileURL(proxy) + "," + fileURL(cached), "GOSUMDB=off", "GONOPROXY=none", "GOPRIVATE=", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOFLAGS=-trimpath -modcacherw", "GOMODCACHE=" + t.TempDir(),
	}
}

func fileURL(dir string) string {
	if runtime.GOOS == "windows" {
		return "file:///" + filepath.ToSlash(dir)
	}
	return "file://" + dir
}

// goOffline runs the go command without a network. It skips the test if this machine's
// cache lacks a module.
func goOffline(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	out, err := tryGo(t, dir, env, args...)
	if err != nil && strings.Contains(err.Error(), "reading file://") {
		t.Skipf("this machine's cache of modules is not complete (go mod download all): %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// The program can be installed from a proxy, and knows its version.
func TestInstall(t *testing.T) {
	if compilesAll := effort.Of(false, false, true); !compilesAll {
		t.Skip("it compiles the whole program: make soak does it")
	}
	path, env := proxyOfCheckout(t)
	bin := t.TempDir()
	goOffline(t, t.TempDir(), append(env, "GOBIN="+bin), "install", path+"/cmd/pve-mcp@"+version)
	for args, want := range map[string]string{
		"version":                    strings.TrimPrefix(version, "v"),
		"call --demo pve_list_nodes": "pve1",
	} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "pve-mcp"), strings.Fields(args)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("pve-mcp %s lacks %s: %v\n%s", args, want, err, out)
		}
	}
}

// A module elsewhere imports the simulator and the client, and its test passes.
func TestImport(t *testing.T) {
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("it compiles the simulator and the client anew: make clients does it")
	}
	path, env := proxyOfCheckout(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module example.org/outside\n\ngo 1.26\n",
		"outside_test.go": strings.ReplaceAll(outside, "MODULE", path),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goOffline(t, dir, env, "get", path+"@"+version)
	if out := goOffline(t, dir, env, "test", "-mod=mod", "-v", "."); !strings.Contains(out, "--- PASS: TestStart") {
		t.Errorf("the test did not run:\n%s", out)
	}
}

// outside is the test of a module that is not ours.
const outside = `package outside

import (
	"testing"

	"MODULE/proxmox"
	"MODULE/pve"
	"MODULE/pvesim"
)

func TestStart(t *testing.T) {
	server := pvesim.New(t)
	server.Sim.Handle("GET /nodes/{node}/hardware/usb", func(c *pvesim.Call) (any, error) {
		return nil, pvesim.Refusal(500, "no bus on "+c.Node())
	})
	client, err := pve.New(proxmox.Options{
		Endpoints: []string{server.URL},
		Transport: server.Client().Transport,
		Token:     proxmox.Token{ID: server.Token.ID, Secret: proxmox.NewSecret(server.Token.Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	guest, err := client.FindGuest(t.Context(), 105)
	if err != nil {
		t.Fatal(err)
	}
	upid, err := client.Power(t.Context(), guest.Ref(), "start", pve.PowerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Wait(t.Context(), upid, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := status.ExitStatus.Value, "start failed: QEMU exited with code 1"; got != want {
		t.Errorf("the start of VM 105 ends with %q, want %q", got, want)
	}
	resp, err := server.Client().Get(server.URL + "/api2/json/nodes/pve2/hardware/usb")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got, want := resp.Status, "500 no bus on pve2"; got != want {
		t.Errorf("an endpoint of one's own answers %q, want %q", got, want)
	}
}
`
