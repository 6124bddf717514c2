package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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
		{"initialize", []string{initialize}},
		{"tools", []string{initialize, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`}},
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

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}`

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
	cmd := exec.CommandContext(b.Context(), program)
	cmd.Dir = b.TempDir()
	cmd.Env = []string{"PVE_HOST=https://127.0.0.1:1", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET=00000000-0000-4000-8000-000000000000"}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for _, text := range ask {
		_, err := io.WriteString(in, text+"\n")
		if line, read := answers.ReadString('\n'); err != nil || read != nil || !strings.Contains(line, `"result"`) {
			b.Fatalf("%s: %v %v: %s", program, err, read, line)
		}
	}
	s.took = append(s.took, time.Since(begun))
	if fields, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", cmd.Process.Pid)); err == nil { // on Linux
		s.rss = append(s.rss, kib(b, string(fields), "Rss:"))
		s.own = append(s.own, kib(b, string(fields), "Anonymous:"))
	}
	if err := in.Close(); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

func kib(b *testing.B, table, name string) float64 {
	b.Helper()
	_, rest, _ := strings.Cut(table, name)
	n, err := strconv.ParseFloat(strings.Fields(rest + " none")[0], 64)
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return n
}
