package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// judge applies the rules to one request. It looks up what they need, each thing once.
type judge struct {
	*Guard
	mu      *sync.Mutex
	configs map[Where]map[string][]string // guarded by mu
	pools   map[string][]int
}

func (g *Guard) newJudge() judge {
	return judge{g, &sync.Mutex{}, map[Where]map[string][]string{}, map[string][]int{}}
}

func (p Policy) hasRules() bool { return len(p.Protect) > 0 || len(p.Allow) > 0 }

// refuse returns why a request must not be sent because of what it changes, or "".
func (j judge) refuse(ctx context.Context, e effect) string {
	var reasons []string
	add := func(reason string) {
		if reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if j.Policy.hasRules() {
		if !e.known {
			return "which guests it changes is unknown, and PVE_MCP_PROTECT or PVE_MCP_ALLOW is set"
		}
		for _, s := range e.subjects {
			add(j.refuseSubject(s, e))
		}
		for _, id := range e.changed {
			add(j.refuseGuest(ctx, Where{VMID: id}, e.uses))
			if e.spreads {
				add(j.refuseHolders(ctx, id))
			}
		}
		for _, id := range e.made {
			add(j.refuseNew(id, e.pool))
		}
		for _, w := range e.uses {
			add(j.refuseHeld(ctx, w))
			add(j.refuseMovedByHA(ctx, w, e.target))
		}
		add(j.refuseVolumes(ctx, "", e.named))
		add(j.refusePruning(e))
		if len(reasons) == 0 { // the look-ups for it may be many
			add(j.refuseChosen(ctx, e))
			for _, s := range e.subjects {
				add(j.refuseDependents(ctx, s, e))
			}
		}
	}
	for _, id := range Owners(e.named) {
		add(j.refuseRunning(ctx, id))
	}
	return strings.Join(reasons, "; ")
}

// refuseChosen returns why a request that changes guests without naming them must not be sent,
// or "".
func (j judge) refuseChosen(ctx context.Context, e effect) string {
	ids, err := j.selected(ctx, e.selection)
	if err != nil {
		return fmt.Sprintf("which guests it changes is unknown: %v", err)
	}
	if i := slices.IndexFunc(ids, j.protectedByID); i >= 0 {
		return j.refuseProtected(ctx, Where{VMID: ids[i]}) // without reading the configurations of all of them
	}
	var places []Where
	for _, id := range ids {
		places = append(places, Where{VMID: id, Snapshot: e.snapshot})
	}
	j.readConfigs(ctx, places)
	return firstOf(places, func(w Where) string {
		if reason := j.refuseGuest(ctx, w, nil); reason != "" {
			return reason
		}
		if reason := j.refuseHeld(ctx, w); reason != "" {
			return reason
		}
		return j.refuseMovedByHA(ctx, w, e.target)
	})
}

// shown is how many guests a refusal about many guests names.
const shown = 3

// firstOf joins the first of many reasons to refuse something.
func firstOf[T any](all []T, refuse func(T) string) string {
	var reasons []string
	for _, one := range all {
		reason := refuse(one)
		if reason == "" || slices.Contains(reasons, reason) {
			continue
		}
		if len(reasons) == shown {
			reasons = append(reasons, "and others")
			break
		}
		reasons = append(reasons, reason)
	}
	return strings.Join(reasons, "; ")
}

// selected returns the guests of a selection.
func (j judge) selected(ctx context.Context, s Selection) ([]int, error) {
	ids := slices.Clone(s.Guests)
	if s.Pool != "" {
		members, err := j.members(ctx, s.Pool)
		if err != nil {
			return nil, err
		}
		ids = append(ids, members...)
	}
	if s.All {
		all, err := j.guestsOn(ctx, s.Node)
		if err != nil {
			return nil, err
		}
		ids = append(ids, slices.DeleteFunc(all, func(id int) bool { return slices.Contains(s.Exclude, id) })...)
	}
	return once(ids), nil
}

// guestsOn returns the guests on a node, or with "" those of the cluster.
func (j judge) guestsOn(ctx context.Context, node string) ([]int, error) {
	if j.Lookup.Guests == nil {
		return nil, errors.New("guests cannot be listed")
	}
	return j.Lookup.Guests(ctx, node)
}

// atOnce is how many configurations are read at a time.
const atOnce = 8

// readConfigs reads the configurations that the rules will ask for. It ignores errors, because
// the rules will meet them again.
func (j judge) readConfigs(ctx context.Context, places []Where) {
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, w := range places {
		all.Go(func() error {
			_, _ = j.config(ctx, w)
			return nil
		})
	}
	_ = all.Wait()
}

// Refuse returns why a request that a plan needs consent for will not be sent, or "". Then
// nobody is asked for nothing.
func (g *Guard) Refuse(ctx context.Context, t Target) string {
	return g.newJudge().refuse(ctx, t.effect())
}

// effect is what the request changes, as far as the target says.
func (t Target) effect() effect {
	out := effect{destroys: true, spreads: true, known: true}
	elems := strings.Split(strings.TrimPrefix(t.Path, "/"), "/")
	r, e := request{method: t.Method, elems: elems}, known().find(t.Method, elems)
	uses := e == nil || e.usesVolumes(r) // without a request, it may be any request about the guest
	if e == nil {
		e = &row{}
	}
	for _, s := range append([]Subject{t.Subject}, t.Also...) {
		id := s.owner()
		switch {
		case id > 0 && s != t.Subject && s.Kind == GuestKind && e.namesVolumes():
			out.named = append(out.named, Volume{Owner: id, Known: true})
			continue
		case id > 0:
			out.changed = append(out.changed, id)
		}
		if s.Kind != GuestKind && s.Kind != "" {
			out.subjects = append(out.subjects, s)
		}
	}
	if uses {
		for _, id := range out.changed {
			out.uses = append(out.uses, Where{VMID: id, Snapshot: t.Snapshot})
		}
	}
	out.onlyListed = e.onlyListed != nil && len(out.changed) > 0
	return out
}
