package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/evals"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// attempt is an agent at a task.
type attempt struct {
	options
	evals.Task
	dir string // its own
}

// do lets the agent do the task on a cluster of its own, and checks what came of it.
func (a attempt) do(ctx context.Context) (verdict, error) {
	start := a.Spec.Setup[0].Start
	m, err := start.Model()
	if err != nil {
		return verdict{}, err
	}
	sim, err := pvesim.NewSim(m, pvesim.Options{Clock: pvesim.Scaled(a.speed)})
	if err != nil {
		return verdict{}, err
	}
	defer sim.Close()
	node, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		return verdict{}, err
	}
	defer func() { _ = node.Close() }()
	record, config := filepath.Join(a.dir, "record.jsonl"), filepath.Join(a.dir, "mcp.json")
	files := filepath.Join(a.dir, "files")
	if err := os.MkdirAll(files, 0o700); err != nil {
		return verdict{}, err
	}
	environ := map[string]string{
		"PVE_HOST": node.URL(), "PVE_FINGERPRINT": node.Fingerprint(), "PVE_TOKEN_ID": evals.AgentToken,
		"PVE_TOKEN_SECRET": m.Token(evals.AgentToken).Secret, "PVE_MCP_FILES": files,
	}
	maps.Copy(environ, start.Environ())
	if err := a.configure(config, record, environ); err != nil {
		return verdict{}, err
	}
	answer, failed := a.ask(ctx, config)
	v, err := measure(record)
	if err != nil {
		return verdict{}, err
	}
	settle(ctx, sim)
	v.wrong = a.Verify(ctx, evals.Result{Sim: sim, Model: m, Answer: answer})
	if failed != nil {
		v.wrong = append(v.wrong, failed.Error())
	}
	v.within = v.calls <= a.Spec.Bounds.Calls && v.bytes <= a.Spec.Bounds.Bytes
	return v, nil
}

// configure writes the file that most clients read, with a server that is recorded.
func (a attempt) configure(file, record string, environ map[string]string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	type server struct {
		Command string            `json:"command"`
		Args    []string          `json:"args"`
		Env     map[string]string `json:"env"`
	}
	text, err := json.MarshalIndent(map[string]any{"mcpServers": map[string]server{
		"pve": {Command: self, Args: []string{"tee", record, a.server}, Env: environ},
	}}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// ask runs the agent, and returns what it says to the user.
func (a attempt) ask(ctx context.Context, config string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", a.agent)
	cmd.Dir, cmd.Stdin = a.dir, strings.NewReader(a.Spec.Prompt.Inline)
	cmd.Env = append(os.Environ(), "EVAL_MCP_CONFIG="+config, "EVAL_PROMPT="+a.Spec.Prompt.Inline, "EVAL_TASK="+a.Metadata.Name)
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("the agent: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// settle waits until what the agent has begun ends, for a minute at most.
func settle(ctx context.Context, sim *pvesim.Sim) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		if _, busy := sim.Model(); busy == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// message is what is measured of a message of MCP.
type message struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Name      string
		Arguments json.RawMessage
	}
	Result *struct {
		Content []struct{ Text, Data string }
	}
}

// measure counts the calls of tools in a record, and the bytes of their arguments and answers.
func measure(record string) (v verdict, err error) {
	data, err := os.ReadFile(record)
	if errors.Is(err, os.ErrNotExist) {
		return v, nil // the agent has not even started the server
	}
	if err != nil {
		return v, err
	}
	called := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		var m message
		if json.Unmarshal([]byte(line), &m) != nil {
			continue // a batch, or no message at all
		}
		if m.Method == "tools/call" {
			called[string(m.ID)] = true
			v.calls++
			v.bytes += len(m.Params.Name) + len(m.Params.Arguments)
		}
		if m.Result == nil || m.Method != "" || !called[string(m.ID)] {
			continue
		}
		for _, c := range m.Result.Content {
			v.bytes += len(c.Text) + len(c.Data)*3/4 // base64
		}
	}
	return v, nil
}
