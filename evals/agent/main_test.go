package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pve-mcp/pve-mcp/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"evals-run":  main,
		"pve-mcp":    func() { os.Exit(cli.Main()) },
		"fake-agent": func() { os.Exit(fakeAgent(os.Args[1:])) },
	})
}

// An agent that does what was asked passes, and others do not, each with the reason.
func TestAgents(t *testing.T) {
	tasks, err := filepath.Abs("../tasks")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error { e.Setenv("TASKS", tasks); return nil },
	})
}

// fakeAgent makes the calls that its arguments name, two for each, and says what the last one
// answered.
func fakeAgent(args []string) int {
	answer, err := converse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(answer)
	return 0
}

func converse(args []string) (answer string, err error) {
	data, err := os.ReadFile(os.Getenv("EVAL_MCP_CONFIG"))
	if err != nil {
		return "", err
	}
	var config struct {
		Servers map[string]struct {
			Command string
			Args    []string
			Env     map[string]string
		} `json:"mcpServers"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", err
	}
	server := config.Servers["pve"]
	cmd := exec.Command(server.Command, server.Args...)
	cmd.Stderr, cmd.Env = os.Stderr, os.Environ()
	for key, value := range server.Env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	ctx := context.Background()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "fake", Version: "1"}, nil).Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		return "", err
	}
	for i := 0; i+1 < len(args); i += 2 {
		res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: args[i], Arguments: json.RawMessage(args[i+1])})
		if err != nil {
			return "", err
		}
		answer = res.Content[0].(*mcp.TextContent).Text
	}
	return answer, session.Close()
}
