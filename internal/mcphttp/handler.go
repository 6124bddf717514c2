package mcphttp

import (
	"context"
	"crypto/rand"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// stateless is the first version of the protocol without sessions.
const stateless = "2026-07-28"

// sessionTime is how long a session of the handshake versions lives unused.
const sessionTime = 30 * time.Minute

type handler struct {
	Options
	stop    context.Context // ends when the server drains
	endless context.Context // of streams without an end
	modern  http.Handler
	legacy  http.Handler
	ready   *ready
	rates   *rates // of callers

	failures *rates // of addresses, to show tokens that are wrong
	refused  *tally // calls that a caller's scopes do not cover
	requests *share
	calls    *share
	streams  *share
	bytes    *share
	sessions *sessions
	conns    *conns

	endStreams func()
	sessionKey string
}

func newHandler(stop context.Context, o Options) *handler {
	h := &handler{
		Options: o, stop: stop,
		ready: &ready{ask: o.Ready}, rates: &rates{perSecond: o.Rate, burst: int(math.Ceil(2 * o.Rate))},
		failures: &rates{perSecond: failedPerSecond, burst: failedAtOnce},
		refused:  &tally{rates: rates{perSecond: failedPerSecond, burst: failedAtOnce}},
		requests: newShare(maxRequests, callersRequests), calls: newShare(maxCalls, callersCalls),
		streams: newShare(maxStreams, callersStreams), bytes: newShare(maxBytes, callersBytes),
		sessions: newSessions(o.Server), conns: newConns(), sessionKey: rand.Text(),
	}
	get := func(*http.Request) *mcp.Server { return o.Server }
	h.modern = mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		Stateless: true, PropagateRequestCancellation: true, DisableLocalhostProtection: true, MaxRequestBodyBytes: bodyBytes,
	})
	h.legacy = mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		Stateless: o.SessionsOff, SessionTimeout: sessionTime, DisableLocalhostProtection: true, MaxRequestBodyBytes: bodyBytes,
	})
	h.endless, h.endStreams = context.WithCancel(context.WithoutCancel(stop))
	return h
}

func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	if h.OAuth != nil {
		mux.HandleFunc("GET "+wellKnown, h.serveMetadata)
		mux.HandleFunc("GET "+wellKnown+"/", h.serveMetadata)
	}
	if h.Metrics != nil && h.Authenticate != nil {
		mux.HandleFunc("GET /metrics", h.logged(h.serveMetrics))
	}
	mux.HandleFunc(Path, h.logged(h.serveMCP))
	return inTime(h.Metrics.statuses(mux))
}

// serveMCP lets a request through to the SDK once everything about it is in order.
func (h *handler) serveMCP(w *stream, r *http.Request) {
	if !h.checkHost(w, r) || !h.checkOrigin(w, r) {
		return
	}
	who, ok := h.authenticate(w, r)
	caller := h.callerOf(r, who)
	if !ok || !h.withinRate(w, caller) || !h.checkOwn(w, r) {
		return
	}
	leave, ok := h.enter(w, r, caller)
	if !ok {
		return
	}
	leave = sync.OnceFunc(leave)
	defer leave()
	defer h.conns.keep(r)()
	all, forget, ok := h.readBody(w, r, caller)
	if !ok {
		return
	}
	defer forget()
	w.about = all
	if !all.checkTask(w, r) || !h.checkScopes(w, r, who, all) {
		return
	}
	end, ok := h.begin(w, r, caller, all)
	if !ok {
		return
	}
	defer end()
	if all.endless(r) {
		leave() // a stream has a place of its own
	}
	h.pass(w, r, who, caller, all)
}

// pass hands a request to the SDK.
func (h *handler) pass(w *stream, r *http.Request, who *auth.TokenInfo, caller string, all messages) {
	next, connected := h.modern, r.Context()
	if r.Header.Get("Mcp-Protocol-Version") < stateless {
		done, ok := h.useSession(w, r, caller, all)
		if !ok {
			return
		}
		defer done()
		next = h.legacy
		if !all.endless(r) {
			// In the handshake versions a connection that is lost cancels nothing: the client
			// may say so, or ask for the outcome later. The request goes on until its call has
			// ended, so that this counts as under way for as long.
			connected = context.WithoutCancel(connected)
		}
	}
	if who != nil { // the SDK takes an identity from its own middleware alone
		known := func(context.Context, string, *http.Request) (*auth.TokenInfo, error) { return who, nil }
		next = auth.RequireBearerToken(known, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(next)
	}
	ctx, cancel := context.WithCancel(connected)
	defer cancel()
	if all.endless(r) {
		defer context.AfterFunc(h.endless, cancel)()
	}
	r = r.WithContext(ctx) // a copy, since the SDK changes it while comments may be sent
	defer w.keepAlive(all.called())()
	next.ServeHTTP(w, r)
}
