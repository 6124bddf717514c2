package schemas

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

// image is what deploy/Containerfile makes.
type image struct {
	bases      []string // of the first stage, and of its own
	user       string
	env        map[string]string
	labels     map[string]string
	copied     map[string]string // where a file of the first stage goes
	ports      []string
	health     []string
	entrypoint []string
	cmd        []string
	runs       []string // of the first stage
}

// parseImage reads what is made for a target, which is the server without one.
func parseImage(t *testing.T, target string) image {
	t.Helper()
	ast, err := parser.Parse(bytes.NewReader(read(t, "deploy/Containerfile")))
	if err != nil {
		t.Fatal(err)
	}
	if len(ast.Warnings) > 0 {
		t.Errorf("%v", ast.Warnings)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) { t.Errorf("%s: %s %v", rule, message, at) }})
	stages, _, err := instructions.Parse(ast.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	i := image{env: map[string]string{}, labels: map[string]string{}, copied: map[string]string{}}
	for _, c := range stages[0].Commands {
		if run, ok := c.(*instructions.RunCommand); ok {
			i.runs = append(i.runs, strings.Join(run.CmdLine, " "))
		}
	}
	at := len(stages) - 1
	if target != "" {
		at = slices.IndexFunc(stages, func(s instructions.Stage) bool { return s.Name == target })
	}
	var own []instructions.Stage // and what it is made from, which comes first
	for at > 0 {
		own = append([]instructions.Stage{stages[at]}, own...)
		at = slices.IndexFunc(stages, func(s instructions.Stage) bool { return s.Name == own[0].BaseName })
	}
	if len(own) == 0 {
		t.Fatalf("there is no target %q", target)
	}
	i.bases = []string{stages[0].BaseName, own[0].BaseName}
	for _, s := range own {
		i.run(t, s.Commands)
	}
	return i
}

// run does what the commands of a stage say.
func (i *image) run(t *testing.T, commands []instructions.Command) {
	t.Helper()
	for _, c := range commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			i.user = c.User
		case *instructions.EnvCommand:
			for _, kv := range c.Env {
				i.env[kv.Key] = kv.Value
			}
		case *instructions.LabelCommand:
			for _, kv := range c.Labels {
				i.labels[kv.Key] = strings.Trim(kv.Value, `"`)
			}
		case *instructions.CopyCommand:
			i.copied[c.SourcePaths[0]] = c.DestPath
		case *instructions.ExposeCommand:
			i.ports = append(i.ports, c.Ports...)
		case *instructions.HealthCheckCommand:
			i.health = c.Health.Test
		case *instructions.EntrypointCommand:
			i.entrypoint = c.CmdLine
		case *instructions.CmdCommand:
			i.cmd = c.CmdLine
		case *instructions.ArgCommand:
		default:
			t.Errorf("the image has %s", c.Name())
		}
	}
}

// base checks what both images have in common, and returns the path of the program.
func (i *image) base(t *testing.T) (program string) {
	t.Helper()
	_, version, _ := strings.Cut(string(read(t, "go.mod")), "\ngo ")
	version, _, _ = strings.Cut(version, ".0\n")
	if diff := cmp.Diff([]string{"golang:" + version, "scratch"}, i.bases); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if i.user != "65532:65532" {
		t.Errorf("it runs as %q", i.user)
	}
	program = i.copied["/src/bin/pve-mcp"]
	if !slices.Contains(i.runs, "GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION=$VERSION") || !bytes.Contains(read(t, "Makefile"), []byte(" -o bin/pve-mcp ")) || program == "" {
		t.Errorf("the program is not what make build makes: %v %v", i.runs, i.copied)
	}
	return program
}

func TestImage(t *testing.T) {
	i := parseImage(t, "")
	program := i.base(t)
	want := [][]string{{"CMD", program, "health"}, {program}, {"http"}}
	if diff := cmp.Diff(want, [][]string{i.health, i.entrypoint, i.cmd}); diff != "" {
		t.Errorf("what is run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"io.modelcontextprotocol.server.name":  "$SERVER_NAME",
		"org.opencontainers.image.title":       "pve-mcp",
		"org.opencontainers.image.description": "MCP server for Proxmox VE",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}, i.labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	var environ []string
	for k, v := range i.env {
		environ = append(environ, k+"="+v)
	}
	cfg, err := config.Load(config.Sources{Environ: environ, NoCluster: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprint(port(t, cfg.HTTP.Listen))}, i.ports); diff != "" {
		t.Errorf("ports (-listen +expose):\n%s", diff)
	}
	if !cfg.HTTP.Tokens.IsZero() || cfg.HTTP.Issuer != "" {
		t.Error("the image says who may call")
	}
}

// The image of the simulated cluster serves at the port that it exposes and that its health
// check asks, and nobody has to say so.
func TestSimulatorsImage(t *testing.T) {
	i := parseImage(t, "sim")
	program := i.base(t)
	want := [][]string{{"CMD", program, "sim", "health"}, {program, "sim", "--listen", "0.0.0.0:8006", "--expose"}, nil, {"8006"}}
	if diff := cmp.Diff(want, [][]string{i.health, i.entrypoint, i.cmd, i.ports}); diff != "" {
		t.Errorf("what is run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"org.opencontainers.image.title":       "pvesim",
		"org.opencontainers.image.description": "Simulated Proxmox VE cluster, for tests",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}, i.labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if len(i.env) > 0 {
		t.Errorf("it has settings: %v", i.env)
	}
}
