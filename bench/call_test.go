package bench

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"
)

// One call of a tool, by an MCP client of a server that has read nothing yet (ours), and the
// same requests on a connection of the same kind, one after the other, their answers read and
// thrown away (bare). Both take turns, and PVE is the simulator in this same process, whose own
// work is in both. own is the call with PVE's answers at hand in memory; kept is a call just
// after another one, which uses the list of guests again. Each is the best of the calls of a
// run: the others tell of what else the machine does.
func BenchmarkCall(b *testing.B) {
	for _, t := range []struct {
		of string
		toolCall
	}{
		{"", toolCall{"pve_guest_status", `{"vmid":100}`}},
		{"", toolCall{"pve_list_guests", `{}`}},
	} {
		for _, n := range sizes {
			b.Run(named(t.name, t.of, n), func(b *testing.B) { compare(b, t.toolCall, n) })
		}
	}
	b.Run(named("pve_api_search", "", 10), func(b *testing.B) { // whatever guests there are
		compare(b, toolCall{"pve_api_search", `{"query":"add a user to a group"}`}, 10)
	})
}

// BenchmarkSurvey is [BenchmarkCall] for tools that look into many guests or nodes.
func BenchmarkSurvey(b *testing.B) {
	for _, t := range []struct {
		of string
		toolCall
	}{
		{"", toolCall{"pve_audit", `{}`}},
		{"plan", toolCall{"pve_bulk_action", `{"action":"snapshot","guests":"100-199","snapname":"patch","skip_impossible":true,"plan":true}`}},
		{"plan", toolCall{"pve_drain_node", `{"node":"pve1","action":"drain","plan":true}`}},
		{"bridge", toolCall{"pve_find", `{"bridge":"vmbr0"}`}},
		{"lose_node", toolCall{"pve_what_if", `{"scenario":"lose_node","node":"pve1"}`}},
		{"drain", toolCall{"pve_what_if", `{"scenario":"drain","node":"pve1"}`}},
		{"rebalance", toolCall{"pve_what_if", `{"scenario":"rebalance"}`}},
	} {
		for _, n := range sizes {
			b.Run(named(t.name, t.of, n), func(b *testing.B) { compare(b, t.toolCall, n) })
		}
	}
	for _, n := range sizes[:3] { // the simulator takes most of the time to think of a month of each node
		b.Run(named("pve_metrics", "", n), func(b *testing.B) { compare(b, toolCall{"pve_metrics", `{}`}, n) })
	}
}

// named is the name of a benchmark: a tool, what it is asked for if that is not all that is
// measured of it, and on how many guests.
func named(tool, of string, n int) string {
	if of != "" {
		tool += "/of=" + of
	}
	return fmt.Sprintf("tool=%s/%s", tool, guests(n))
}

func compare(b *testing.B, t toolCall, n int) {
	c := newCluster(b, n)
	seen := &recorder{RoundTripper: c.transport}
	size := c.callOnce(b, seen, t)
	other := c.wire()
	repeat(b, other, seen.seen)
	var ours, bare, own, kept []time.Duration
	for b.Loop() {
		s := c.open(b, c.transport)
		ours = append(ours, took(func() { s.call(b, t) }))
		bare = append(bare, took(func() { repeat(b, other, seen.seen) }))
		kept = append(kept, took(func() { s.call(b, t) }))
		s.end(b)
		m := atHand(seen.seen)
		s = c.open(b, m)
		own = append(own, took(func() { s.call(b, t) }))
		s.end(b)
		m.check(b)
	}
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
	b.ReportMetric(ms(slices.Min(ours)), "ours-ms")
	b.ReportMetric(ms(slices.Min(bare)), "bare-ms")
	b.ReportMetric(ms(slices.Min(own)), "own-ms")
	b.ReportMetric(ms(slices.Min(kept)), "kept-ms")
	b.ReportMetric(float64(len(seen.seen)), "requests")
	b.ReportMetric(float64(size), "answer-B")
	c.reportAllocated(b, t, seen.seen)
}

// callOnce makes a call on a server of its own.
func (c *cluster) callOnce(tb testing.TB, wire http.RoundTripper, t toolCall) (size int) {
	tb.Helper()
	s := c.open(tb, wire)
	defer s.end(tb)
	return s.call(tb, t)
}

// reportAllocated reports what a call allocates with PVE's answers at hand, the least of a few.
func (c *cluster) reportAllocated(b *testing.B, t toolCall, answers []exchange) {
	b.Helper()
	var allocs, bytes []uint64
	for range 3 {
		m := atHand(answers)
		s := c.open(b, m)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.call(b, t)
		runtime.ReadMemStats(&after)
		s.end(b)
		m.check(b)
		allocs, bytes = append(allocs, after.Mallocs-before.Mallocs), append(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	b.ReportMetric(float64(slices.Min(allocs)), "own-allocs")
	b.ReportMetric(float64(slices.Min(bytes))/1024, "own-KiB")
}
