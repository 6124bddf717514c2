package mcphttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"golang.org/x/time/rate"
)

// The limits of what is under way, in all and of one caller, who leaves room for others.
// docs/http.md says what memory they add up to.
const (
	// Requests but streams without an end; more are refused at once.
	maxRequests, callersRequests = 1024, 256
	// Calls, of which a batch has several; more wait.
	maxCalls, callersCalls = 256, 64
	// callTime is how long they wait.
	callTime = 10 * time.Second
	// Streams without an end.
	maxStreams, callersStreams = 512, 128
	// Sessions of the handshake versions.
	maxSessions, callersSessions = 1024, 256
	// Bytes of large bodies, of each of which several copies are made until the call ends.
	maxBytes, callersBytes = 8 << 20, 2 << 20
	// smallBytes is how long a body may be that needs no share of these.
	smallBytes = 8 << 10
	// helloBytes is how long a request may be that begins a session, which keeps it.
	helloBytes = 8 << 10
)

// enter lets a request of a caller begin where not too many are under way.
func (h *handler) enter(w *stream, r *http.Request, caller string) (leave func(), ok bool) {
	t, err := h.requests.take(r.Context(), caller, 1, 0)
	if err != nil {
		h.refuseBusy(w, nil, err)
		return nil, false
	}
	return t.give, true
}

// begin takes the places that the messages of a request need. Answers to a client's human
// need none, so that a call that waits for one cannot keep it out.
func (h *handler) begin(w *stream, r *http.Request, caller string, all messages) (leave func(), ok bool) {
	of, n, patience := h.calls, all.calls(), callTime
	switch {
	case all.endless(r):
		of, n, patience = h.streams, 1, 0
	case n == 0:
		return func() {}, true
	}
	t, err := of.take(r.Context(), caller, n, patience)
	if err != nil {
		h.refuseBusy(w, all.id(), err)
		return nil, false
	}
	return t.give, true
}

// refuseBusy tells a caller that it has, or all have, too much under way.
func (h *handler) refuseBusy(w *stream, id json.RawMessage, why error) {
	status := http.StatusServiceUnavailable
	if errors.Is(why, errOwnShare) {
		status = http.StatusTooManyRequests
	}
	w.header.Set("Retry-After", "5")
	w.refuse(status, id, why.Error()+"; nothing was done, try again in some seconds")
}

// idle waits for a time until no call is under way, and reports whether that is so.
func (h *handler) idle(patience time.Duration) bool {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(patience); h.calls.used.Load() > 0; time.Sleep(pause) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
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
// next time if that was too often.
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

// callerOf is whose shares and whose rate a request counts for: the authenticated caller,
// or an address.
func (h *handler) callerOf(r *http.Request, who *auth.TokenInfo) string {
	if who != nil {
		return "user " + who.UserID
	}
	return h.address(r)
}

// withinRate refuses a request of a caller that makes too many.
func (h *handler) withinRate(w *stream, caller string) bool {
	return h.notTooOften(w, h.rates.wait(caller, time.Now()), fmt.Sprintf(
		"too many requests: a caller may make %g a second, and twice as many at once; nothing was done", h.Rate))
}

// tally counts what each of many does too often.
type tally struct {
	rates

	mu   sync.Mutex
	left map[string]int // out, since one was kept; guarded by mu
}

// more takes into account that somebody does it, and reports whether that is to be kept, and
// how many times were not since one was.
func (t *tally) more(who string, now time.Time) (left int, keep bool) {
	keep = t.wait(who, now) == 0
	t.mu.Lock()
	defer t.mu.Unlock()
	left = t.left[who]
	switch {
	case keep:
		delete(t.left, who)
	case t.left == nil, len(t.left) >= maxRates:
		t.left = map[string]int{who: 1}
	default:
		t.left[who]++
	}
	return left, keep
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
