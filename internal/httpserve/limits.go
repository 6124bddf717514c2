package httpserve

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"golang.org/x/time/rate"
)

const (
	// maxCalls is how many calls are carried out at a time; others wait.
	maxCalls = 256
	// callTime is how long they wait.
	callTime = 10 * time.Second
	// maxStreams is how many streams without an end there are at a time.
	maxStreams = 1024
	// maxSessions is how many sessions of the handshake versions there are at a time.
	maxSessions = 4096
)

// slots are taken by those who do something that is bounded.
type slots chan struct{}

// take takes a slot, and waits for one for a time.
func (s slots) take(r *http.Request, patience time.Duration) bool {
	select {
	case s <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
	case <-r.Context().Done():
	}
	return false
}

// enter takes the slot that a request needs. Answers to a client's human need none, so
// that a call that waits for one cannot keep it out.
func (h *handler) enter(w *stream, r *http.Request, all messages) (leave func(), ok bool) {
	s, patience := h.calls, callTime
	switch {
	case all.endless(r):
		s, patience = h.streams, 0
	case !all.called() && !all.initialize():
		return func() {}, true
	}
	if all.initialize() && h.tooManySessions() || !s.take(r, patience) {
		w.header.Set("Retry-After", "5")
		w.refuse(http.StatusServiceUnavailable, all.id(), "this server is busy; try again in some seconds")
		return nil, false
	}
	return func() { <-s }, true
}

// idle waits for a time until no call is under way, and reports whether that is so.
func (h *handler) idle(patience time.Duration) bool {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(patience); len(h.calls) > 0; time.Sleep(pause) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func (h *handler) tooManySessions() bool {
	n := 0
	for range h.Server.Sessions() {
		n++
	}
	return n >= maxSessions
}

// rates bound how often each caller calls.
type rates struct {
	perSecond float64

	mu sync.Mutex
	of map[string]*rate.Limiter // by caller; guarded by mu
}

// maxRates is how many callers are remembered.
const maxRates = 10000

// wait takes a request of a caller into account, and returns how long to wait before the
// next one where that was too many.
func (l *rates) wait(caller string, now time.Time) time.Duration {
	if l.perSecond == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil || len(l.of) > maxRates {
		l.of = map[string]*rate.Limiter{} // everybody begins anew
	}
	limiter := l.of[caller]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(l.perSecond), int(math.Ceil(2*l.perSecond)))
		l.of[caller] = limiter
	}
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return time.Duration(missing / l.perSecond * float64(time.Second))
}

// withinRate refuses a request of a caller that makes too many.
func (h *handler) withinRate(w *stream, r *http.Request, who *auth.TokenInfo) bool {
	caller, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		caller = r.RemoteAddr
	}
	if who != nil {
		caller = "user " + who.UserID
	}
	wait := h.rates.wait(caller, time.Now())
	if wait == 0 {
		return true
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.header.Set("Retry-After", strconv.Itoa(seconds))
	w.refuse(http.StatusTooManyRequests, nil, fmt.Sprintf(
		"too many requests: a caller may make %g a second, and twice as many at once; nothing was done, try again in %d s", h.Rate, seconds))
	return false
}
