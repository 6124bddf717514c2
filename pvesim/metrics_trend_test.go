package pvesim_test

import (
	"math"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// series are the values of a figure that are known, and the time of the first.
func (w *world) series(path, figure string) []float64 {
	w.Helper()
	var out []float64
	for _, row := range w.data(path).([]any) {
		if v, ok := row.(map[string]any)[figure].(float64); ok {
			out = append(out, v)
		}
	}
	return out
}

func TestTrends(t *testing.T) {
	const gib = 1 << 30
	const path = "/nodes/pve1/storage/nfs/rrddata?timeframe=month&cf="
	of := func(trend pvesim.Trend) *world {
		m := pvesim.Cluster()
		trend.Of, trend.Figure = "storage/nfs", "used"
		m.Trends = []pvesim.Trend{trend}
		return newWorld(t, m)
	}
	flat := newWorld(t, pvesim.Cluster()).series(path+"AVERAGE", "used")
	if n := len(flat); n != 1440 || flat[0] != flat[n-1] {
		t.Errorf("without a trend: %d values from %v to %v", n, flat[0], flat[n-1])
	}
	line := of(pvesim.Trend{PerDay: 10 * gib}).series(path+"AVERAGE", "used")
	if grown := (line[1439] - line[0]) / gib; math.Abs(grown-10*1439.0/48) > 0.01 || line[1439] > flat[0] {
		t.Errorf("10 GiB a day: %v GiB in a month, up to %v", grown, line[1439])
	}
	tooth := of(pvesim.Trend{Now: 100 * gib, Tooth: 50 * gib, Period: 7 * 24 * time.Hour}).series(path+"AVERAGE", "used")
	falls := 0
	for i := 1; i < len(tooth); i++ {
		falls += map[bool]int{true: 1}[tooth[i] < tooth[i-1]]
	}
	if falls < 4 || falls > 10 { // the step of the fall is between both
		t.Errorf("a saw-tooth of a week falls %d times in a month", falls)
	}
	noisy := of(pvesim.Trend{Noise: 5 * gib, Peak: gib})
	average, largest := noisy.series(path+"AVERAGE", "used"), noisy.series(path+"MAX", "used")
	for i := range average {
		if largest[i] <= average[i]+gib/2 || math.Abs(average[i]-flat[0]) > 5*gib {
			t.Fatalf("noise: average %v, maximum %v around %v", average[i], largest[i], flat[0])
		}
	}
	m := pvesim.Cluster()
	m.History = 36 * time.Hour
	if n := len(newWorld(t, m).series(path+"AVERAGE", "used")); n != 72 {
		t.Errorf("a day and a half of history: %d values of half an hour", n)
	}
}

func TestMetricsExport(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.clock.Advance(time.Minute)
	count := func(query string) map[string]int {
		out := map[string]int{}
		for _, row := range w.get("/cluster/metrics/export" + query)["data"].([]any) {
			r := row.(map[string]any)
			out[r["id"].(string)+" "+r["metric"].(string)]++
		}
		return out
	}
	now := count("")
	if now["node/pve1 cpu_current"] != 1 || now["qemu/100 mem_used"] != 1 || now["qemu/105 mem_used"] != 0 || now["storage/pve3/nfs disk_used"] != 1 {
		t.Errorf("now: %v", now)
	}
	if history := count("?history=1"); history["node/pve1 cpu_current"] != 181 {
		t.Errorf("half an hour: %d", history["node/pve1 cpu_current"])
	}
	if local := count("?local-only=1"); local["node/pve1 cpu_current"] != 1 || local["node/pve2 cpu_current"] != 0 {
		t.Errorf("the node alone: %v", local)
	}
}
