// Package tool declares tools and runs their calls. A tool is declared once: one that reads
// as a [Spec], one that changes something as a Spec of package change. Its schemas,
// annotations, command line, docs and privileges derive from the declaration.
//
// A call gets arguments that were checked against the schema and a view of the cluster, and
// returns a plain value. [Tool.Call] promises an answer for every input. Arguments that are
// not understood do nothing, and are refused in a sentence that names the argument. An error
// says what to do next. An answer that would be too long is cut, and says so. A bug costs one
// call.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Tool is a declared tool.
type Tool struct {
	Name  string
	Title string
	Doc   string // for the model: at most three sentences
	// Examples are calls of the tool.
	Examples []Example
	// Toolset is the set that the tool belongs to, once the registry has it.
	Toolset string
	// Risk is the worst that the tool is known for; that of a call may be less.
	Risk policy.Risk
	// Idempotent says that a repeated call changes nothing more.
	Idempotent bool
	Needs      []Need
	// Long says that an answer is long by nature: a list, a log, or the output of a program.
	Long bool
	// Chart names the tool that draws what this one answers, of the same arguments; "" if none
	// does.
	Chart string
	// Attaches says that an answer may have content beside its JSON.
	Attaches bool
	// Input and Output are the schemas of arguments and answer, inferred when they are
	// first asked for.
	Input, Output func() *jsonschema.Schema
	// Runner carries out the calls.
	Runner Runner
}

// Runner carries out the calls of a tool: those of a [Spec], or those of a change.
type Runner interface {
	// Risk returns the risk of a call by its arguments.
	Risk(t Tool, arguments json.RawMessage) policy.Risk
	// Run answers a call.
	Run(ctx context.Context, t Tool, h Host, req Request) Result
	// Crash answers a call that has met a bug in this program, about which message is.
	Crash(message string) Result
}

// New completes the declaration of a tool with the schemas of its input and answer, and with
// what carries out its calls.
func New[In, Out any](t Tool, r Runner) Tool {
	t.Input, t.Output, t.Runner = lazily[In](inputSchema), lazily[Out](infer), r
	_, t.Attaches = attachmentsOf(new(Out))
	return t
}

// RiskOf returns the risk of a call by its arguments. What the call finds out may raise it.
// Arguments that are not understood do nothing, and have the least risk of the tool.
func (t Tool) RiskOf(arguments json.RawMessage) policy.Risk { return t.Runner.Risk(t, arguments) }

// Call runs the tool. It returns for every input, valid or not.
func (t Tool) Call(ctx context.Context, h Host, req Request) Result {
	h = h.WithDefaults()
	req, end := startHeartbeat(req)
	defer end()
	return t.Answer(proxmox.ReadOnce(ctx), h, func(ctx context.Context) Result { return t.Runner.Run(ctx, t, h, req) })
}

// Answer returns what call answers, within a trace of the host. It answers for a call that
// meets a bug, too.
func (t Tool) Answer(ctx context.Context, h Host, call func(context.Context) Result) (res Result) {
	if h.Trace != nil {
		var end func(Result)
		ctx, end = h.Trace(ctx, t)
		defer func() { end(res) }()
	}
	defer func() {
		if p := recover(); p != nil {
			h.Logger.ErrorContext(ctx, "panic", "tool", t.Name, "cause", p, "stack", string(debug.Stack()))
			res = t.Runner.Crash(fmt.Sprintf("%s failed because of a bug in pve-mcp: %v.", t.Name, p))
		}
	}()
	return call(ctx)
}

// ReadArguments reads the arguments of a request into in, a pointer to the tool's input. A
// guest's name becomes its id. Arguments that the client has added are taken out of the
// request.
func (t Tool) ReadArguments(ctx context.Context, h Host, req *Request, in any) error {
	r, err := decode(t.Input(), req.Arguments, in, func(name string) (pve.VMID, error) {
		client, err := h.Client(ctx)
		if err != nil {
			return 0, err
		}
		return cluster.FindGuestNamed(ctx, client, name)
	})
	req.Arguments = r.kept
	h.Ignored.log(ctx, h.Logger, t.Name, r.added)
	return err
}

// DecodeArguments is [Tool.ReadArguments] without a cluster: the name of a guest is taken for
// that of any guest.
func (t Tool) DecodeArguments(arguments json.RawMessage, in any) error {
	_, err := decode(t.Input(), arguments, in, func(string) (pve.VMID, error) { return 0, nil })
	return err
}
