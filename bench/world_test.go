// Package bench measures what users wait for and what a cluster has to answer, beside the
// least that it could be: the same server without tools, and the same requests without a
// server. Every figure is a benchmark, so that benchstat can compare two runs of them; make
// bench runs all and writes docs/performance.md.
package bench

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
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
	return start(tb, sized(guests), pvesim.Options{})
}

// sized is a cluster whose nodes have room for the guests of another one.
func sized(guests int) pvesim.Model {
	m := pvesim.Sized(1, max(3, guests*30/10_000), guests*7/10, guests*3/10)
	for i := range m.Nodes {
		m.Nodes[i].Memory = 4 << 40
	}
	return m
}

func start(tb testing.TB, m pvesim.Model, o pvesim.Options) *cluster {
	tb.Helper()
	c := &cluster{model: m}
	var err error
	if c.sim, err = pvesim.NewSim(c.model, o); err != nil {
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
	h, err := demo.Host(c.listener.URL(), wire, c.model.Token(demo.TokenID), policy.Policy{Exec: true})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// runningVM is the first VM that runs.
func (c *cluster) runningVM() int {
	i := slices.IndexFunc(c.model.Guests, func(g pvesim.Guest) bool { return g.Kind == "qemu" && g.Running })
	return c.model.Guests[i].VMID
}

// session is a client of a server that offers all tools and has read nothing yet.
type session struct {
	*mcp.ClientSession
	server *mcp.ServerSession
}

func (c *cluster) open(tb testing.TB, wire http.RoundTripper) session {
	tb.Helper()
	server := mcpserver.New(mcpserver.Options{Version: "bench", Host: c.host(tb, wire), Selection: toolset.Selection{Toolsets: []string{toolset.Everything}}})
	ours, theirs := mcp.NewInMemoryTransports()
	s := session{}
	var err error
	if s.server, err = server.Connect(tb.Context(), theirs, nil); err != nil {
		tb.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	if s.ClientSession, err = client.Connect(tb.Context(), ours, nil); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s session) end(tb testing.TB) {
	tb.Helper()
	if err := errors.Join(s.Close(), s.server.Wait()); err != nil {
		tb.Fatal(err)
	}
}

// toolCall is a call of a tool.
type toolCall struct{ name, args string }

// call calls a tool, and returns how many bytes a model gets. It fails the benchmark if the
// call fails.
func (s session) call(tb testing.TB, c toolCall) (size int) {
	tb.Helper()
	res, err := s.CallTool(tb.Context(), &mcp.CallToolParams{Name: c.name, Arguments: json.RawMessage(c.args)})
	if err != nil {
		tb.Fatalf("%s %s: %v", c.name, c.args, err)
	}
	for _, content := range res.Content {
		switch content := content.(type) {
		case *mcp.TextContent:
			size += len(content.Text)
			if res.IsError {
				tb.Fatalf("%s %s: %s", c.name, c.args, content.Text)
			}
		case *mcp.ImageContent:
			size += base64.StdEncoding.EncodedLen(len(content.Data))
		}
	}
	return size
}

func took(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}

// quantile is the value that a share of all is at most.
func quantile[T cmp.Ordered](all []T, share float64) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func guests(n int) string { return fmt.Sprintf("guests=%d", n) }
