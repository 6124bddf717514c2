package httpserve

import (
	"fmt"
	"math"
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

// rates bound how often each of many does something.
type rates struct {
	perSecond float64 // 0 for any number
	burst     int     // at once

	mu             sync.Mutex
	lately, before map[string]*rate.Limiter // guarded by mu
}

// maxRates is how many are remembered for sure: as soon as there are as many, those who
// have done nothing since there were as many before are forgotten.
const maxRates = 10000

// wait takes into account that somebody does it, and returns how long to wait before the
// next time where that was too often.
func (l *rates) wait(who string, now time.Time) time.Duration {
	if l.perSecond == 0 {
		return 0
	}
	limiter := l.limiter(who)
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return time.Duration(missing / l.perSecond * float64(time.Second))
}

func (l *rates) limiter(who string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limiter := l.lately[who]; limiter != nil {
		return limiter
	}
	if l.lately == nil || len(l.lately) >= maxRates {
		l.lately, l.before = map[string]*rate.Limiter{}, l.lately
	}
	limiter := l.before[who]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(l.perSecond), l.burst)
	}
	l.lately[who] = limiter
	return limiter
}

// withinRate refuses a request of a caller that makes too many.
func (h *handler) withinRate(w *stream, r *http.Request, who *auth.TokenInfo) bool {
	caller := h.address(r)
	if who != nil {
		caller = "user " + who.UserID
	}
	return h.notTooOften(w, h.rates.wait(caller, time.Now()), fmt.Sprintf(
		"too many requests: a caller may make %g a second, and twice as many at once; nothing was done", h.Rate))
}

const (
	failedAtOnce    = 10
	failedPerSecond = 10. / 60
)

// mayFail refuses a request with a wrong token where too many came from its address. A
// right token is let in even then: nobody is locked out by what others do behind the same
// address, and looking at one more token helps no guesser, since a token has 256 bits or a
// signature.
func (h *handler) mayFail(w *stream, r *http.Request) bool {
	return h.notTooOften(w, h.failures.wait(h.address(r), time.Now()), "too many wrong tokens came from this address; a right one is still let in")
}

func (h *handler) notTooOften(w *stream, wait time.Duration, why string) bool {
	if wait == 0 {
		return true
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.header.Set("Retry-After", strconv.Itoa(seconds))
	w.refuse(http.StatusTooManyRequests, nil, fmt.Sprintf("%s, try again in %d s", why, seconds))
	return false
}
