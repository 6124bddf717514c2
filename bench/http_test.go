package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"

	"github.com/pve-mcp/pve-mcp/bench/bare"
	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

// clients are how many call at once, each of them another caller.
var clients = []int{1, 10, 100, 1_000}

// mixed are what they call, one after the other.
var mixed = []toolCall{
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

// BenchmarkHTTP is one server with clients that call tools without a pause (ours), and
// with as many that call the SDK's least server in the same way, whose answers are as long
// (bare), in turns. pve/call is how many requests reached PVE for a call: those of the
// same kind at the same time share one.
func BenchmarkHTTP(b *testing.B) {
	for _, size := range sizes {
		for _, n := range clients {
			b.Run(fmt.Sprintf("clients=%d/%s", n, guests(size)), func(b *testing.B) { compareHTTP(b, size, n) })
		}
	}
}

func compareHTTP(b *testing.B, size, n int) {
	c := newCluster(b, size)
	ours := side{url: serve(b, c), calls: mixed}
	least := side{url: serveBare(b)}
	least.calls = echoes(b, least.url, ours)
	sent, round := len(c.sim.Requests()), max(200, 2*n)
	for b.Loop() {
		ours.load(b, n, round)
		least.load(b, n, round)
	}
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
	for name, s := range map[string]side{"ours": ours, "bare": least} {
		b.ReportMetric(float64(len(s.took))/s.busy.Seconds(), name+"-calls/s")
		b.ReportMetric(ms(quantile(s.took, 0.5)), name+"-p50-ms")
		b.ReportMetric(ms(quantile(s.took, 0.99)), name+"-p99-ms")
	}
	b.ReportMetric(float64(len(c.sim.Requests())-sent)/float64(len(ours.took)), "pve/call")
	b.ReportMetric(float64(ours.refused)/float64(len(ours.took)), "refused/call")
	b.ReportMetric(float64(ours.bytes)/float64(len(ours.took)), "B/call")
	b.ReportMetric(inUse(), "heap-MiB")
}

// echoes are calls of the bare server's tool that are answered with as many bytes as those
// of another one.
func echoes(b *testing.B, url string, like side) []toolCall {
	b.Helper()
	echo := func(times int) toolCall { return toolCall{"echo", fmt.Sprintf(`{"text":"x","times":%d}`, times)} }
	wire := &http.Transport{}
	defer wire.CloseIdleConnections()
	size := func(url string, call toolCall) int {
		text, err := post(b.Context(), wire, url, "0", call)
		if err != nil {
			b.Fatal(err)
		}
		return len(text)
	}
	empty := size(url, echo(0))
	var calls []toolCall
	for _, call := range like.calls {
		calls = append(calls, echo(max(0, size(like.url, call)-empty)/2)) // a text is in an answer twice
	}
	return calls
}

// Two hundred clients with mixed calls get what they ask for; what they ask at the same
// time is asked of PVE once, and nothing of it stays.
func TestTwoHundredClients(t *testing.T) {
	c := newCluster(t, 1_000)
	s := side{url: serve(t, c), calls: mixed}
	s.load(t, 10, 20) // what is built once
	before := inUse()
	sent := len(c.sim.Requests())
	calls := effort.Of(400, 800, 20_000)
	s.load(t, 200, calls)
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
	s := mcpserver.New(mcpserver.Options{Version: "bench", Host: c.host(tb, c.transport)})
	return listen(tb, mcphttp.Options{Server: s, Authenticate: byName})
}

func listen(tb testing.TB, o mcphttp.Options) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mcphttp.Serve(ctx, l, o) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	return "http://" + l.Addr().String() + mcphttp.Path
}

// byName takes the token of a caller for its name.
func byName(_ context.Context, token string) (*auth.TokenInfo, error) {
	return &auth.TokenInfo{UserID: token, Scopes: callers.Scopes{callers.Read}.Strings(), Expiration: time.Now().Add(time.Hour)}, nil
}

// serveBare serves the SDK's least server, and returns where.
func serveBare(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(bare.Handler())
	tb.Cleanup(s.Close)
	return s.URL
}

// side is a server with what it is asked, and how long that took.
type side struct {
	url   string
	calls []toolCall
	took  []time.Duration // each call
	bytes int             // of all answers
	busy  time.Duration   // all of them
	// refused is how often a call was refused since too much was under way, and was made again.
	refused int
}

// errBusy says that a server has too much under way, and afterBusy is when it wants to be asked
// again.
var errBusy = errors.New("the server is busy")

const afterBusy = 5 * time.Second

// load makes some more calls, by n clients with a connection each. Every call must succeed in the
// end.
func (s *side) load(tb testing.TB, n, calls int) {
	tb.Helper()
	var next atomic.Int64
	var mu sync.Mutex
	var running sync.WaitGroup
	begun := time.Now()
	for caller := range n {
		running.Go(func() {
			wire := &http.Transport{}
			defer wire.CloseIdleConnections()
			var own []time.Duration
			bytes, refused := 0, 0
			for i := next.Add(1) - 1; i < int64(calls); i = next.Add(1) - 1 {
				own = append(own, took(func() {
					text, err := post(tb.Context(), wire, s.url, fmt.Sprint(caller), s.calls[int(i)%len(s.calls)])
					for ; errors.Is(err, errBusy) && tb.Context().Err() == nil; refused++ {
						<-time.After(afterBusy)
						text, err = post(tb.Context(), wire, s.url, fmt.Sprint(caller), s.calls[int(i)%len(s.calls)])
					}
					if err != nil {
						tb.Error(err)
					}
					bytes += len(text)
				}))
			}
			mu.Lock()
			defer mu.Unlock()
			s.took, s.bytes, s.refused = append(s.took, own...), s.bytes+bytes, s.refused+refused
		})
	}
	running.Wait()
	s.busy += time.Since(begun)
}

// post calls a tool as a client of the stateless protocol does, and returns the answer.
func post(ctx context.Context, wire http.RoundTripper, url, caller string, call toolCall, more ...string) (answer []byte, err error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, call.name, call.args)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + caller,
		"Content-Type":  "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": call.name,
	} {
		req.Header.Set(k, v)
	}
	resp, err := wire.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil, errBusy
	}
	event := text
	if _, data, ok := bytes.Cut(text, []byte("data: ")); ok {
		event = data
	}
	var said struct {
		Result *struct {
			IsError bool `json:"isError"`
		} `json:"result"`
	}
	if err := json.NewDecoder(bytes.NewReader(event)).Decode(&said); err != nil || said.Result == nil || said.Result.IsError {
		return text, fmt.Errorf("%s %s: %s %v: %.300s", call.name, call.args, resp.Status, err, text)
	}
	return text, nil
}
