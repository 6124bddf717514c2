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
	bases      []string // of the stages
	user       string
	env        map[string]string
	labels     map[string]string
	copied     map[string]string // where a file of the stage before it goes
	ports      []string
	health     []string
	entrypoint []string
	cmd        []string
	runs       []string // of the first stage
}

func parseImage(t *testing.T) image {
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
	for _, s := range stages {
		i.bases = append(i.bases, s.BaseName)
	}
	for _, c := range stages[0].Commands {
		if run, ok := c.(*instructions.RunCommand); ok {
			i.runs = append(i.runs, strings.Join(run.CmdLine, " "))
		}
	}
	for _, c := range stages[len(stages)-1].Commands {
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
	return i
}

func TestImage(t *testing.T) {
	i := parseImage(t)
	_, version, _ := strings.Cut(string(read(t, "go.mod")), "\ngo ")
	version, _, _ = strings.Cut(version, ".0\n")
	if diff := cmp.Diff([]string{"golang:" + version, "scratch"}, i.bases); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if i.user != "65532:65532" {
		t.Errorf("it runs as %q", i.user)
	}
	program := i.copied["/src/bin/pve-mcp"]
	if !slices.Contains(i.runs, "GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION=$VERSION") || !bytes.Contains(read(t, "Makefile"), []byte(" -o bin/pve-mcp ")) || program == "" {
		t.Errorf("the program is not what make build makes: %v %v", i.runs, i.copied)
	}
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
