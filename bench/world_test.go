// Package bench measures what users wait for and what a cluster has to answer, beside the
// least that it could be: the same server without tools, and the same requests without a
// server. Every figure is a benchmark, so that benchstat can compare two runs of them; make
// bench runs all and writes docs/performance.md.
package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// sizes are how many guests the clusters have.
var sizes = []int{10, 100, 1_000, 10_000}

// cluster is a simulated cluster at the other end of a loopback connection with TLS.
type cluster struct {
	model     pvesim.Model
	sim       *pvesim.Sim
	listener  *pvesim.Listener
	pin       proxmox.Fingerprint
	transport http.RoundTripper
}

func newCluster(tb testing.TB, guests int) *cluster {
	tb.Helper()
	c := &cluster{model: pvesim.Sized(1, max(3, guests*30/10_000), guests*7/10, guests*3/10)}
	var err error
	if c.sim, err = pvesim.NewSim(c.model, pvesim.Options{}); err != nil {
		tb.Fatal(err)
	}
	if c.listener, err = c.sim.Listen("127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	if c.pin, err = proxmox.ParseFingerprint(c.listener.Fingerprint()); err != nil {
		tb.Fatal(err)
	}
	c.transport = c.wire()
	tb.Cleanup(func() {
		if err := c.listener.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// wire is a way to the cluster with connections of its own.
func (c *cluster) wire() http.RoundTripper {
	host := strings.TrimPrefix(c.listener.URL(), "https://")
	return proxmox.NewTransport(proxmox.TLS{Fingerprints: map[string]proxmox.Fingerprint{host: c.pin}})
}

// host is a process that has read nothing yet, on connections that are there.
func (c *cluster) host(tb testing.TB, wire http.RoundTripper) tool.Host {
	tb.Helper()
	h, err := demo.Host(c.listener.URL(), wire, c.model.Token(demo.TokenID), policy.Policy{})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func named(tb testing.TB, name string) tool.Tool {
	tb.Helper()
	t, ok := toolset.Named(name)
	if !ok {
		tb.Fatalf("no tool %s", name)
	}
	return t
}

// call calls a tool, and fails the benchmark if it fails.
func call(tb testing.TB, t tool.Tool, h tool.Host, args string) tool.Result {
	tb.Helper()
	res := t.Call(tb.Context(), h, tool.Request{Arguments: json.RawMessage(args), Caller: "bench"})
	if res.IsError {
		tb.Fatalf("%s %s: %s", t.Name, args, res.Text)
	}
	return res
}

// recorder notes the requests that pass.
type recorder struct {
	http.RoundTripper
	mu   sync.Mutex
	seen []*http.Request // guarded by mu
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.seen = append(r.seen, req)
	r.mu.Unlock()
	return r.RoundTripper.RoundTrip(req)
}

// exchange sends requests one after the other, and reads the answers and throws them away.
func exchange(tb testing.TB, wire http.RoundTripper, reqs []*http.Request) {
	tb.Helper()
	for _, req := range reqs {
		resp, err := wire.RoundTrip(req.Clone(tb.Context()))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			tb.Fatal(resp.Status, err)
		}
		if err := resp.Body.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// quantile is the value that a share of all is at most.
func quantile[T cmp.Ordered](all []T, share float64) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func sized(n int) string { return fmt.Sprintf("guests=%d", n) }
