// Package change makes tools of what changes a cluster. A change is declared as a [Spec] in
// three parts: Plan looks up what a call would do, Start or Steps send it, and Finish says
// what is true afterwards. What lies between them is the same for all: policy, consent,
// record, waiting, progress, and the words of the outcome.
//
// It promises that
//   - nothing is sent that the policy forbids, that a human has not agreed to if that is
//     needed, or that cannot be recorded;
//   - a consent counts once, for the call and the subjects that the human was shown;
//   - a request is sent once: if its answer is lost, the outcome is unknown, and the answer
//     says what is to be seen of it;
//   - the outcome is what PVE reports, and what is seen afterwards, whichever is worse;
//   - any process can follow a change by its handle ([Open]), and a step that is left is sent
//     by one of them at most.
package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Spec declares a tool that changes something. In is what the caller said, and nobody writes
// to it. State is all that the later parts need: the arguments as they are carried out, and
// what was found out. Finish may run in another process than Start, for which the handle
// keeps the State: neither In nor State has a field that JSON does not write. A field of the
// State with the tag plan:"-" explains a plan, and may be another when that is carried out.
type Spec[In, State, Out any] struct {
	Name       string
	Title      string
	Doc        string
	Long       bool // as of [tool.Tool]
	Examples   []tool.Example
	Idempotent bool
	Needs      []tool.Need
	// Risk is that of a call by its input alone; nil is for write. A plan may raise it.
	// Worst is the worst that it can be, write if it is not set.
	Risk  func(in In) policy.Risk
	Worst policy.Risk
	// Plan looks up what the call would do, and to what. It only reads. An error explains
	// why the change cannot be made.
	Plan func(ctx context.Context, c *tool.Call, in In) (Plan, State, error)
	// Start sends a change that is one request. It may complete the state, such as with an
	// id that was free.
	Start func(ctx context.Context, c *tool.Call, s *State) (Job, error)
	// Steps, in place of Start, are the requests of a change in their order. They follow
	// from the state alone, so that every process knows them.
	Steps func(s State) []Step[State]
	// Finish says what is true now, after the last task has ended. If the task was not the
	// whole of the change, it may answer [ErrNotYet], alone or joined with the reason why it
	// cannot know. If what it sees is not what was to be done, it says so with
	// [Answer.SetOutcome], and the worse outcome counts: its own, or what the task said.
	// Warnings of a change whose task has failed say that it was made all the same.
	Finish func(ctx context.Context, c *tool.Call, s State, end End) (Out, error)
	// FinishFleet, in place of Start, Steps and Finish, is for plans that have a [Fleet]. It
	// describes how each part has ended, or how far it is; there are none if nothing was sent.
	// The outcome of the whole and the message that counts its parts are set afterwards. A
	// message of its own follows that, and an outcome of its own counts if it is worse.
	FinishFleet func(ctx context.Context, c *tool.Call, s State, parts []Part) (Out, error)
}

// Plan is what a change would do.
type Plan struct {
	// Subject is what is changed.
	Subject policy.Subject
	// Also are the other subjects of the change, which a consent names and is bound to.
	Also []policy.Subject
	// About names action and target, to begin a sentence: "Shutdown of VM 104".
	About string
	// Already says that there is nothing to do, in a sentence; nothing is sent.
	Already string
	// ReadOnly says that the call only looks at what was begun before, so that nobody is
	// asked.
	ReadOnly bool
	// Destructive says that this call is, though its input alone did not tell. Risk is that
	// of this call, if it is worse than both.
	Destructive bool
	Risk        policy.Risk
	// Consequences are what is lost, for a destructive change.
	Consequences []string
	// ImpactSaid says that Consequences are all that is at stake: the subjects keep what they have.
	ImpactSaid bool
	// Asked says why consent is needed, if not for a loss: "can lock people out".
	Asked string
	// Target is the request that a consent is good for, of a change without steps.
	Target policy.Target
	// Names are what a human types to consent, if yes is not enough.
	Names []string
	// Fleet are the guests of a change of many.
	Fleet *Fleet
	// Later is what to keep in mind if the call ends before the change.
	Later string
}

// guest is the subject if that is a guest, else 0.
func (p Plan) guest() pve.VMID { return pve.VMID(p.Subject.VMID()) }

// Job is what was sent: a task, or, without one, a change that is done.
type Job struct {
	UPID proxmox.UPID
	// Warning says what is not as it was wanted, of a change without a task.
	Warning string
}

// End is how the task ended; its zero value is for a change without one.
type End struct{ Status proxmox.TaskStatus }

// Failed reports whether there was a task, and it has failed.
func (e End) Failed() bool {
	return !e.Status.UPID.IsZero() && !e.Status.Running() && !e.Status.Succeeded()
}

// GuestTarget is the one request to a guest's path, such as /snapshot/*, that a consent is
// good for.
func GuestTarget(method string, g pve.GuestRef, rest string) policy.Target {
	return policy.Target{Method: method, Path: "/nodes/*/" + string(g.Kind) + "/*" + rest, Subject: policy.Guest(g.VMID)}
}

// ErrNotYet says that the goal of a change may still be reached.
var ErrNotYet = errors.New("not yet")

// input is a pointer to the In of a change, output one to its Out.
type (
	input  interface{ wait() *int }
	output interface{ answer() *Answer }

	inputOf[In any] interface {
		*In
		input
	}
	outputOf[Out any] interface {
		*Out
		output
	}
)

// spec is a Spec without its types, so that its calls are compiled once and not for each
// tool. A state is a pointer to the State.
type spec struct {
	input  func() input
	state  func() any
	output func() output
	risk   func(in input) policy.Risk
	plan   func(ctx context.Context, c *tool.Call, in input) (Plan, any, error)
	steps  func(p Plan, state any) []step
	finish func(ctx context.Context, c *tool.Call, state any, end End) (output, error)

	finishFleet func(ctx context.Context, c *tool.Call, state any, parts []Part) (output, error)
}

// New makes the tool of a spec. It panics if In or State has a field that JSON does not
// write: a mistake in a declaration, which every test meets.
func New[In, State, Out any, I inputOf[In], O outputOf[Out]](s Spec[In, State, Out]) tool.Tool {
	checkFields(reflect.TypeFor[In]())
	checkFields(reflect.TypeFor[State]())
	made := &spec{
		input:  func() input { return I(new(In)) },
		state:  func() any { return new(State) },
		output: func() output { return O(new(Out)) },
		risk: func(in input) policy.Risk {
			if s.Risk == nil {
				return policy.Write
			}
			return s.Risk(*in.(I))
		},
		plan: func(ctx context.Context, c *tool.Call, in input) (Plan, any, error) {
			plan, state, err := s.Plan(ctx, c, *in.(I))
			return plan, &state, err
		},
		steps: func(p Plan, state any) []step {
			if s.Steps == nil {
				return []step{Step[State]{About: p.About, Target: p.Target, Send: s.Start}.untyped()}
			}
			var out []step
			for _, one := range s.Steps(*state.(*State)) {
				out = append(out, one.untyped())
			}
			return out
		},
		finish: func(ctx context.Context, c *tool.Call, state any, end End) (output, error) {
			if s.FinishFleet != nil {
				out, err := s.FinishFleet(ctx, c, *state.(*State), nil)
				return O(&out), err
			}
			out, err := s.Finish(ctx, c, *state.(*State), end)
			return O(&out), err
		},
	}
	if s.FinishFleet != nil {
		made.finishFleet = func(ctx context.Context, c *tool.Call, state any, parts []Part) (output, error) {
			out, err := s.FinishFleet(ctx, c, *state.(*State), parts)
			return O(&out), err
		}
	}
	return tool.New[In, Out](tool.Tool{
		Name: s.Name, Title: s.Title, Doc: s.Doc, Long: s.Long, Examples: s.Examples, Needs: s.Needs,
		Risk: max(s.Worst, policy.Write), Idempotent: s.Idempotent,
	}, made)
}

// checkFields panics if a struct has a field that JSON does not write.
func checkFields(t reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && (!f.IsExported() || name == "-") {
			panic(fmt.Sprintf("%v.%s would be lost where the change goes on in another process", t, f.Name))
		}
	}
}

// Risk implements [tool.Runner].
func (s *spec) Risk(t tool.Tool, arguments json.RawMessage) policy.Risk {
	in := s.input()
	if t.DecodeArguments(arguments, in) != nil {
		in = s.input()
	}
	return s.risk(in)
}

// Run implements [tool.Runner].
func (s *spec) Run(ctx context.Context, t tool.Tool, h tool.Host, req tool.Request) tool.Result {
	r := s.newRun(t, h, req)
	return r.resultOf(r.respond(ctx))
}

// Crash implements [tool.Runner]. Something may have been sent before.
func (s *spec) Crash(message string) tool.Result {
	res := tool.ResultOf(&Answer{Outcome: tool.Unknown, Message: message, Next: "Look at the state before you try again, and report the bug with what the log says."})
	res.IsError, res.Outcome = true, tool.Unknown
	return res
}

func (s *spec) newRun(t tool.Tool, h tool.Host, req tool.Request) *run {
	return &run{spec: s, tool: t, host: h, req: req, in: s.input()}
}
