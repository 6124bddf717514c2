// Package survey reads much of a cluster for one answer: a bounded number of requests at a
// time, until a deadline, with progress. What could not be read becomes a [Blind] spot with
// its reason, so that an answer calls nothing well that was not seen.
package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// atOnce is how many requests of a survey are under way at a time.
	atOnce = 8
	// perRequest is how long a survey waits for one answer, such as that of an agent that
	// hangs for 5 s. That includes the time in which the client lets others go first, since
	// it sends fewer requests to a node at a time than a survey has under way.
	perRequest = 15 * time.Second
	// Deadline is how long a survey goes on before it answers with what it has: many
	// clients give up after 60 s.
	Deadline = 45 * time.Second
)

// Survey is one reading of a cluster. Its functions may be used by several goroutines; the
// [cluster.View] may not, except before and after [Ask].
type Survey struct {
	*cluster.View
	// Permissions are what the token may do.
	Permissions pve.Permissions

	ctx    context.Context
	within time.Duration
	slots  chan struct{}

	mu    sync.Mutex
	asked int          // questions that were answered or given up; guarded by mu
	known int          // questions so far; guarded by mu
	blind []reasonedOn // guarded by mu
}

// reasonedOn is a check that could not be made on a subject.
type reasonedOn struct {
	check, on string
	missing   string // a privilege or a reason
	path      string // of the privilege
}

// Begin starts a survey that ends after a time, [Deadline] as a rule. It asks PVE what the
// token may do. The caller calls end when no more will be asked.
func Begin(ctx context.Context, v *cluster.View, within time.Duration) (s *Survey, end func(), err error) {
	perms, err := v.PVE.Permissions(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, end = context.WithTimeout(ctx, within)
	return &Survey{View: v, Permissions: perms, ctx: ctx, within: within, slots: make(chan struct{}, atOnce)}, end, nil
}

// ReadGaps completes the permissions with what takes every privilege on a guest away. It is for a
// survey that says of guests that they are all there are.
func (s *Survey) ReadGaps(check string) {
	perms, err := s.PVE.WithGaps(s.ctx, s.Permissions)
	if err != nil {
		s.failed(check, "", err)
		return
	}
	s.Permissions = perms
}

// Expired reports whether the time of the survey is over.
func (s *Survey) Expired() bool { return errors.Is(s.ctx.Err(), context.DeadlineExceeded) }

// May reports whether the token has a privilege on a path. If it has not, the check is a blind
// spot on a subject, "" if the check is about no single one.
func (s *Survey) May(check, on, privilege, path string) bool {
	if s.Permissions.Has(path, privilege) {
		return true
	}
	s.note(reasonedOn{check: check, on: on, missing: privilege, path: path})
	return false
}

// MayAll is [Survey.May] for all that is below a top path, such as every guest.
func (s *Survey) MayAll(check, privilege, top string) bool {
	all, except := s.Permissions.Below(top, privilege)
	if !all {
		except = append(except, top)
	}
	for _, path := range except {
		s.note(reasonedOn{check: check, missing: privilege, path: path})
	}
	return len(except) == 0
}

// MayAskAgent is [Survey.May] for the agent of a VM, by the privilege of PVE's version.
func (s *Survey) MayAskAgent(check, on string, id pve.VMID) bool {
	path := "/vms/" + id.String()
	for _, privilege := range []string{"VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted", "VM.Monitor"} {
		if s.Permissions.Has(path, privilege) {
			return true
		}
	}
	privilege := "VM.GuestAgent.Audit"
	if v, err := s.PVE.Version(s.ctx); err == nil && v.Major() < 9 {
		privilege = "VM.Monitor"
	}
	return s.May(check, on, privilege, path)
}

// NotSeen says that a check could not be made on a subject, and why.
func (s *Survey) NotSeen(check, on, why string) {
	s.note(reasonedOn{check: check, on: on, missing: why})
}

func (s *Survey) note(b reasonedOn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = append(s.blind, b)
}

// Ask asks a question about each of some subjects, and returns the answers in their order. A
// subject that gave none is a blind spot of the check. ask may be called by several
// goroutines at a time; the bug of one is an error of it.
func Ask[K, T any](s *Survey, check string, subjects []K, name func(K) string, ask func(context.Context, K) (T, error)) []cluster.Response[K, T] {
	s.expect(len(subjects))
	answers := make([]T, len(subjects))
	answered := make([]bool, len(subjects))
	var wg sync.WaitGroup
	for i, k := range subjects {
		if !s.takeSlot() {
			s.failed(check, name(k), s.ctx.Err())
			continue
		}
		wg.Go(func() {
			defer func() { <-s.slots }()
			ctx, cancel := context.WithTimeout(s.ctx, perRequest)
			defer cancel()
			var err error
			if answers[i], err = cluster.Recovered(func() (T, error) { return ask(ctx, k) }); err != nil {
				s.failed(check, name(k), err)
			}
			answered[i] = err == nil
			s.step(check)
		})
	}
	wg.Wait()
	var got []cluster.Response[K, T]
	for i, k := range subjects {
		if answered[i] {
			got = append(got, cluster.Response[K, T]{From: k, Value: answers[i]})
		}
	}
	return got
}

// takeSlot waits until a request may be sent, and reports whether there is time for it.
func (s *Survey) takeSlot() bool {
	select {
	case s.slots <- struct{}{}:
		if s.ctx.Err() == nil {
			return true
		}
		<-s.slots
	case <-s.ctx.Done():
	}
	return false
}

// One is [Ask] for one question about the whole cluster.
func One[T any](s *Survey, check string, ask func(context.Context) (T, error)) (got T, ok bool) {
	answers := Ask(s, check, []struct{}{{}}, func(struct{}) string { return "" },
		func(ctx context.Context, _ struct{}) (T, error) { return ask(ctx) })
	if len(answers) == 0 {
		return got, false
	}
	return answers[0].Value, true
}

func (s *Survey) expect(questions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known += questions
}

func (s *Survey) step(check string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.Report(cluster.Progress{Done: float64(s.asked), Total: float64(s.known), Message: check})
}

// failed makes an error a blind spot.
func (s *Survey) failed(check, on string, err error) {
	b := reasonedOn{check: check, on: on}
	var said *proxmox.Error
	switch {
	case s.ctx.Err() != nil:
		b.missing = fmt.Sprintf("the time of %s was over", render.Duration(s.within))
	case errors.As(err, &said) && said.NodeUnreachable():
		b.missing = "its node does not answer"
	case errors.Is(err, context.DeadlineExceeded):
		b.missing = fmt.Sprintf("no answer within %s", render.Duration(perRequest))
	case proxmox.IsDenied(err) && said != nil:
		path, privs, _ := said.Denied()
		if len(privs) == 0 {
			b.missing = s.Explain(err).What
			break
		}
		b.missing, b.path = joinOr(privs), path
	default:
		b.missing = s.Explain(err).What
	}
	s.note(b)
}

func joinOr(privs []string) string {
	out := privs[0]
	for _, p := range privs[1:] {
		out += " or " + p
	}
	return out
}

// Err returns why a call has to end without an answer: its caller has cancelled it. The end of
// the survey's own time is no error.
func (s *Survey) Err() error {
	if s.Expired() {
		return nil
	}
	return s.ctx.Err()
}

// sortedNames returns names in the order of people, each once.
func sortedNames(names []string) []string {
	slices.SortFunc(names, pve.CompareNames)
	return slices.Compact(names)
}
