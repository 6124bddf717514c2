package tool

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Spec declares a tool that only reads.
type Spec[In, Out any] struct {
	Name     string
	Title    string
	Doc      string
	Long     bool   // as of [Tool]
	Chart    string // as of [Tool]
	Examples []Example
	Needs    []Need
	Run      func(ctx context.Context, c *Call, in In) (Out, error)
}

// Read makes the tool of a spec.
func Read[In, Out any](s Spec[In, Out]) Tool {
	return New[In, Out](Tool{
		Name: s.Name, Title: s.Title, Doc: s.Doc, Long: s.Long, Chart: s.Chart, Examples: s.Examples, Needs: s.Needs, Risk: policy.Read, Idempotent: true,
	}, reader{
		input: func() any { return new(In) },
		run: func(ctx context.Context, c *Call, in any) (any, error) {
			out, err := s.Run(ctx, c, *in.(*In))
			return &out, err
		},
	})
}

// reader runs the calls of a [Spec]. It has no types of that, so that it is compiled once and
// not for each tool: input and answer are pointers.
type reader struct {
	input func() any
	run   func(ctx context.Context, c *Call, in any) (any, error)
}

// Risk implements [Runner].
func (reader) Risk(Tool, json.RawMessage) policy.Risk { return policy.Read }

// Crash implements [Runner].
func (reader) Crash(message string) Result { return Result{IsError: true, Text: message} }

// Run implements [Runner].
func (r reader) Run(ctx context.Context, t Tool, h Host, req Request) Result {
	fail := func(err error) Result {
		return Result{IsError: true, Text: h.Explain.Explain(err).String(), Fault: FaultOf(err)}
	}
	if reason := req.Refusal(h.Policy, policy.Read); reason != "" {
		return fail(&policy.RefusedError{Reason: reason})
	}
	in := r.input()
	if err := t.ReadArguments(ctx, h, &req, in); err != nil {
		return fail(err)
	}
	c, err := NewCall(ctx, h, req)
	if err != nil {
		return fail(err)
	}
	out, err := r.run(ctx, c, in)
	if err != nil {
		return Result{IsError: true, Text: c.ExplainRefusal(ctx, 0, err).String(), Fault: FaultOf(err)}
	}
	fillLists(reflect.ValueOf(out).Elem())
	return resultWith(out, bounded(out, h.AnswerBytes))
}
