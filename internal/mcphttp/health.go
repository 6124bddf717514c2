package mcphttp

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	readyFor  = 5 * time.Second // how long an answer counts
	readyTime = 5 * time.Second // how long PVE has for one
)

// ready remembers whether PVE could be reached, so that nobody can make this server ask
// PVE often.
type ready struct {
	ask func(context.Context) error

	mu    sync.Mutex
	until time.Time // guarded by mu
	err   error     // guarded by mu
}

func (r *ready) check() error {
	if r.ask == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	r.err = r.ask(ctx)
	r.until = time.Now().Add(readyFor)
	return r.err
}

// serveReady tells whether requests are welcome, and nothing more.
func (h *handler) serveReady(w http.ResponseWriter, _ *http.Request) {
	if h.stop.Err() != nil {
		say(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	if err := h.ready.check(); err != nil {
		h.Logger.Warn("not ready", "cause", err)
		say(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	say(w, http.StatusOK, "ready")
}
