package proxmox

import (
	"context"
	"sync"
)

// share lets those who want the same at the same time get it once. Each waits for as long
// as he likes: what is under way ends early only when the last one has left.
type share[T any] struct {
	mu   sync.Mutex
	open map[string]*work[T] // that others may join; guarded by mu
}

// work is what several wait for.
type work[T any] struct {
	stop context.CancelFunc
	done chan struct{}

	waiting int // guarded by share.mu

	// The end, written before done is closed.
	result T
	err    error
	broken any // what the work panicked with
}

// get calls do once for all callers that ask by the same key while it runs. do gets the
// values of the first caller's context.
func (s *share[T]) get(ctx context.Context, key string, do func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	w := s.join(ctx, key, do)
	select {
	case <-w.done:
	case <-ctx.Done():
		s.leave(key, w)
		return none, ctx.Err()
	}
	if w.broken != nil {
		panic(w.broken)
	}
	return w.result, w.err
}

func (s *share[T]) join(ctx context.Context, key string, do func(context.Context) (T, error)) *work[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.open[key]; w != nil {
		w.waiting++
		return w
	}
	shared, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &work[T]{stop: stop, done: make(chan struct{}), waiting: 1, err: context.Canceled}
	if s.open == nil {
		s.open = map[string]*work[T]{}
	}
	s.open[key] = w
	go func() {
		defer close(w.done)
		defer s.close(key, w)
		defer stop()
		defer func() { w.broken = recover() }() // a bug costs those who asked, not the process
		w.result, w.err = do(shared)
	}()
	return w
}

// leave ends the work with the last one who waits.
func (s *share[T]) leave(key string, w *work[T]) {
	s.mu.Lock()
	w.waiting--
	last := w.waiting == 0
	s.mu.Unlock()
	if last {
		s.close(key, w)
		w.stop()
	}
}

// close lets nobody join any more.
func (s *share[T]) close(key string, w *work[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] == w {
		delete(s.open, key)
	}
}

// drop lets nobody join what is under way, since it may have been looked up before
// something that is known to have happened.
func (s *share[T]) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.open)
}
