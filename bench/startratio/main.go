// Command startratio compares how two builds of pve-mcp start, and their memory then:
//
//	go run ./bench/startratio OLD NEW
//
// or one build with other settings: 'PVE_MCP_TOOLSETS=all bin/pve-mcp'. Both start in turns, and each pair gives a ratio, so that what else the machine does
// affects both alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/pve-mcp/pve-mcp/bench/process"
)

func main() {
	pairs := flag.Int("pairs", 200, "how often each program starts, for each row")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *pairs, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "startratio:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, pairs int, programs []string) (err error) {
	if len(programs) != 2 || pairs < 10 {
		return errors.New("it takes two programs, the old and the new, and at least 10 pairs")
	}
	dir, err := os.MkdirTemp("", "startratio")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var originals, copies [2]string
	var settings [2][]string
	var sizes [2]float64
	for i, line := range programs {
		words := strings.Fields(line)
		for len(words) > 1 && strings.Contains(words[0], "=") {
			settings[i], words = append(settings[i], words[0]), words[1:]
		}
		program := strings.Join(words, " ")
		if i > 0 && program == originals[0] { // two copies may start some percent apart
			copies[i], sizes[i] = copies[0], sizes[0]
			continue
		}
		originals[i], copies[i] = program, filepath.Join(dir, fmt.Sprint(i))
		if sizes[i], err = copyProgram(copies[i], program); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "size of the program: %.0f and %.0f bytes, ratio %.3f\n", sizes[0], sizes[1], sizes[1]/sizes[0])
	for _, until := range []struct {
		name     string
		requests []string
	}{
		{"initialize", []string{process.Initialize}},
		{"tools/list", []string{process.Initialize, process.ListTools}},
	} {
		var took, private [2][]float64
		for i := range pairs {
			for _, k := range []int{i % 2, 1 - i%2} {
				s, err := process.Start(ctx, copies[k], dir, until.requests, settings[k]...)
				if err != nil {
					return err
				}
				took[k] = append(took[k], s.Took.Seconds()*1000)
				private[k] = append(private[k], s.Private)
			}
		}
		report(w, "until "+until.name, "ms", took)
		if private[0][0] > 0 { // on Linux
			report(w, "private memory then", "KiB", private)
		}
	}
	return nil
}

// copyProgram copies a program and returns its size. The linker leaves a program in the
// page cache in another form than a copy, from which it starts some percent more slowly.
func copyProgram(to, from string) (size float64, err error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(data)
	return float64(len(data)), errors.Join(err, f.Sync(), f.Close())
}

func report(w io.Writer, what, unit string, pairs [2][]float64) {
	var ratios []float64
	for i := range pairs[0] {
		ratios = append(ratios, pairs[1][i]/pairs[0][i])
	}
	low, middle, high := process.Median(ratios)
	_, before, _ := process.Median(pairs[0])
	_, after, _ := process.Median(pairs[1])
	fmt.Fprintf(w, "%s: %.2f and %.2f %s, median of the ratios %.3f (95 %% interval %.3f to %.3f)\n", what, before, after, unit, middle, low, high)
}
