package change

import (
	"context"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Step is one of the requests of a change. It is sent when the one before it has succeeded,
// has a line of its own in the audit log, and is never sent again if its outcome is
// unknown.
type Step[State any] struct {
	// About names action and target, to begin a sentence. The step that the
	// whole is for has that of the plan.
	About string
	// Target is the request that a consent is good for, none if it needs none.
	Target policy.Target
	// Guest and Task find its task in PVE: the guest that it is about, and how the task's
	// type ends, such as start for qmstart, vzstart and hastart.
	Guest pve.VMID
	Task  string
	// Send sends the request; nil if PVE does the step by itself after the one before.
	Send func(ctx context.Context, c *tool.Call, s *State) (Job, error)
	// Ready, if not nil, says what the step waits for, "" if it may be sent. It is asked
	// again and again after the step before, for [ReadyTime] at most.
	Ready func(ctx context.Context, c *tool.Call, s State) (waitsFor string, err error)
	// Done, if not nil, reports whether PVE shows the step as done although no task of it
	// is found.
	Done func(ctx context.Context, c *tool.Call, s State) (bool, error)
	// Find, if not nil, completes the state with what the step has made, if that is there, where
	// the state may say otherwise: the step of another process may have had to take another id.
	// The result is false if what is there instead is somebody else's.
	Find func(ctx context.Context, c *tool.Call, s *State) (mayBeMine bool, err error)
	// Rest is what to do if the change has ended before the step, in a sentence.
	Rest string
	// TidiesUp says that the step takes away what the change itself has made on the way to its
	// goal: if it fails, that is a warning, nothing is taken back, and any process may take it.
	TidiesUp bool
	// Taken says what is known once PVE has taken the request, in a sentence, of a step whose
	// effect comes later; "" says that the step is done then.
	Taken string
	// Undo, if not nil, says what the step makes, and takes it back if a later one fails.
	Undo *Undo[State]
}

// ReadyTime is how long a step waits for what it needs.
const ReadyTime = 15 * time.Minute

// Undo takes back what the task of a step has made, and nothing else.
type Undo[State any] struct {
	About  string
	Target policy.Target
	// Guest and Task find its task in PVE, as those of a [Step] do.
	Guest pve.VMID
	Task  string
	// Rest is what takes it back if that was not done, in a sentence that begins with the
	// name of a tool.
	Rest string
	// Kept says that it stays whatever happens: Rest is all that is used.
	Kept bool
	// Unchanged reports whether what the task has made is still as that has left it.
	Unchanged func(ctx context.Context, c *tool.Call, s State, made proxmox.UPID) (bool, error)
	Send      func(ctx context.Context, c *tool.Call, s *State) (Job, error)
}

// step is a Step without the type of its state, to which it gets a pointer.
type step struct {
	about  string
	target policy.Target
	guest  pve.VMID
	task   string
	send   func(ctx context.Context, c *tool.Call, state any) (Job, error)
	ready  func(ctx context.Context, c *tool.Call, state any) (string, error)
	done   func(ctx context.Context, c *tool.Call, state any) (bool, error)
	find   func(ctx context.Context, c *tool.Call, state any) (bool, error)
	rest   string
	taken  string
	tidies bool
	undo   *undo
}

// needsConsent reports whether the step is good for a consent that was given for it alone.
func (s step) needsConsent() bool { return s.target.Method != "" && !s.tidies }

type undo struct {
	step
	kept      bool
	unchanged func(ctx context.Context, c *tool.Call, state any, made proxmox.UPID) (bool, error)
}

func (s Step[State]) untyped() step {
	out := step{about: s.About, target: s.Target, guest: s.Guest, task: s.Task, rest: s.Rest, taken: s.Taken, tidies: s.TidiesUp, send: untypedSend(s.Send)}
	if s.Done != nil {
		out.done = func(ctx context.Context, c *tool.Call, state any) (bool, error) {
			return s.Done(ctx, c, *state.(*State))
		}
	}
	if s.Find != nil {
		out.find = func(ctx context.Context, c *tool.Call, state any) (bool, error) {
			return s.Find(ctx, c, state.(*State))
		}
	}
	if s.Ready != nil {
		out.ready = func(ctx context.Context, c *tool.Call, state any) (string, error) {
			return s.Ready(ctx, c, *state.(*State))
		}
	}
	if u := s.Undo; u != nil {
		out.undo = &undo{
			kept: u.Kept, step: step{about: u.About, target: u.Target, guest: u.Guest, task: u.Task, rest: u.Rest, send: untypedSend(u.Send)},
			unchanged: func(ctx context.Context, c *tool.Call, state any, made proxmox.UPID) (bool, error) {
				return u.Unchanged(ctx, c, *state.(*State), made)
			},
		}
	}
	return out
}

func untypedSend[State any](send func(context.Context, *tool.Call, *State) (Job, error)) func(context.Context, *tool.Call, any) (Job, error) {
	if send == nil {
		return nil
	}
	return func(ctx context.Context, c *tool.Call, state any) (Job, error) { return send(ctx, c, state.(*State)) }
}
