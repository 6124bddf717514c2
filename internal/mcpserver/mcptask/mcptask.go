// Package mcptask is the server's side of MCP's extension for tasks
// (io.modelcontextprotocol/tasks, of 2026-07-28), which the SDK does not have: its three
// methods, and how a call is answered with a task. What a task is, and where it is kept,
// is for the [Store] to know.
package mcptask

import (
	"context"
	"encoding/json"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Extension names the extension among the capabilities.
const Extension = "io.modelcontextprotocol/tasks"

// since is the version of the protocol that the extension belongs to. Clients of the
// versions before it may mean an older kind of task.
const since = "2026-07-28"

// The methods of the extension. A request names its task as TaskID in the parameters.
const (
	MethodGet    = "tasks/get"
	MethodUpdate = "tasks/update"
	MethodCancel = "tasks/cancel"
)

// Status is the state of a task.
type Status string

// The states of a task; the last three are its end.
const (
	Working       Status = "working"
	InputRequired Status = "input_required"
	Completed     Status = "completed" // it has a result, which may be that of a failure
	Failed        Status = "failed"    // it has an error of the protocol
	Cancelled     Status = "cancelled"
)

// Task is a task as a client sees it.
type Task struct {
	ID      string `json:"taskId"`
	Status  Status `json:"status"`
	Message string `json:"statusMessage,omitzero"`
	// Created and Updated are written to the millisecond.
	Created time.Time `json:"createdAt"`
	Updated time.Time `json:"lastUpdatedAt"`
	// Lives is how long after its creation the task can be asked for, in ms.
	Lives int64 `json:"ttlMs"`
	// Pause is how long a client is to wait before it asks again, in ms.
	Pause int64 `json:"pollIntervalMs,omitzero"`

	// InputRequests are what an InputRequired task asks of the client, by keys of its own.
	InputRequests map[string]any `json:"inputRequests,omitzero"`
	// Result is that of a Completed task, and Error that of a Failed one.
	Result *mcp.CallToolResult `json:"result,omitzero"`
	Error  *jsonrpc.Error      `json:"error,omitzero"`
}

// Store knows the tasks. Each function gets the request, which says who calls. One that
// does not know the task, of this caller, returns [Unknown].
type Store struct {
	Get func(ctx context.Context, req mcp.Request, id string) (Task, error)
	// Update hears the answers of the client to the requests of a task, some or all of
	// them.
	Update func(ctx context.Context, req mcp.Request, id string, answers map[string]json.RawMessage) error
	// Cancel asks for the end of a task. It is no error if the task has ended.
	Cancel func(ctx context.Context, req mcp.Request, id string) error
}

// Unknown is the error about a task that is not there, with the reason for a reader.
func Unknown(reason string) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "unknown task: " + reason}
}

// Missing is the error about a client that did not declare the extension.
func Missing() error {
	return &jsonrpc.Error{
		Code: mcp.CodeMissingRequiredClientCapabilities, Message: "the client did not declare the extension " + Extension,
		Data: json.RawMessage(`{"requiredCapabilities":{"extensions":{"` + Extension + `":{}}}}`),
	}
}

// Declared reports whether a request comes from a client that takes a task for an answer.
func Declared(req mcp.Request) bool {
	r, ok := req.(interface {
		ClientCapabilities() *mcp.ClientCapabilities
		ProtocolVersion() string
	})
	if !ok || r.ProtocolVersion() < since {
		return false
	}
	c := r.ClientCapabilities()
	if c == nil {
		return false
	}
	_, declared := c.Extensions[Extension]
	return declared
}

// Serve lets a server answer for tasks. Its capabilities must have the [Extension].
func Serve(s *mcp.Server, store Store) {
	s.AddReceivingMiddleware(deliver)
	get := func(ctx context.Context, req mcp.Request, p *params) (mcp.Result, error) {
		task, err := store.Get(ctx, req, p.TaskID)
		return &answer{Type: complete, Task: &task}, err
	}
	update := func(ctx context.Context, req mcp.Request, p *params) (mcp.Result, error) {
		return &answer{Type: complete}, store.Update(ctx, req, p.TaskID, p.Answers)
	}
	cancel := func(ctx context.Context, req mcp.Request, p *params) (mcp.Result, error) {
		return &answer{Type: complete}, store.Cancel(ctx, req, p.TaskID)
	}
	for name, m := range map[string]method{MethodGet: get, MethodUpdate: update, MethodCancel: cancel} {
		if err := mcp.AddReceivingCustomMethod(s, name, m.serve); err != nil {
			panic(err) // the SDK has these methods by now
		}
	}
}

// params are those of all three methods. The answers to a task's requests are read when
// it is known what was asked.
type params struct {
	mcp.ParamsBase
	TaskID  string                     `json:"taskId"`
	Answers map[string]json.RawMessage `json:"inputResponses"`
}

// The types of a result.
const (
	complete = "complete"
	created  = "task"
)

// answer is a result: of a task if there is one, and otherwise an acknowledgement.
type answer struct {
	mcp.ResultBase
	Type string `json:"resultType"`
	*Task
}

// MarshalJSON keeps the times of a task at milliseconds.
func (a *answer) MarshalJSON() ([]byte, error) {
	type plain answer
	out := plain(*a)
	if a.Task != nil {
		task := *a.Task
		task.Created, task.Updated = task.Created.UTC().Truncate(time.Millisecond), task.Updated.UTC().Truncate(time.Millisecond)
		out.Task = &task
	}
	return json.Marshal(out)
}

// method is one of the three, which the SDK would tell nothing of the request.
type method func(ctx context.Context, req mcp.Request, p *params) (mcp.Result, error)

func (m method) serve(ctx context.Context, _ *mcp.ServerSession, p *params) (mcp.Result, error) {
	req, ok := ctx.Value(requestKey{}).(mcp.Request)
	if !ok || !Declared(req) {
		return nil, Missing()
	}
	if p.TaskID == "" {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "taskId is missing"}
	}
	res, err := m(ctx, req, p)
	if err != nil {
		return nil, err
	}
	return res, nil
}

// requestKey is the key of the request in the context of a method.
type requestKey struct{}

// Created is the answer to a call that goes on as a task, for a tool's handler to return.
func Created(t Task) *mcp.CallToolResult {
	return &mcp.CallToolResult{Meta: mcp.Meta{Extension: t}}
}

// IsCreated reports whether an answer, as it leaves the server, is that of a call that goes
// on as a task.
func IsCreated(res mcp.Result) bool {
	a, ok := res.(*answer)
	return ok && a.Type == created
}

// deliver tells the methods of the request, and gives the answer of a call that goes on
// as a task its form.
func deliver(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, name string, req mcp.Request) (mcp.Result, error) {
		switch name {
		case MethodGet, MethodUpdate, MethodCancel:
			ctx = context.WithValue(ctx, requestKey{}, req)
		}
		res, err := next(ctx, name, req)
		if call, ok := res.(*mcp.CallToolResult); ok && err == nil && call != nil {
			if task, ok := call.Meta[Extension].(Task); ok {
				return &answer{Type: created, Task: &task}, nil
			}
		}
		return res, err
	}
}
