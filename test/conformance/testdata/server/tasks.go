package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
)

// job does what a tool is for. It may ask the client, and answers with a text or an error:
// one of the protocol, or one that is the tool's result.
type job func(ctx context.Context, args map[string]any, ask func(...string) map[string]string) (string, error)

// kept is a task in memory.
type kept struct {
	mcptask.Task
	cancel  context.CancelFunc
	answers map[string]string
	changed chan struct{}
}

// shelf keeps tasks, which the product never does: it has PVE for that.
type shelf struct {
	mu    sync.Mutex
	tasks map[string]*kept // guarded by mu
}

func (s *shelf) of(id string) (*kept, error) {
	if k := s.tasks[id]; k != nil {
		return k, nil
	}
	return nil, mcptask.Unknown("there is none with this id")
}

func (s *shelf) store() mcptask.Store {
	return mcptask.Store{
		Get: func(_ context.Context, _ mcp.Request, id string) (mcptask.Task, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			k, err := s.of(id)
			if err != nil {
				return mcptask.Task{}, err
			}
			task := k.Task
			task.InputRequests = maps.Clone(k.InputRequests)
			return task, nil
		},
		Update: func(_ context.Context, _ mcp.Request, id string, answers map[string]json.RawMessage) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			k, err := s.of(id)
			if err != nil {
				return err
			}
			for key, answer := range answers {
				if _, asked := k.InputRequests[key]; asked {
					k.answers[key] = string(answer)
					delete(k.InputRequests, key)
				}
			}
			if k.Status == mcptask.InputRequired && len(k.InputRequests) == 0 {
				k.Status = mcptask.Working
				close(k.changed)
			}
			return nil
		},
		Cancel: func(_ context.Context, _ mcp.Request, id string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			k, err := s.of(id)
			if err == nil {
				k.cancel()
			}
			return err
		},
	}
}

// begin begins a job as a task.
func (s *shelf) begin(do job, args map[string]any) mcptask.Task {
	ctx, cancel := context.WithCancel(context.Background())
	now := time.Now()
	k := &kept{
		Task:   mcptask.Task{ID: rand.Text(), Status: mcptask.Working, Created: now, Updated: now, Lives: time.Hour.Milliseconds(), Pause: 100},
		cancel: cancel, answers: map[string]string{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[k.ID] = k
	go func() {
		text, err := do(ctx, args, func(questions ...string) map[string]string { return s.ask(ctx, k, questions) })
		s.mu.Lock()
		defer s.mu.Unlock()
		k.Updated, k.InputRequests = time.Now(), nil
		var refused *jsonrpc.Error
		switch {
		case ctx.Err() != nil:
			k.Status = mcptask.Cancelled
		case errors.As(err, &refused):
			k.Status, k.Error = mcptask.Failed, refused
		default:
			k.Status, k.Result = mcptask.Completed, result(text, err)
		}
	}()
	return k.Task
}

// ask asks the client, and waits for all its answers.
func (s *shelf) ask(ctx context.Context, k *kept, questions []string) map[string]string {
	s.mu.Lock()
	k.Status, k.InputRequests, k.changed = mcptask.InputRequired, map[string]any{}, make(chan struct{})
	for _, q := range questions {
		k.InputRequests[q] = map[string]any{"method": "elicitation/create", "params": form(q)}
	}
	s.mu.Unlock()
	select {
	case <-k.changed:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(k.answers)
}

func form(question string) *mcp.ElicitParams {
	return &mcp.ElicitParams{Mode: "form", Message: question, RequestedSchema: &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{"name": {Type: "string"}, "confirm": {Type: "boolean"}},
	}}
}

func result(text string, err error) *mcp.CallToolResult {
	if err != nil {
		text = err.Error()
	}
	return &mcp.CallToolResult{IsError: err != nil, Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

// pause lasts some seconds, or until the job is cancelled.
func pause(ctx context.Context, seconds float64) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	}
}

// registerTasks adds the fixtures of the suite's scenarios about tasks.
func registerTasks(s *mcp.Server) {
	tasks := &shelf{tasks: map[string]*kept{}}
	mcptask.Serve(s, tasks.store())
	add := func(name string, required bool, before func(*mcp.CallToolRequest) *mcp.CallToolResult, do job) {
		s.AddTool(&mcp.Tool{Name: name, Description: "A fixture.", InputSchema: &jsonschema.Schema{Type: "object"}}, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			args := map[string]any{}
			if err := json.Unmarshal(req.Params.Arguments, &args); len(req.Params.Arguments) > 0 && err != nil {
				return nil, err
			}
			if before != nil {
				if asked := before(req); asked != nil {
					return asked, nil
				}
				args["answers"] = req.Params.InputResponses
			}
			switch {
			case mcptask.Declared(req):
				return mcptask.Created(tasks.begin(do, args)), nil
			case required:
				return nil, mcptask.Missing()
			}
			return result(do(ctx, args, func(...string) map[string]string { return nil })), nil
		})
	}
	s.AddTool(&mcp.Tool{Name: "greet", Description: "A fixture.", InputSchema: &jsonschema.Schema{Type: "object"}}, func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		var args struct{ Name string }
		err := json.Unmarshal(req.Params.Arguments, &args)
		return result("Hello, "+args.Name+"!", err), nil
	})
	add("slow_compute", false, nil, func(ctx context.Context, args map[string]any, _ func(...string) map[string]string) (string, error) {
		seconds, _ := args["seconds"].(float64)
		pause(ctx, seconds)
		return fmt.Sprintf("computed for %v s", seconds), nil
	})
	add("failing_job", true, nil, func(ctx context.Context, _ map[string]any, _ func(...string) map[string]string) (string, error) {
		pause(ctx, 1)
		return "", errors.New("the job failed")
	})
	add("protocol_error_job", false, nil, func(context.Context, map[string]any, func(...string) map[string]string) (string, error) {
		return "", &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the job broke down"}
	})
	add("confirm_delete", false, nil, func(_ context.Context, _ map[string]any, ask func(...string) map[string]string) (string, error) {
		return fmt.Sprint(ask("confirm")), nil
	})
	add("multi_input", false, nil, func(_ context.Context, _ map[string]any, ask func(...string) map[string]string) (string, error) {
		return fmt.Sprint(ask("first", "second")), nil
	})
	const who = "user_name"
	add("test_tool_with_task", true, func(req *mcp.CallToolRequest) *mcp.CallToolResult {
		if _, ok := req.Params.InputResponses[who].(*mcp.ElicitResult); ok {
			return nil
		}
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{who: form("Who is it?")}}
	}, func(_ context.Context, args map[string]any, _ func(...string) map[string]string) (string, error) {
		answer, _ := args["answers"].(mcp.InputResponseMap)[who].(*mcp.ElicitResult)
		return fmt.Sprintf("done for %v", answer.Content["name"]), nil
	})
}
