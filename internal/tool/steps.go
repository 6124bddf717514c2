package tool

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Step is one of the requests of a change. It is sent when the one before it has succeeded,
// has a line of its own in the audit log, and is never sent again where its outcome is
// unknown.
type Step[State any] struct {
	// About names action and target, to begin a sentence. That of the step which the whole
	// is for is the plan's own.
	About string
	// Target is the request that a consent is good for, none where it needs none.
	Target policy.Target
	// Guest and Task find its task in PVE: the guest that it is about, and how the task's
	// type ends, such as start for qmstart, vzstart and hastart.
	Guest pve.VMID
	Task  string
	// Send sends the request; nil where PVE does the step by itself after the one before.
	Send func(ctx context.Context, c *Call, s *State) (Job, error)
	// Done, if not nil, reports whether PVE shows the step as done, where no task of it is
	// found.
	Done func(ctx context.Context, c *Call, s State) (bool, error)
	// Rest is what to do when the change has ended before the step, in a sentence.
	Rest string
	// Undo, if not nil, takes back what the step has made when a later one fails.
	Undo *Undo[State]
}

// Undo takes back what the task of a step has made, and nothing else.
type Undo[State any] struct {
	About  string
	Target policy.Target
	// Unchanged reports whether what the task has made is still as that has left it.
	Unchanged func(ctx context.Context, c *Call, s State, made proxmox.UPID) (bool, error)
	Send      func(ctx context.Context, c *Call, s *State) (Job, error)
}

// step is a Step without the type of its state, to which it gets a pointer.
type step struct {
	about  string
	target policy.Target
	guest  pve.VMID
	task   string
	send   func(ctx context.Context, c *Call, state any) (Job, error)
	done   func(ctx context.Context, c *Call, state any) (bool, error)
	rest   string
	undo   *undo
}

type undo struct {
	step
	unchanged func(ctx context.Context, c *Call, state any, made proxmox.UPID) (bool, error)
}

func (s Step[State]) untyped() step {
	out := step{about: s.About, target: s.Target, guest: s.Guest, task: s.Task, rest: s.Rest, send: untypedSend(s.Send)}
	if s.Done != nil {
		out.done = func(ctx context.Context, c *Call, state any) (bool, error) { return s.Done(ctx, c, *state.(*State)) }
	}
	if u := s.Undo; u != nil {
		out.undo = &undo{
			step: step{about: u.About, target: u.Target, send: untypedSend(u.Send)},
			unchanged: func(ctx context.Context, c *Call, state any, made proxmox.UPID) (bool, error) {
				return u.Unchanged(ctx, c, *state.(*State), made)
			},
		}
	}
	return out
}

func untypedSend[State any](send func(context.Context, *Call, *State) (Job, error)) func(context.Context, *Call, any) (Job, error) {
	if send == nil {
		return nil
	}
	return func(ctx context.Context, c *Call, state any) (Job, error) { return send(ctx, c, state.(*State)) }
}

// taskOf finds the task of a step in PVE: of the same user, not begun before the change, and
// none of those that are known already. It is zero where there is none.
func (c *Call) taskOf(ctx context.Context, s step, known []proxmox.UPID, begun time.Time) (proxmox.UPID, error) {
	user, since := c.host.Explain.TokenID, begun.Add(-time.Minute) // by a clock that may differ
	g, err := c.Guest(ctx, s.guest)
	if err != nil {
		return proxmox.UPID{}, err
	}
	nodes := []string{g.Node.Value}
	if len(known) > 0 {
		user, since = known[0].User, known[0].Start
		nodes = append(nodes, known[len(known)-1].Node) // from which it may have moved
	}
	var found proxmox.UPID
	for _, node := range slices.Compact(nodes) {
		list, _, err := c.PVE.NodeTasks(ctx, node, url.Values{
			"vmid": {s.guest.String()}, "source": {"all"}, "since": {strconv.FormatInt(since.Unix(), 10)}, "limit": {"100"},
		})
		if err != nil {
			return proxmox.UPID{}, err
		}
		for _, t := range list {
			mine := t.UPID.User == user && strings.HasSuffix(t.Type, s.task)
			isKnown := slices.ContainsFunc(known, func(k proxmox.UPID) bool { return k.String() == t.UPID.String() })
			if mine && !isKnown && (found.IsZero() || t.UPID.Start.Before(found.Start)) {
				found = t.UPID
			}
		}
	}
	return found, nil
}
