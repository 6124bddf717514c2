package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// One call of a tool by a process that has read nothing yet (ours), and the same requests
// on a connection of the same kind, one after the other, their answers read and thrown away
// (bare). Both take turns, and PVE is the simulator in this same process, whose own work is
// in both. own is the call with PVE's answers at hand in memory; kept is a call just after
// another one, which uses the list of guests again. Each is the best of the calls of a run:
// the others tell of what else the machine does.
func BenchmarkCall(b *testing.B) {
	for _, t := range []struct{ name, args string }{
		{"pve_guest_status", `{"vmid":100}`},
		{"pve_list_guests", `{}`},
		{"pve_audit", `{}`},
	} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("tool=%s/%s", t.name, sized(n)), func(b *testing.B) { compare(b, t.name, t.args, n) })
		}
	}
}

func compare(b *testing.B, name, args string, guests int) {
	c, t := newCluster(b, guests), named(b, name)
	seen := &recorder{RoundTripper: c.transport}
	size := len(call(b, t, c.host(b, seen), args).Text)
	other := c.wire()
	exchange(b, other, seen.seen)
	ready := atHand(b, other, seen.seen)
	var ours, bare, own, kept []time.Duration
	for b.Loop() {
		h := c.host(b, c.transport)
		ours = append(ours, took(func() { call(b, t, h, args) }))
		bare = append(bare, took(func() { exchange(b, other, seen.seen) }))
		kept = append(kept, took(func() { call(b, t, h, args) }))
		h = c.host(b, ready)
		own = append(own, took(func() { call(b, t, h, args) }))
	}
	allocs := testing.AllocsPerRun(5, func() { call(b, t, c.host(b, ready), args) })
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
	b.ReportMetric(ms(slices.Min(ours)), "ours-ms")
	b.ReportMetric(ms(slices.Min(bare)), "bare-ms")
	b.ReportMetric(ms(slices.Min(own)), "own-ms")
	b.ReportMetric(ms(slices.Min(kept)), "kept-ms")
	b.ReportMetric(float64(len(seen.seen)), "requests")
	b.ReportMetric(float64(size), "answer-B")
	b.ReportMetric(allocs, "own-allocs")
}

func took(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}

// memory answers requests that were answered before with what was answered then.
type memory map[string][]byte

func atHand(tb testing.TB, wire http.RoundTripper, reqs []*http.Request) memory {
	tb.Helper()
	m := memory{}
	for _, req := range reqs {
		resp, err := wire.RoundTrip(req.Clone(tb.Context()))
		if err != nil {
			tb.Fatal(err)
		}
		m[req.URL.String()], err = io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

func (m memory) RoundTrip(req *http.Request) (*http.Response, error) {
	body := m[req.URL.String()]
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body)),
		Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}, nil
}
