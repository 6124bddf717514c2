package httpserve

import (
	"context"
	"crypto/rand"
	"math"
	"net/http"
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
	calls    slots
	streams  slots

	endStreams func()
	sessionKey string
}

func newHandler(stop context.Context, o Options) *handler {
	h := &handler{
		Options: o, stop: stop,
		ready: &ready{ask: o.Ready}, rates: &rates{perSecond: o.Rate, burst: int(math.Ceil(2 * o.Rate))},
		failures: &rates{perSecond: failedPerSecond, burst: failedAtOnce},
		calls:    make(slots, maxCalls), streams: make(slots, maxStreams), sessionKey: rand.Text(),
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
	return inTime(mux)
}

// serveMCP lets a request through to the SDK once everything about it is in order.
func (h *handler) serveMCP(w *stream, r *http.Request) {
	if !h.checkHost(w, r) || !h.checkOrigin(w, r) {
		return
	}
	who, ok := h.authenticate(w, r)
	if !ok || !h.withinRate(w, r, who) || !h.checkOwn(w, r) {
		return
	}
	messages, ok := readBody(w, r)
	if len(messages) == 1 {
		w.meta = messages[0].Params.Meta
	}
	if !ok || !messages.checkTask(w, r) || !h.checkScopes(w, r, who, messages) {
		return
	}
	leave, ok := h.enter(w, r, messages)
	if !ok {
		return
	}
	defer leave()
	next, connected := h.legacy, r.Context()
	switch {
	case r.Header.Get("Mcp-Protocol-Version") >= stateless:
		next = h.modern
	case !h.ownSession(w, r):
		return
	case !messages.endless(r):
		// In the handshake versions a connection that is lost cancels nothing: the client
		// may say so, or ask for the outcome later. The request goes on until its call has
		// ended, so that this counts as under way for as long.
		connected = context.WithoutCancel(connected)
	}
	if who != nil { // the SDK takes an identity from its own middleware alone
		known := func(context.Context, string, *http.Request) (*auth.TokenInfo, error) { return who, nil }
		next = auth.RequireBearerToken(known, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(next)
	}
	ctx, cancel := context.WithCancel(connected)
	defer cancel()
	if messages.endless(r) {
		defer context.AfterFunc(h.endless, cancel)()
	}
	r = r.WithContext(ctx) // a copy, since the SDK changes it while comments may be sent
	defer w.keepAlive(messages.called())()
	next.ServeHTTP(w, r)
}
