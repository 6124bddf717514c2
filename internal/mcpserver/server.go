// Package mcpserver makes an MCP server of the tools. Everything that is MCP's stays
// here: the tools know nothing of it.
package mcpserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// Options configure a server.
type Options struct {
	Version string
	Host    tool.Host
	// HostOf, if not nil, returns the host for a request over HTTP by its header.
	HostOf func(http.Header) (tool.Host, error)
	// Selection are the tools to offer, as far as the host's policy allows.
	Selection toolset.Selection
	// LocalPages says that the human sits at this machine, so that secrets can be typed on a
	// page that it serves to itself.
	LocalPages bool
	// Replica, if not "", is the name with which the ids of sessions begin, before a full stop.
	Replica string
	Logger  *slog.Logger
}

// sessionID makes an id that nobody can guess.
func (o Options) sessionID() string {
	if o.Replica == "" {
		return rand.Text()
	}
	return o.Replica + "." + rand.Text()
}

// New returns a server that offers what the host's policy allows. It serves both
// eras of the protocol.
func New(o Options) *mcp.Server {
	o.Selection.Policy = o.Host.Policy
	capabilities := &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}
	capabilities.AddExtension(mcptask.Extension, nil)
	s := mcp.NewServer(&mcp.Implementation{Name: "pve-mcp", Title: "Proxmox VE", Version: o.Version}, &mcp.ServerOptions{
		Instructions: toolset.Instructions(o.Selection),
		Logger:       o.Logger,
		GetSessionID: o.sessionID,
		Capabilities: capabilities,
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
			c.TTLMs, c.CacheScope = int((5 * time.Minute).Milliseconds()), "private"
		},
	})
	offered := sync.OnceValues(func() ([]tool.Tool, map[string]string) {
		return toolset.Offered(o.Selection)
	})
	o.Host.Off = func(name string) string {
		_, off := offered()
		return off[name]
	}
	list := sync.OnceValue(func() []*mcp.Tool {
		on, _ := offered()
		return describeAll(on, cmp.Or(o.Host.AnswerBytes, tool.AnswerBytes))
	})
	pages := &secretPages{}
	mcptask.Serve(s, tasks(o))
	s.AddSendingMiddleware(asking)
	s.AddReceivingMiddleware(recoverPanics(o.Logger), addCalled(s, func() []tool.Tool {
		on, _ := offered()
		return on
	}, func(t tool.Tool) mcp.ToolHandler { return handler(t, o, pages) }), hideForbiddenTools, listing(list), explainOff(func(tool string) string {
		_, off := offered()
		return off[tool]
	}))
	return s
}

// addCalled adds a tool when a client first calls it. The SDK reads the schema of each tool
// that is added, which for all of them takes longer than to list them.
func addCalled(s *mcp.Server, offered func() []tool.Tool, handle func(tool.Tool) mcp.ToolHandler) mcp.Middleware {
	var mu sync.Mutex
	added := map[string]bool{}
	add := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if added[name] {
			return
		}
		tools := offered()
		i := slices.IndexFunc(tools, func(t tool.Tool) bool { return t.Name == name })
		if i < 0 {
			return
		}
		s.AddTool(&mcp.Tool{Name: name, InputSchema: &jsonschema.Schema{Type: "object"}}, handle(tools[i]))
		added[name] = true
	}
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if call, ok := req.(*mcp.CallToolRequest); ok {
				add(call.Params.Name)
			}
			return next(ctx, method, req)
		}
	}
}

// listing lists the tools, of which the SDK knows those that were called. There is one page
// of them.
func listing(tools func() []*mcp.Tool) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			res, err := next(ctx, method, req)
			list, ok := res.(*mcp.ListToolsResult)
			if err != nil || !ok {
				return res, err
			}
			own := *list
			own.Tools = slices.Clone(tools())
			return &own, nil
		}
	}
}

// List returns the tools of a selection, as MCP lists them.
func List(s toolset.Selection) []*mcp.Tool {
	on, _ := toolset.Offered(s)
	return describeAll(on, tool.AnswerBytes)
}

func describeAll(tools []tool.Tool, answerBytes int) []*mcp.Tool {
	list := []*mcp.Tool{}
	for _, t := range tools {
		list = append(list, describe(t, answerBytes))
	}
	return list
}

// describe is a tool as a server lists it whose answers have at most so many bytes.
func describe(t tool.Tool, answerBytes int) *mcp.Tool {
	out := &mcp.Tool{Name: t.Name, Title: t.Title, Description: t.Doc, Meta: hints(t, answerBytes)}
	if s, ok := schemasOf()[t.Name]; ok {
		out.InputSchema = s.Input
		if s.Output != nil {
			out.OutputSchema = s.Output
		}
	} else { // of no toolset of the registry
		out.InputSchema = t.Input()
		if !t.Attaches {
			out.OutputSchema = t.Output()
		}
	}
	destructive, open := t.Risk >= policy.Destructive, t.Risk == policy.Exec // a command may do anything
	out.Annotations = &mcp.ToolAnnotations{
		Title: t.Title, ReadOnlyHint: t.Risk == policy.Read, IdempotentHint: t.Idempotent,
		DestructiveHint: &destructive, OpenWorldHint: &open,
	}
	return out
}

// Hints that some hosts read beside the annotations.
const (
	// asksEachTime lets no "always allow" of a human cover a call.
	asksEachTime = "anthropic/requiresUserInteraction"
	// longAnswer is how many characters of an answer the model gets; the host keeps the
	// rest from it.
	longAnswer = "anthropic/maxResultSizeChars"
	mostLong   = 500_000 // what hosts allow
)

func hints(t tool.Tool, answerBytes int) mcp.Meta {
	meta := mcp.Meta{}
	if t.Risk == policy.Destructive {
		meta[asksEachTime] = true
	}
	if t.Long {
		meta[longAnswer] = min(answerBytes, mostLong)
	}
	if len(meta) == 0 {
		return nil
	}
	return meta
}

func handler(t tool.Tool, o Options, pages *secretPages) mcp.ToolHandler {
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		h, err := o.host(req)
		if err != nil {
			return nil, err
		}
		report, reported := progress(ctx, req)
		call := tool.Request{
			Arguments: req.Params.Arguments, Caller: caller(req), Owner: owner(req), Refuse: refuse(req), Progress: report,
			CanAsk: canAsk(req), Reply: reply(req), State: req.Params.RequestState, Detach: mcptask.Declared(req),
		}
		if o.LocalPages && canOpenPage(req) {
			call.TypedLater, call.TypeSecrets = true, pages.typedFor(req)
		}
		res := t.Call(ctx, h, call)
		reported()
		switch {
		case res.Question != nil:
			return ask(*res.Question, pages)
		case res.Detached:
			// Without a task the answer still says what was begun.
			if b, err := change.Open(ctx, h, call, res.Handle); err == nil {
				return mcptask.Created(taskOf(b, message(res))), nil
			}
		}
		return answer(res), nil
	}
}

// host is the host for a request.
func (o Options) host(req mcp.Request) (tool.Host, error) {
	h, extra := o.Host, req.GetExtra()
	var err error
	if o.HostOf != nil && extra != nil {
		h, err = o.HostOf(extra.Header)
	}
	h.Stays = true
	if err != nil {
		return h, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()}
	}
	return h, nil
}

// answer is the result of a call. One with content beside its JSON has no structured
// content: if there is some, clients give the model nothing else.
func answer(res tool.Result) *mcp.CallToolResult {
	out := &mcp.CallToolResult{IsError: res.IsError, Content: []mcp.Content{&mcp.TextContent{Text: res.Text}}}
	for _, c := range res.Content {
		out.Content = append(out.Content, contentOf(c))
	}
	if res.Structured != nil && len(res.Content) == 0 {
		out.StructuredContent = json.RawMessage(res.Structured)
	}
	return out
}

// contentOf is content as MCP has it.
func contentOf(c tool.Content) mcp.Content {
	switch c := c.(type) {
	case tool.Image:
		return &mcp.ImageContent{MIMEType: c.MIMEType, Data: c.Data}
	case tool.Resource:
		return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: c.URI, MIMEType: c.MIMEType, Text: c.Text, Blob: c.Data}}
	case tool.Link:
		return &mcp.ResourceLink{URI: c.URI, Name: c.Name, Title: c.Title, MIMEType: c.MIMEType}
	}
	panic(fmt.Sprintf("content that is no content of MCP: %T", c))
}

// explainOff answers a call of a tool that is off as one of an unknown tool, with
// the reason for the human who wonders.
func explainOff(why func(tool string) string) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if call, ok := req.(*mcp.CallToolRequest); ok {
				if reason := why(call.Params.Name); reason != "" {
					return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown tool %q: %s", call.Params.Name, reason)}
				}
			}
			return next(ctx, method, req)
		}
	}
}
