package tool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Spec declares a tool that only reads.
type Spec[In, Out any] struct {
	Name     string
	Title    string
	Doc      string
	Long     bool // as of [Tool]
	Examples []Example
	Needs    []Need
	Run      func(ctx context.Context, c *Call, in In) (Out, error)
}

// Read makes the tool of a spec.
func Read[In, Out any](s Spec[In, Out]) Tool {
	_, attaches := attachmentsOf(new(Out))
	return reading(Tool{
		Name: s.Name, Title: s.Title, Doc: s.Doc, Long: s.Long, Examples: s.Examples, Needs: s.Needs, Risk: policy.Read, Idempotent: true, Attaches: attaches,
		Input: lazily[In](inputSchema), Output: lazily[Out](infer),
	}, func() any { return new(In) }, func(ctx context.Context, c *Call, in any) (any, error) {
		out, err := s.Run(ctx, c, *in.(*In))
		return &out, err
	})
}

// Waits is embedded by the In of a change.
type Waits struct {
	Wait *int `json:"wait,omitzero" min:"0" jsonschema:"seconds; default 20"`
}

func (w Waits) wait() *int { return w.Wait }

// Times is embedded by the In of a change that is over in seconds.
type Times struct {
	Timeout *int `json:"timeout,omitzero" min:"1" jsonschema:"seconds; default 20"`
}

func (t Times) wait() *int { return t.Timeout }

// Plans is embedded by the In of a change whose plan can be had without doing it.
type Plans struct {
	Plan       bool   `json:"plan,omitzero" jsonschema:"only say what would be done"`
	PlanHandle string `json:"plan_handle,omitzero" jsonschema:"do exactly that plan; needs no other argument"`
}

func (p Plans) plans() bool { return p.Plan }

// Confirms is embedded by the In of a change that may be destructive.
type Confirms struct {
	Confirm bool `json:"confirm,omitzero" jsonschema:"the user agreed"`
}

func (c Confirms) confirmed() bool { return c.Confirm }

// ChangeSpec declares a tool that changes something, in three parts, so that what
// lies between them is the wrapper's business: policy, consent, record, waiting,
// progress. Finish may run in another process than Start. In is what the caller said,
// and nobody writes to it. State is all that the later parts need: the arguments as they
// are carried out, and what was found out. Neither has a field that JSON does not write,
// since a handle keeps the State.
type ChangeSpec[In, State, Out any] struct {
	Name       string
	Title      string
	Doc        string
	Long       bool // as of [Tool]
	Examples   []Example
	Idempotent bool
	Needs      []Need
	// Risk is that of a call by its input alone, write where not set; a plan may raise
	// it. Worst is the worst that it can be, write where not set.
	Risk  func(in In) policy.Risk
	Worst policy.Risk
	// Plan looks up what the call would do, and to what. It only reads. An error explains
	// why the change cannot be made.
	Plan func(ctx context.Context, c *Call, in In) (Plan, State, error)
	// Start sends a change that is one request. It may complete the state, such as with an
	// id that was free.
	Start func(ctx context.Context, c *Call, s *State) (Job, error)
	// Steps, in place of Start, are the requests of a change in their order. They follow
	// from the state alone, so that every process knows them.
	Steps func(s State) []Step[State]
	// Finish says what is true now, after the last task has ended. It may answer
	// [ErrNotYet], alone or joined with the reason why it cannot know, where the
	// task was not the whole of it. Where what it sees is not what was to be done, it
	// [Changed.Tell]s so, and the worse outcome counts: its own, or what the task said.
	// Warnings of a change whose task has failed say that it was made all the same.
	Finish func(ctx context.Context, c *Call, s State, end End) (Out, error)
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
	// Looks says that the call only looks at what was begun before, so that nobody is asked.
	Looks bool
	// Destructive says that this call is, though its input alone did not tell.
	Destructive bool
	// Consequences are what is lost, for a destructive change.
	Consequences []string
	// Target is the request that a consent is good for, of a change without steps.
	Target policy.Target
	// Names are what a human types to consent, where yes is not enough.
	Names []string
	// Later is what to keep in mind when the call ends before the change.
	Later string
}

// guest is the subject where that is a guest, else 0.
func (p Plan) guest() pve.VMID { return pve.VMID(p.Subject.VMID()) }

// Job is what was sent: a task, or, without one, a change that is done.
type Job struct {
	UPID proxmox.UPID
	// Warning says what is not as it was wanted, of a change without a task.
	Warning string
}

// End is how the task ended; its zero value stands for a change without one.
type End struct{ Status proxmox.TaskStatus }

// Failed reports whether there was a task, and it has failed.
func (e End) Failed() bool {
	return !e.Status.UPID.IsZero() && !e.Status.Running() && !e.Status.Succeeded()
}

// Target is the one request to a guest's path, such as /snapshot/*, that a consent is good
// for.
func Target(method string, g pve.GuestRef, rest string) policy.Target {
	return policy.Target{Method: method, Path: "/nodes/*/" + string(g.Kind) + "/*" + rest, Subject: policy.Guest(g.VMID)}
}

// Flag writes a boolean as PVE takes it.
func Flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// ErrNotYet says that the goal of a change may still be reached.
var ErrNotYet = errors.New("not yet")

// input is a pointer to the In of a change, output one to its Out.
type (
	input  interface{ wait() *int }
	output interface{ changed() *Changed }

	inputOf[In any] interface {
		*In
		input
	}
	outputOf[Out any] interface {
		*Out
		output
	}
)

// spec is a ChangeSpec without its types, so that the wrapper is compiled once and not for
// each tool. A state is a pointer to the State.
type spec struct {
	input  func() input
	state  func() any
	output func() output
	risk   func(in input) policy.Risk
	plan   func(ctx context.Context, c *Call, in input) (Plan, any, error)
	steps  func(p Plan, state any) []step
	finish func(ctx context.Context, c *Call, state any, end End) (output, error)
}

// Change makes the tool of a spec. It panics where In or State has a field that JSON does
// not write: a mistake in a declaration, which every test meets.
func Change[In, State, Out any, I inputOf[In], O outputOf[Out]](s ChangeSpec[In, State, Out]) Tool {
	checkFields(reflect.TypeFor[In]())
	checkFields(reflect.TypeFor[State]())
	_, attaches := attachmentsOf(O(new(Out)))
	return changing(Tool{
		Name: s.Name, Title: s.Title, Doc: s.Doc, Long: s.Long, Examples: s.Examples, Needs: s.Needs,
		Risk: max(s.Worst, policy.Write), Idempotent: s.Idempotent, Attaches: attaches,
		Input: lazily[In](inputSchema), Output: lazily[Out](infer),
	}, spec{
		input:  func() input { return I(new(In)) },
		state:  func() any { return new(State) },
		output: func() output { return O(new(Out)) },
		risk: func(in input) policy.Risk {
			if s.Risk == nil {
				return policy.Write
			}
			return s.Risk(*in.(I))
		},
		plan: func(ctx context.Context, c *Call, in input) (Plan, any, error) {
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
		finish: func(ctx context.Context, c *Call, state any, end End) (output, error) {
			out, err := s.Finish(ctx, c, *state.(*State), end)
			return O(&out), err
		},
	})
}

// checkFields panics where a struct has a field that JSON does not write.
func checkFields(t reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && (!f.IsExported() || name == "-") {
			panic(fmt.Sprintf("%v.%s would be lost where the change goes on in another process", t, f.Name))
		}
	}
}
