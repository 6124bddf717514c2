package bench

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// One call that changes something, to its end. The cluster's time passes with each request, so
// that a task has ended when it is first looked at: each look more would say how long the task
// takes, and not what the tool does. What planning it costs is in [BenchmarkSurvey].
func BenchmarkChange(b *testing.B) {
	for _, t := range []struct {
		of   string
		call func(*cluster) toolCall
	}{
		{"snapshot", func(*cluster) toolCall {
			return toolCall{"pve_bulk_action", `{"action":"snapshot","guests":"100-199","snapname":"patch","skip_impossible":true,"confirm":true,"wait":45}`}
		}},
		{"drain", func(*cluster) toolCall {
			return toolCall{"pve_drain_node", `{"node":"pve1","action":"drain","confirm":true,"wait":45}`}
		}},
		{"", func(c *cluster) toolCall {
			return toolCall{"pve_vm_exec", fmt.Sprintf(`{"vmid":%d,"command":["true"]}`, c.runningVM())}
		}},
	} {
		for _, n := range sizes {
			name := t.call(&cluster{model: sized(n)}).name
			b.Run(named(name, t.of, n), func(b *testing.B) { change(b, t.call, n) })
		}
	}
}

// hurried lets a minute of the cluster's time pass before each request.
type hurried struct {
	http.RoundTripper
	clock *pvesim.Virtual
}

func (h hurried) RoundTrip(req *http.Request) (*http.Response, error) {
	h.clock.Advance(time.Minute)
	return h.RoundTripper.RoundTrip(req)
}

func change(b *testing.B, of func(*cluster) toolCall, n int) {
	var seen *recorder
	size := 0
	for b.Loop() {
		clock := pvesim.NewVirtual(time.Now())
		c := start(b, sized(n), pvesim.Options{Clock: clock})
		seen = &recorder{RoundTripper: hurried{c.transport, clock}}
		size = c.callOnce(b, seen, of(c))
	}
	writes := 0
	for _, x := range seen.seen {
		if x.request.Method != http.MethodGet {
			writes++
		}
	}
	b.ReportMetric(0, "ns/op") // the cluster's own start is in it
	b.ReportMetric(float64(len(seen.seen)), "requests")
	b.ReportMetric(float64(writes), "writes")
	b.ReportMetric(float64(size), "answer-B")
}

// BenchmarkScreen is one look at the screen of a VM, with a picture of it.
func BenchmarkScreen(b *testing.B) {
	for _, n := range sizes {
		b.Run(named("pve_console", "picture", n), func(b *testing.B) {
			c := newCluster(b, n)
			t := toolCall{"pve_console", fmt.Sprintf(`{"vmid":%d,"picture":true}`, c.runningVM())}
			seen := &recorder{RoundTripper: c.transport}
			size := c.callOnce(b, seen, t)
			var ours []time.Duration
			for b.Loop() {
				s := c.open(b, c.transport)
				ours = append(ours, took(func() { s.call(b, t) }))
				s.end(b)
			}
			b.ReportMetric(0, "ns/op") // the server's own start is in it
			b.ReportMetric(ms(slices.Min(ours)), "ours-ms")
			b.ReportMetric(float64(len(seen.seen)), "requests")
			b.ReportMetric(float64(size), "answer-B")
		})
	}
}
