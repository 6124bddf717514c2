package proxmox

import (
	"context"
	"sync"
	"time"
)

// memoTime is how long what was read in a piece of work counts.
const memoTime = 15 * time.Second

// memo has what was read in a piece of work. A nil *memo has nothing.
type memo struct {
	mu      sync.Mutex
	results map[string]remembered // guarded by mu
	over    bool                  // a write was sent; guarded by mu
}

// remembered is a result, as of a time and of so many changes ([Client.Changes]).
type remembered struct {
	result  any
	asked   time.Time
	changes int64
}

type memoKey struct{}

// ReadOnce returns the context of a piece of work, such as one call of a tool. For 15 s, a
// read in it is answered from the same read before, except looks at tasks. That ends early if
// something is known to have changed or a read gets no answer. It also ends with the first write:
// later reads are to show what the write has done. What the transport looks up before it
// sends that write counts as read before it ([WithReadsOf]).
func ReadOnce(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoKey{}, &memo{})
}

// ReadAgain returns a context without the effect of [ReadOnce]: each read is sent. It is for
// polling until something has changed.
func ReadAgain(ctx context.Context) context.Context {
	if memoOf(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, memoKey{}, (*memo)(nil))
}

// WithReadsOf returns ctx with the reads of work, a context of [ReadOnce]: they are not sent
// again in it either. It is for a transport that looks something up before it sends a request.
func WithReadsOf(ctx, work context.Context) context.Context {
	return context.WithValue(ctx, memoKey{}, memoOf(work))
}

func memoOf(ctx context.Context) *memo {
	m, _ := ctx.Value(memoKey{}).(*memo)
	return m
}

// get returns what was read, if nothing has changed since.
func (m *memo) get(key string, changes int64) (result any, ok bool) {
	if m == nil {
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.results[key]
	return known.result, ok && known.changes == changes && time.Since(known.asked) < memoTime
}

// keep remembers what was asked for.
func (m *memo) keep(key string, r remembered) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return
	}
	if m.results == nil {
		m.results = map[string]remembered{}
	}
	m.results[key] = r
}

// forget forgets what was read so far.
func (m *memo) forget() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.results)
}

// end forgets what was read, and remembers nothing from now on.
func (m *memo) end() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	clear(m.results)
}
