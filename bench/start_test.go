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

func (s *started) start(b *testing.B, program string, ask []string) {
	b.Helper()
	one, err := process.Start(b.Context(), program, b.TempDir(), ask)
	if err != nil {
		b.Fatal(err)
	}
	s.took = append(s.took, one.Took)
	if one.Resident > 0 { // on Linux
		s.rss, s.own = append(s.rss, one.Resident), append(s.own, one.Private)
	}
}
