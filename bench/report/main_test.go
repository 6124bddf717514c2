package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/performance.* anew")

const page = "# Before\n\n<!-- figures -->\nold\n<!-- /figures -->\n\nAfter.\n"

// report makes the files of a folder of what benchmarks printed.
func report(t *testing.T, printed string) (docs string, err error) {
	t.Helper()
	docs = t.TempDir()
	input := filepath.Join(docs, "bench.txt")
	for file, text := range map[string]string{input: printed, filepath.Join(docs, "performance.md"): page} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return docs, run(docs, input)
}

func text(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Of several runs the table and the data have the best of ours, the best of bare, and the
// ratio of these.
func TestReport(t *testing.T) {
	docs, err := report(t, text(t, "testdata", "bench.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"performance.md", "performance.csv"} {
		now := text(t, docs, name)
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", name), []byte(now), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if want := text(t, "testdata", name); now != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, now, want)
		}
	}
	if plot := text(t, docs, "performance.svg"); !strings.Contains(plot, "</svg>") || !strings.Contains(plot, "pve_list_guests: time of a call") {
		t.Errorf("no plot: %.200s", plot)
	}
}

// What is not whole changes nothing.
func TestBenchmarksThatFailed(t *testing.T) {
	whole := text(t, "testdata", "bench.txt")
	brokenOff, _, _ := strings.Cut(whole, "BenchmarkHTTP")
	for name, printed := range map[string]string{
		"nothing":     "",
		"broken off":  brokenOff,
		"failed":      strings.Replace(whole, "PASS\nok  \tgithub.com/pve-mcp/pve-mcp/bench\t10.000s\n", "--- FAIL: BenchmarkCall\nFAIL\n", 1),
		"not built":   whole + "FAIL\tgithub.com/pve-mcp/pve-mcp/bench [build failed]\n",
		"no results":  "pkg: github.com/pve-mcp/pve-mcp/bench\nPASS\nok  \tgithub.com/pve-mcp/pve-mcp/bench\t0.1s\n",
		"other words": "make: Nothing to be done for 'bench'.\n",
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := report(t, printed)
			if err == nil {
				t.Error("no error")
			}
			if got := text(t, docs, "performance.md"); got != page {
				t.Errorf("the page was changed: %s", got)
			}
		})
	}
}
