package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pve-mcp/internal/httpserve"
	"pve-mcp/internal/server"
)

// clients are how many call at once.
var clients = []int{1, 10, 100, 200}

// mixed are what they call, one after the other.
var mixed = []struct{ name, args string }{
	{"pve_list_guests", `{"status":"running","sort":"cpu"}`},
	{"pve_guest_status", `{"vmid":100}`},
	{"pve_list_nodes", `{}`},
	{"pve_guest_config", `{"vmid":101}`},
	{"pve_list_guests", `{"name":"web"}`},
	{"pve_cluster_status", `{}`},
	{"pve_list_storage", `{}`},
	{"pve_guest_status", `{"vmid":103}`},
	{"pve_list_tasks", `{}`},
	{"pve_node_status", `{"node":"pve1"}`},
}

// BenchmarkHTTP is one server with clients that call tools without a pause. pve/call is how
// many requests reached PVE for a call: those of the same kind at the same time share one.
func BenchmarkHTTP(b *testing.B) {
	for _, guests := range sizes {
		for _, n := range clients {
			b.Run(fmt.Sprintf("clients=%d/%s", n, sized(guests)), func(b *testing.B) {
				c := newCluster(b, guests)
				url := serve(b, c)
				b.ResetTimer()
				all := load(b, url, n, max(b.N, n*len(mixed)/5))
				b.StopTimer()
				took := b.Elapsed()
				b.ReportMetric(0, "ns/op") // it depends on how many there are
				b.ReportMetric(float64(len(all))/took.Seconds(), "calls/s")
				b.ReportMetric(ms(quantile(all, 0.5)), "p50-ms")
				b.ReportMetric(ms(quantile(all, 0.99)), "p99-ms")
				b.ReportMetric(float64(len(c.sim.Requests()))/float64(len(all)), "pve/call")
				b.ReportMetric(inUse(), "heap-MiB")
			})
		}
	}
}

// Two hundred clients with mixed calls get what they ask for; what they ask at the same
// time is asked of PVE once, and nothing of it stays.
func TestTwoHundredClients(t *testing.T) {
	c := newCluster(t, 1_000)
	url := serve(t, c)
	load(t, url, 10, 20) // what is built once
	before := inUse()
	sent := len(c.sim.Requests())
	const calls = 800
	load(t, url, 200, calls)
	if n := len(c.sim.Requests()) - sent; n >= calls {
		t.Errorf("%d requests to PVE for %d calls, each of which needs two or three", n, calls)
	}
	if grown := inUse() - before; grown > 64 {
		t.Errorf("%.0f MiB more are in use than before", grown)
	}
}

// inUse is the memory that is in use after a collection, in MiB: of server, simulator and
// clients together.
func inUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// serve serves a cluster's tools over HTTP, and returns where.
func serve(tb testing.TB, c *cluster) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	s := server.New(server.Options{Version: "bench", Host: c.host(tb, c.transport)})
	go func() { ended <- httpserve.Serve(ctx, l, httpserve.Options{Server: s}) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	return "http://" + l.Addr().String() + httpserve.Path
}

// load makes some calls, by n clients with a connection each, and returns how long each of
// them took. Every call must succeed.
func load(tb testing.TB, url string, n, calls int) []time.Duration {
	tb.Helper()
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			wire := &http.Transport{}
			defer wire.CloseIdleConnections()
			var own []time.Duration
			for {
				i := int(next.Add(1)) - 1
				if i >= calls {
					break
				}
				begun := time.Now()
				if err := post(tb.Context(), wire, url, mixed[i%len(mixed)].name, mixed[i%len(mixed)].args); err != nil {
					tb.Error(err)
				}
				own = append(own, time.Since(begun))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	running.Wait()
	return all
}

// post calls a tool as a client of the stateless protocol does.
func post(ctx context.Context, wire http.RoundTripper, url, name, args string) error {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, name, args)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": name,
	} {
		req.Header.Set(k, v)
	}
	resp, err := wire.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if _, event, ok := bytes.Cut(text, []byte("data: ")); ok {
		text = event
	}
	var answer struct {
		Result *struct {
			IsError bool `json:"isError"`
		} `json:"result"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil || answer.Result == nil || answer.Result.IsError {
		return fmt.Errorf("%s %s: %s %v: %.300s", name, args, resp.Status, err, text)
	}
	return nil
}
