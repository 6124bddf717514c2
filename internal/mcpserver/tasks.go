package mcpserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

const (
	// A client is to ask for a task after the first pause, and later, when the task has
	// been running for as long as a short one takes, less often.
	firstPause, laterPause = 2 * time.Second, 5 * time.Second
	shortTask              = time.Minute
)

// taskOf is the task of a change that goes on.
func taskOf(b *change.Handle, message string) mcptask.Task {
	begun, now, pause := b.Start(), b.Now(), firstPause
	if now.Sub(begun) > shortTask {
		pause = laterPause
	}
	return mcptask.Task{
		ID: b.Text, Status: mcptask.Working, Message: message, Created: begun, Updated: now,
		Lives: tool.HandleTime.Milliseconds(), Pause: pause.Milliseconds(),
	}
}

// tasks are the changes that go on: the id of a task is the handle of its change, so that
// there is nothing to keep.
func tasks(o Options) mcptask.Store {
	return mcptask.Store{
		Get: func(ctx context.Context, req mcp.Request, id string) (mcptask.Task, error) {
			b, err := o.open(ctx, req, id)
			if err != nil {
				return mcptask.Task{}, err
			}
			return look(ctx, b), nil
		},
		// No task of ours asks anything: consent is settled before there is a task.
		Update: func(ctx context.Context, req mcp.Request, id string, _ map[string]json.RawMessage) error {
			_, err := o.open(ctx, req, id)
			return err
		},
		Cancel: func(ctx context.Context, req mcp.Request, id string) error {
			b, err := o.open(ctx, req, id)
			if err != nil {
				return err
			}
			return o.stop(ctx, req, b)
		},
	}
}

// open returns the change that a task represents.
func (o Options) open(ctx context.Context, req mcp.Request, id string) (*change.Handle, error) {
	h, err := o.host(req)
	if err != nil {
		return nil, err
	}
	b, err := change.Open(ctx, h, tool.Request{Owner: owner(req)}, id)
	if err != nil {
		return nil, mcptask.Unknown(err.Error())
	}
	return b, nil
}

// look says how far a change is.
func look(ctx context.Context, b *change.Handle) mcptask.Task {
	res := b.Result(ctx, 0)
	task := taskOf(b, message(res))
	if res.Handle != "" {
		return task
	}
	task.Pause, task.Status = 0, mcptask.Completed
	if res.Interrupted {
		task.Status = mcptask.Cancelled
		return task
	}
	task.Result = answer(res)
	return task
}

// stop stops the task that runs for a change, by the tool that does that.
func (o Options) stop(ctx context.Context, req mcp.Request, b *change.Handle) error {
	h, err := o.host(req)
	if err != nil {
		return err
	}
	if err := b.BeginNoMore(ctx); err != nil {
		return err
	}
	args, err := json.Marshal(map[string]any{"upid": b.CurrentTask(ctx), "wait": 0})
	if err != nil {
		return err
	}
	stop, _ := toolset.Named("pve_stop_task")
	res := stop.Call(ctx, h, tool.Request{Arguments: args, Caller: caller(req), Owner: owner(req), Refuse: refuse(req)})
	if res.IsError {
		return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: message(res)}
	}
	return nil
}

// message is what a change says to a reader.
func message(res tool.Result) string {
	var said change.Answer
	if json.Unmarshal(res.Structured, &said) != nil || said.Message == "" {
		return res.Text
	}
	return said.Message
}
