package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/bench/process"
)

// From exec to an answered request, and the memory of the process then: ours, and the least
// server that the SDK makes (bare), in turns. The requests before the last are answered, too.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	ours, bare := build(b, dir, "../cmd/pve-mcp"), build(b, dir, "./stdio")
	for _, tt := range []struct {
		until string
		ask   []string
	}{
		{"initialize", []string{process.Initialize}},
		{"tools", []string{process.Initialize, process.ListTools}},
	} {
		b.Run("until="+tt.until, func(b *testing.B) {
			var us, them started
			for b.Loop() {
				us.start(b, ours, tt.ask)
				them.start(b, bare, tt.ask)
			}
			b.ReportMetric(0, "ns/op") // of both together: it says nothing
			b.ReportMetric(ms(slices.Min(us.took)), "ours-ms")
			b.ReportMetric(ms(slices.Min(them.took)), "bare-ms")
			for _, m := range []struct {
				name       string
				ours, bare []float64
			}{{"rss", us.rss, them.rss}, {"own", us.own, them.own}} {
				if len(m.ours) > 0 && len(m.bare) > 0 {
					b.ReportMetric(quantile(m.ours, 0.5), "ours-"+m.name+"-KiB")
					b.ReportMetric(quantile(m.bare, 0.5), "bare-"+m.name+"-KiB")
				}
			}
		})
	}
}

// What all toolsets cost at the start, in proportion to the usual ones: both start in turns,
// and what is reported is the median of the ratios of the pairs, with its interval of 95 %.
func BenchmarkToolsets(b *testing.B) {
	program := build(b, b.TempDir(), "../cmd/pve-mcp")
	for _, until := range []struct {
		name string
		ask  []string
	}{
		{"initialize", []string{process.Initialize}},
		{"list", []string{process.Initialize, process.ListTools}},
	} {
		b.Run("toolsets=all/until="+until.name, func(b *testing.B) {
			var core, all started
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					core.start(b, program, until.ask)
				}
				all.start(b, program, until.ask, "PVE_MCP_TOOLSETS=all")
				if i%2 == 1 {
					core.start(b, program, until.ask)
				}
			}
			b.ReportMetric(0, "ns/op") // of both together: it says nothing
			report := func(what string, of func(started) []float64) {
				ratios := of(all)
				if len(ratios) == 0 {
					return
				}
				for i, v := range of(core) {
					ratios[i] /= v
				}
				low, middle, high := process.Median(ratios)
				b.ReportMetric(low, what+"-low")
				b.ReportMetric(middle, what+"-ratio")
				b.ReportMetric(high, what+"-high")
			}
			report("time", func(s started) (ms []float64) {
				for _, t := range s.took {
					ms = append(ms, t.Seconds())
				}
				return ms
			})
			report("memory", func(s started) []float64 { return s.own })
		})
	}
}

// build builds a program as make build does.
func build(b *testing.B, dir, pkg string) string {
	b.Helper()
	out := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, said)
	}
	return out
}

// started are starts of a program.
type started struct {
	took     []time.Duration
	rss, own []float64 // KiB: resident, and of these what no file holds
}

func (s *started) start(b *testing.B, program string, ask []string, settings ...string) {
	b.Helper()
	one, err := process.Start(b.Context(), program, b.TempDir(), ask, settings...)
	if err != nil {
		b.Fatal(err)
	}
	s.took = append(s.took, one.Took)
	if one.Resident > 0 { // on Linux
		s.rss, s.own = append(s.rss, one.Resident), append(s.own, one.Private)
	}
}
