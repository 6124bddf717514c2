package mcphttp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Why nothing of a share can be had.
var (
	errOwnShare = errors.New("this caller has as much under way as one caller may have")
	errAllTaken = errors.New("this server is busy")
)

// share is something of which there is a limited amount, and less of it for each caller,
// so that none takes what all others need.
type share struct {
	all  *semaphore.Weighted
	each int64
	used atomic.Int64

	mu      sync.Mutex
	callers map[string]*callersShare // those who have or want something; guarded by mu
}

type callersShare struct {
	*semaphore.Weighted
	users int // guarded by the mu of the share
}

func newShare(all, each int64) *share {
	return &share{all: semaphore.NewWeighted(all), each: each, callers: map[string]*callersShare{}}
}

// taken is what somebody has of a share.
type taken struct {
	of     *share
	caller string
	own    *callersShare
	n      int64
}

// take takes n for a caller, and waits for it at most for a time. Its error is errOwnShare
// or errAllTaken.
func (s *share) take(ctx context.Context, caller string, n int64, patience time.Duration) (*taken, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := &taken{of: s, caller: caller, own: s.join(caller), n: n}
	if !acquire(ctx, t.own.Weighted, n) {
		s.quit(caller)
		return nil, errOwnShare
	}
	if !acquire(ctx, s.all, n) {
		t.own.Release(n)
		s.quit(caller)
		return nil, errAllTaken
	}
	s.used.Add(n)
	return t, nil
}

// acquire takes what is free at once, even if there is no time to wait.
func acquire(ctx context.Context, s *semaphore.Weighted, n int64) bool {
	return s.TryAcquire(n) || s.Acquire(ctx, n) == nil
}

// shrink gives back what goes beyond n.
func (t *taken) shrink(n int64) {
	if t == nil || n >= t.n {
		return
	}
	t.of.used.Add(n - t.n)
	t.of.all.Release(t.n - n)
	t.own.Release(t.n - n)
	t.n = n
}

// give gives everything back. A nil *taken has nothing.
func (t *taken) give() {
	if t == nil {
		return
	}
	t.shrink(0)
	t.of.quit(t.caller)
}

func (s *share) join(caller string) *callersShare {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.callers[caller]
	if own == nil {
		own = &callersShare{Weighted: semaphore.NewWeighted(s.each)}
		s.callers[caller] = own
	}
	own.users++
	return own
}

func (s *share) quit(caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.callers[caller]
	if own.users--; own.users == 0 {
		delete(s.callers, caller)
	}
}
