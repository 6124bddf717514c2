// Package once remembers what was used, so that it is used once: in one process, or in all
// that share a store.
package once

import (
	"context"
	"crypto/rand"
	"maps"
	"sync"
	"time"
)

// Store keeps claims that several processes make.
type Store interface {
	// Claim reports whether it is the first claim of an id. The store may forget the id
	// after a time, which is the same in every claim of it.
	Claim(ctx context.Context, id string, until time.Time) (first bool, err error)
	// Claimed reports whether an id was claimed until that time, and claims nothing.
	Claimed(ctx context.Context, id string, until time.Time) (bool, error)
}

// Ledger remembers which ids were claimed.
type Ledger struct {
	process string
	shared  Store // nil if each process is on its own

	mu      sync.Mutex
	claimed map[string]time.Time // until when; guarded by mu
}

// NewLedger returns a ledger that keeps claims in a shared store, or, where that is nil, in
// this process.
func NewLedger(shared Store) *Ledger {
	return &Ledger{process: rand.Text(), shared: shared, claimed: map[string]time.Time{}}
}

// Process names this process among those that may make an id.
func (l *Ledger) Process() string { return l.process }

// Knows reports whether a claim of an id that a process made can be judged here.
func (l *Ledger) Knows(process string) bool { return l.shared != nil || process == l.process }

// Claim reports whether it is the first claim of an id, which is remembered until a time.
func (l *Ledger) Claim(ctx context.Context, id string, now, until time.Time) (first bool, err error) {
	if l.shared != nil {
		return l.shared.Claim(ctx, id, until)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.claimed, func(_ string, until time.Time) bool { return now.After(until) })
	if _, again := l.claimed[id]; again {
		return false, nil
	}
	l.claimed[id] = until
	return true, nil
}

// Claimed reports whether an id was claimed until a time, and claims nothing.
func (l *Ledger) Claimed(ctx context.Context, id string, until time.Time) (bool, error) {
	if l.shared != nil {
		return l.shared.Claimed(ctx, id, until)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, claimed := l.claimed[id]
	return claimed, nil
}
