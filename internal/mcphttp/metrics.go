package mcphttp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// Metrics counts calls and requests to PVE, and shows them as Prometheus reads them. The
// zero value is ready for use.
type Metrics struct {
	mu       sync.Mutex
	calls    map[[2]string]int     // by tool and outcome; guarded by mu
	latency  map[string]*histogram // by tool; guarded by mu
	requests map[[3]string]int     // to PVE, by method, endpoint and status; guarded by mu
	answers  map[[3]string]int     // of answers over HTTP, by path, method and status; guarded by mu
	flying   int                   // calls under way; guarded by mu
	tasks    int                   // of PVE that are waited for; guarded by mu
}

// buckets are the upper bounds of a histogram, in seconds.
var buckets = [...]float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60}

type histogram struct {
	within [len(buckets)]int
	count  int
	sum    float64 // seconds
}

// count counts calls of tools.
func (m *Metrics) count(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		call, ok := req.(*mcp.CallToolRequest)
		if !ok {
			return next(ctx, method, req)
		}
		begun := time.Now()
		m.add(func() { m.flying++ })
		res, err := next(ctx, method, req)
		name := call.Params.Name
		if _, known := mcpserver.RiskOf(name, nil); !known {
			name = "unknown" // or any caller could make series without end
		}
		m.add(func() {
			m.flying--
			m.called(name, outcome(res, err), time.Since(begun).Seconds())
		})
		return res, err
	}
}

func (m *Metrics) add(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// called is called with mu held.
func (m *Metrics) called(tool, outcome string, seconds float64) {
	if m.calls == nil {
		m.calls, m.latency = map[[2]string]int{}, map[string]*histogram{}
	}
	m.calls[[2]string{tool, outcome}]++
	h := m.latency[tool]
	if h == nil {
		h = &histogram{}
		m.latency[tool] = h
	}
	h.count++
	h.sum += seconds
	for i, most := range buckets {
		if seconds <= most {
			h.within[i]++
		}
	}
}

// outcome is that of a change, or whether a call that reads went well.
func outcome(res mcp.Result, err error) string {
	called, ok := res.(*mcp.CallToolResult)
	switch {
	case err == nil && mcptask.IsCreated(res):
		return string(tool.Running)
	case err != nil || !ok:
		return "refused"
	case called.InputRequests != nil:
		return "asked"
	}
	if own := mcpserver.OutcomeOf(called); own != "" {
		return own
	}
	if called.IsError {
		return "failed"
	}
	return "ok"
}

// statuses counts what requests over HTTP are answered with. A nil *Metrics counts nothing.
func (m *Metrics) statuses(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, request: r, metrics: m}
		next.ServeHTTP(a, r)
		a.count(http.StatusOK) // what nobody has answered otherwise
	})
}

// answer is counted when its header is sent.
type answer struct {
	http.ResponseWriter
	request *http.Request
	metrics *Metrics
	counted bool
}

// Unwrap is what [http.ResponseController] looks for.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	a.count(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.count(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

// count counts once. What callers make up is no series of its own.
func (a *answer) count(status int) {
	if a.counted || status < http.StatusOK {
		return
	}
	a.counted = true
	_, path, _ := strings.Cut(a.request.Pattern, "/")
	method := a.request.Method
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodPut, http.MethodPatch}, method) {
		method = "other"
	}
	m := a.metrics
	m.add(func() {
		if m.answers == nil {
			m.answers = map[[3]string]int{}
		}
		m.answers[[3]string{"/" + path, method, strconv.Itoa(status)}]++
	})
}

// Waiting counts the tasks of PVE that are waited for.
func (m *Metrics) Waiting(change int) { m.add(func() { m.tasks += change }) }

// Transport counts the requests that pass through it to PVE.
func (m *Metrics) Transport(base http.RoundTripper) http.RoundTripper { return counted{m, base} }

type counted struct {
	metrics *Metrics
	base    http.RoundTripper
}

func (c counted) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(req)
	status := "none"
	if err == nil {
		status = strconv.Itoa(resp.StatusCode)
	}
	m := c.metrics
	m.add(func() {
		if m.requests == nil {
			m.requests = map[[3]string]int{}
		}
		m.requests[[3]string{req.Method, telemetry.Endpoint(req), status}]++
	})
	return resp, err
}

// ServeHTTP writes the metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var text bytes.Buffer
	m.add(func() { m.write(&text) })
	_, _ = w.Write(text.Bytes())
}

// write is called with mu held.
func (m *Metrics) write(w io.Writer) {
	about(w, "pve_mcp_calls_total", "counter", "Calls by tool and outcome.")
	for _, k := range sorted(m.calls, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		fmt.Fprintf(w, "pve_mcp_calls_total{tool=%q,outcome=%q} %d\n", k[0], k[1], m.calls[k])
	}
	about(w, "pve_mcp_call_seconds", "histogram", "How long calls took.")
	for _, tool := range sorted(m.latency, strings.Compare) {
		h := m.latency[tool]
		for i, most := range buckets {
			fmt.Fprintf(w, "pve_mcp_call_seconds_bucket{tool=%q,le=\"%g\"} %d\n", tool, most, h.within[i])
		}
		fmt.Fprintf(w, "pve_mcp_call_seconds_bucket{tool=%q,le=\"+Inf\"} %d\n", tool, h.count)
		fmt.Fprintf(w, "pve_mcp_call_seconds_sum{tool=%q} %g\npve_mcp_call_seconds_count{tool=%q} %d\n", tool, h.sum, tool, h.count)
	}
	about(w, "pve_mcp_http_answers_total", "counter", "Answers over HTTP by path, method and status.")
	for _, k := range sorted(m.answers, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		fmt.Fprintf(w, "pve_mcp_http_answers_total{path=%q,method=%q,status=%q} %d\n", k[0], k[1], k[2], m.answers[k])
	}
	about(w, "pve_mcp_pve_requests_total", "counter", "Requests to PVE by method, endpoint and status.")
	for _, k := range sorted(m.requests, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		fmt.Fprintf(w, "pve_mcp_pve_requests_total{method=%q,endpoint=%q,status=%q} %d\n", k[0], k[1], k[2], m.requests[k])
	}
	about(w, "pve_mcp_calls_in_flight", "gauge", "Calls of tools under way.")
	fmt.Fprintf(w, "pve_mcp_calls_in_flight %d\n", m.flying)
	about(w, "pve_mcp_pve_tasks_in_flight", "gauge", "Tasks of PVE that are waited for.")
	fmt.Fprintf(w, "pve_mcp_pve_tasks_in_flight %d\n", m.tasks)
}

func about(w io.Writer, name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

// serveMetrics shows the metrics to callers who say who they are.
func (h *handler) serveMetrics(w *stream, r *http.Request) {
	if _, ok := h.authenticate(w, r); ok {
		h.Metrics.ServeHTTP(w, r)
	}
}
