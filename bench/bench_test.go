// Package bench measures what users wait for, and what a model's context pays.
package bench

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/demo"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/server"
	"pve-mcp/internal/tool"
	"pve-mcp/pve/apischema"
	"pve-mcp/pvesim"
)

// host is a host whose cluster has n guests.
func host(b *testing.B, n int) tool.Host {
	b.Helper()
	m := pvesim.Cluster()
	kinds := m.Guests
	for id := 1000; len(m.Guests) < n; id++ {
		g := kinds[id%len(kinds)]
		g.VMID = id
		m.Guests = append(m.Guests, g)
	}
	sim, err := pvesim.New(m, pvesim.Options{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := demo.Host(sim.URL(), sim.Transport(), m.Token(demo.TokenID), guard.Policy{})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// From the simulator to decoded Go values.
func BenchmarkResourcesOf10000Guests(b *testing.B) {
	h := host(b, 10_000)
	client, err := h.Client(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		all, _, err := client.Resources(b.Context(), "vm")
		if err != nil || len(all) != 10_000 {
			b.Fatal(len(all), err)
		}
	}
}

// One answer of pve_list_guests, with the bytes that the model reads.
func BenchmarkListOf10000Guests(b *testing.B) {
	h := host(b, 10_000)
	list := named(b, "pve_list_guests")
	size := 0
	for b.Loop() {
		res := list.Call(b.Context(), h, tool.Request{Arguments: json.RawMessage(`{"status":"running","sort":"cpu"}`)})
		if res.IsError {
			b.Fatal(res.Text)
		}
		size = len(res.Text)
	}
	b.ReportMetric(float64(size), "answer-bytes")
}

func named(b *testing.B, name string) tool.Tool {
	b.Helper()
	for _, t := range catalog.All() {
		if t.Name == name {
			return t
		}
	}
	b.Fatalf("no tool %s", name)
	return tool.Tool{}
}

// A call from an MCP client and back, over a pipe.
func BenchmarkCallOverMCP(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	ours, theirs := mcp.NewInMemoryTransports()
	if _, err := server.New(server.Options{Version: "bench", Host: host(b, 18)}).Connect(ctx, theirs, nil); err != nil {
		b.Fatal(err)
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil).Connect(ctx, ours, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		res, err := client.CallTool(ctx, &mcp.CallToolParams{Name: "pve_guest_status", Arguments: map[string]any{"vmid": 105}})
		if err != nil || res.IsError {
			b.Fatal(err, res)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	api, err := apischema.Load(9)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		ep, params, ok := api.Find("PUT", "/nodes/pve1/qemu/100/config")
		if !ok {
			b.Fatal("no endpoint")
		}
		params["net0"], params["cores"] = "virtio=BC:24:11:77:21:A2,bridge=vmbr0", "4"
		if _, err := api.Validate(ep, params); err != nil {
			b.Fatal(err)
		}
	}
}
