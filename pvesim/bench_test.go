package pvesim_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// The model of 10,000 guests on 30 nodes, brought to life.
func BenchmarkBuildHuge(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pvesim.NewSim(pvesim.Huge(), pvesim.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHuge(t *testing.T) {
	m := pvesim.Huge()
	running, templates := 0, 0
	for _, g := range m.Guests {
		if g.Running {
			running++
		}
		if g.Config["template"] == "1" {
			templates++
		}
	}
	if len(m.Guests) != 10_000 || len(m.Nodes) != 30 || running < 8_500 || running > 9_100 || templates < 150 || templates > 250 {
		t.Errorf("%d guests on %d nodes, of which %d run and %d are templates", len(m.Guests), len(m.Nodes), running, templates)
	}
	w := newWorld(t, m)
	seen := map[any]int{}
	for _, r := range w.do("GET", "/cluster/resources", nil).Body.Data.([]any) {
		seen[r.(map[string]any)["type"]]++
	}
	if seen["qemu"] != 7_000 || seen["lxc"] != 3_000 || seen["node"] != 30 {
		t.Errorf("resources: %v", seen)
	}
	w.run("/nodes/pve1/qemu/100/clone", url.Values{"newid": {"20000"}, "full": {"1"}})
	w.story(`GET /nodes/pve1/qemu/20000/config#agent => 1`)
}

// One answer of /cluster/resources, about 10,000 guests.
func BenchmarkResourcesOfHuge(b *testing.B) {
	m := pvesim.Huge()
	sim, err := pvesim.NewSim(m, pvesim.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		req := pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Header: http.Header{
			"Authorization": {m.Token("ops@pve!mcp").Header()},
		}}
		resp, err := sim.Do(b.Context(), req)
		if err != nil || resp.Status != 200 {
			b.Fatal(resp.Status, err)
		}
		b.SetBytes(int64(len(resp.Body)))
	}
}
