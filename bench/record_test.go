package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

// exchange is a request with its answer.
type exchange struct {
	request *http.Request
	sent    []byte
	status  int
	header  http.Header
	answer  []byte
}

// recorder keeps what passes.
type recorder struct {
	http.RoundTripper
	mu   sync.Mutex
	seen []exchange // guarded by mu
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchange{request: req.Clone(req.Context())}
	if req.Body != nil {
		var err error
		if x.sent, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req = x.again(req)
	}
	resp, err := r.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x.status, x.header = resp.StatusCode, resp.Header
	if x.status != http.StatusSwitchingProtocols {
		if x.answer, err = io.ReadAll(resp.Body); err != nil {
			return nil, err
		}
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(x.answer))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, x)
	return resp, nil
}

// again is a request that is sent with the body once more.
func (x exchange) again(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.Body = io.NopCloser(bytes.NewReader(x.sent))
	return out
}

// repeat sends the requests one after the other, and reads the answers and throws them away.
func repeat(tb testing.TB, wire http.RoundTripper, all []exchange) {
	tb.Helper()
	for _, x := range all {
		resp, err := wire.RoundTrip(x.again(x.request.WithContext(tb.Context())))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != x.status {
			tb.Fatal(x.request.URL, resp.Status, err)
		}
		if err := resp.Body.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// memory answers requests with what was answered before: those that are alike one after the
// other, and at last again and again with the last answer.
type memory struct {
	mu     sync.Mutex
	left   map[string][]exchange // guarded by mu
	missed error                 // guarded by mu
}

func atHand(all []exchange) *memory {
	m := &memory{left: map[string][]exchange{}}
	for _, x := range all {
		k := keyOf(x.request)
		m.left[k] = append(m.left[k], x)
	}
	return m
}

// keyOf is what a request asks for, but since when.
func keyOf(req *http.Request) string {
	query := req.URL.Query()
	query.Del("since")
	return req.Method + " " + req.URL.Path + "?" + query.Encode()
}

func (m *memory) RoundTrip(req *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := keyOf(req)
	same := m.left[k]
	if len(same) == 0 {
		m.missed = errors.Join(m.missed, fmt.Errorf("%s was not asked before", k))
		return nil, m.missed
	}
	x := same[0]
	m.left[k] = same[min(1, len(same)-1):]
	return &http.Response{
		Status: fmt.Sprint(x.status, " ", http.StatusText(x.status)), StatusCode: x.status, Header: x.header, ContentLength: int64(len(x.answer)),
		Body: io.NopCloser(bytes.NewReader(x.answer)), Request: req,
	}, nil
}

// check fails the benchmark if something was asked that was not asked before.
func (m *memory) check(tb testing.TB) {
	tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.missed != nil {
		tb.Fatal(m.missed)
	}
}
