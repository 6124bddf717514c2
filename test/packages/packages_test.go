package packages

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// wanted skips the test unless it is for make clients.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("programs that read packages are fetched only for make clients")
	}
}

// patient skips what takes minutes or hundreds of megabytes, unless it is for make packages.
func patient(t *testing.T, what string) {
	t.Helper()
	wanted(t)
	if os.Getenv("PVE_MCP_PACKAGES") == "" {
		t.Skipf("%s: that takes minutes, and is for make packages", what)
	}
}

// output runs a program in a folder, and fails the test unless it ends well.
func output(t *testing.T, dir, name string, args ...string) (stdout string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// readers fetches the readers from npm, or skips the test, saying why.
func readers(t *testing.T) (bin string) {
	t.Helper()
	wanted(t)
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("1 reader not tried: there is no npm")
	}
	args := []string{"ci", "--no-audit", "--no-fund", "--loglevel=error"}
	if os.Getenv("PVE_MCP_PACKAGES") == "" {
		args = append(args, "--omit=optional") // Claude Code
	}
	if out, err := exec.CommandContext(t.Context(), "npm", args...).CombinedOutput(); err != nil {
		t.Skipf("1 reader not tried: npm ci: %v: %s", err, out)
	}
	bin, err := filepath.Abs("node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// A bundle is packed and unpacked by MCPB's own tool, and started as its manifest says.
func TestBundle(t *testing.T) {
	mcpb := filepath.Join(readers(t), "mcpb")
	dir := t.TempDir()
	binary, ours := filepath.Join(dir, "built"), filepath.Join(dir, "ours.mcpb")
	output(t, "../..", "go", "build", "-ldflags=-X github.com/pve-mcp/pve-mcp/internal/cli.release=1.2.3", "-o", binary, "./cmd/pve-mcp")
	output(t, "../..", "go", "run", "./packaging", "mcpb", "--os", runtime.GOOS, "--version", "1.2.3", "--binary", binary, "--out", ours)
	output(t, dir, mcpb, "unpack", ours, "folder")
	output(t, dir, mcpb, "validate", "folder/manifest.json")
	output(t, dir, mcpb, "pack", "folder", "packed.mcpb")
	output(t, dir, mcpb, "unpack", "packed.mcpb", "again")
	start(t, filepath.Join(dir, "folder"))
	start(t, filepath.Join(dir, "again"))
}

// manifest is what a host needs of a bundle's manifest to start its server.
type manifest struct {
	Version string
	Server  struct {
		EntryPoint string `json:"entry_point"`
		Config     struct {
			Command string
			Args    []string
			Env     map[string]string
		} `json:"mcp_config"`
	}
	UserConfig map[string]struct {
		Required, Sensitive bool
		Default             any
	} `json:"user_config"`
}

// start starts the server of a bundle as a host does that knows what its user has to say, and
// no more.
func start(t *testing.T, folder string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{"host": "https://127.0.0.1:1", "token_id": "ops@pve!mcp", "token_secret": "00000000-0000-4000-8000-000000000000"}
	words := []string{"${__dirname}", folder}
	for key, c := range m.UserConfig {
		value, ok := said[key]
		if c.Required != ok || c.Sensitive != (key == "token_secret") {
			t.Errorf("%s: required %v, sensitive %v", key, c.Required, c.Sensitive)
		}
		switch d := c.Default.(type) {
		case bool:
			value = map[bool]string{true: "true", false: "false"}[d]
		case string:
			value = d
		}
		words = append(words, "${user_config."+key+"}", value)
	}
	resolve := strings.NewReplacer(words...).Replace
	cmd := exec.CommandContext(t.Context(), resolve(m.Server.Config.Command), m.Server.Config.Args...)
	if want := filepath.Join(folder, m.Server.EntryPoint); cmd.Path != want {
		t.Errorf("it starts %s, and the entry point is %s", cmd.Path, want)
	}
	cmd.Dir, cmd.Env = t.TempDir(), []string{"HOME=" + t.TempDir()}
	for key, value := range m.Server.Config.Env {
		cmd.Env = append(cmd.Env, key+"="+resolve(value))
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "host", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got := session.InitializeResult().ServerInfo.Version; got != "1.2.3" || m.Version != got {
		t.Errorf("the server has the version %s, its bundle %s", got, m.Version)
	}
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, tool := range list.Tools {
		got = append(got, tool.Name)
	}
	tools, _ := toolset.Offered(toolset.Selection{Policy: policy.Policy{ReadOnly: true}})
	for _, tool := range tools {
		want = append(want, tool.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
		t.Errorf("tools (-read-only +got):\n%s", diff)
	}
}

// Claude Code accepts the plugin, and the marketplace that has it. It hears nothing of the
// network meanwhile.
func TestPlugin(t *testing.T) {
	patient(t, "1 plugin not read by Claude Code")
	claude := filepath.Join(readers(t), "claude")
	if _, err := os.Stat(claude); err != nil { // it is optional for npm
		t.Skipf("1 plugin not read by Claude Code: npm has not installed it, for which it wants Node.js 22: %v", err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("1 plugin not checked: Claude Code cannot be kept from the network: %v: %s", err, out)
	}
	for _, dir := range []string{root, filepath.Join(root, "packaging/claude-code")} {
		cmd := exec.CommandContext(t.Context(), "unshare", "--net", claude, "plugin", "validate", "--json", dir)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", dir, err, out)
		}
	}
}

// registry has the schemas of server.json, and its own validator, which asks the network.
const registry = "github.com/modelcontextprotocol/registry@v1.8.8"

// schema is the schema that a server.json names.
func schema(t *testing.T, server map[string]any) *jsonschema.Resolved {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", registry)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err := errors.Join(err, json.Unmarshal(out, &module)); err != nil {
		t.Skipf("1 server.json not checked: %s cannot be fetched: %v", registry, err)
	}
	name, _ := server["$schema"].(string)
	date := strings.TrimSuffix(strings.TrimPrefix(name, "https://static.modelcontextprotocol.io/schemas/"), "/server.schema.json")
	all, err := filepath.Glob(filepath.Join(module.Dir, "internal/validators/schemas/20*.json"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%v: no schemas in %s", err, registry)
	}
	if newest := slices.Max(all); filepath.Base(newest) != date+".json" {
		t.Errorf("server.json is of %q, and there is %s", date, newest)
	}
	text, err := os.ReadFile(slices.Max(all))
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// checkServer holds a server.json to its schema.
func checkServer(t *testing.T, file string) (server map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &server); err != nil {
		t.Fatal(err)
	}
	resolved := schema(t, server)
	if err := resolved.Validate(server); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	description := server["description"]
	server["description"] = strings.Repeat("x", 101)
	if resolved.Validate(server) == nil {
		t.Error("the schema accepts what is too long")
	}
	server["description"] = description
	return server
}

func TestServer(t *testing.T) {
	wanted(t)
	checkServer(t, "../../server.json")
}
