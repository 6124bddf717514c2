// Command report makes a table, a CSV file and a plot of what the benchmarks print. It is a
// module of its own, so that what draws is no dependency of the program.
package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

func main() {
	docs := flag.String("docs", "docs", "the folder of performance.md")
	flag.Parse()
	if err := run(*docs, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(docs, input string) error {
	all, machine, err := read(input)
	if err != nil {
		return err
	}
	text := table(all)
	fmt.Print(text)
	page := filepath.Join(docs, "performance.md")
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	const open, end = "<!-- figures -->\n", "<!-- /figures -->"
	before, rest, ok := strings.Cut(string(data), open)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no part between %s and %s", page, strings.TrimSpace(open), end)
	}
	if err := os.WriteFile(page, []byte(before+open+"Measured on "+machine+".\n\n"+text+end+after), 0o644); err != nil {
		return err
	}
	if err := writeCSV(filepath.Join(docs, "performance.csv"), all); err != nil {
		return err
	}
	return plots(filepath.Join(docs, "performance.svg"), all)
}

// result is what a benchmark printed: of each unit the best where it ran several times,
// because the others tell of what else the machine did.
type result struct {
	name   string
	values map[string]float64 // by unit
}

// best returns the largest of rates, and the smallest of other figures.
func best(unit string, values []float64) float64 {
	if strings.HasSuffix(unit, "/s") {
		return slices.Max(values)
	}
	return slices.Min(values)
}

// ratio is that of the best of ours to the best of bare.
func (r result) ratio(unit string) float64 { return r.values["ours-"+unit] / r.values["bare-"+unit] }

// key returns a part of the name, such as guests of guests=100.
func (r result) key(name string) string {
	for part := range strings.SplitSeq(r.name, "/") {
		if value, ok := strings.CutPrefix(part, name+"="); ok {
			return value
		}
	}
	return ""
}

func (r result) number(name string) float64 {
	n, _ := strconv.ParseFloat(r.key(name), 64) // 0 of what has none
	return n
}

// read returns the results of a file in the order in which they first appear, and on what
// they were measured. It is an error if a benchmark failed or was broken off.
func read(file string) (all []result, machine string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	if err := complete(string(data)); err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	several := map[string]map[string][]float64{}
	var order []string
	for r := benchfmt.NewReader(bytes.NewReader(data), file); r.Scan(); {
		res, ok := r.Result().(*benchfmt.Result)
		if !ok {
			continue // benchmarks say other things, too
		}
		base, parts := res.Name.Parts()
		name := string(base)
		for _, p := range parts {
			if p[0] == '/' { // not -2, which is how many CPUs there are
				name += string(p)
			} else {
				machine = fmt.Sprintf("%s, %s CPUs, %s/%s, %s", res.GetConfig("cpu"), p[1:], res.GetConfig("goos"), res.GetConfig("goarch"), res.GetConfig("go"))
				if load := res.GetConfig("load"); load != "" {
					machine += ", with a load of " + load + " when it began"
				}
			}
		}
		if several[name] == nil {
			several[name] = map[string][]float64{}
			order = append(order, name)
		}
		for _, v := range res.Values {
			several[name][v.Unit] = append(several[name][v.Unit], v.Value)
		}
	}
	for _, name := range order {
		one := result{name, map[string]float64{}}
		for unit, values := range several[name] {
			one.values[unit] = best(unit, values)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		err = fmt.Errorf("%s: no benchmark in it", file)
	}
	return all, machine, err
}

// complete reports what is wrong with what go test printed: every run of it that began has
// to have ended well.
func complete(text string) error {
	begun, ended := 0, 0
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "pkg: "):
			begun++
		case strings.HasPrefix(line, "ok "):
			ended++
		case strings.HasPrefix(line, "FAIL"), strings.HasPrefix(line, "--- FAIL"):
			return errors.New("a benchmark failed")
		}
	}
	if begun == 0 || begun != ended {
		return fmt.Errorf("%d runs of benchmarks began and %d ended", begun, ended)
	}
	return nil
}

// called is the tool of a benchmark, and what it is asked for if several things are.
func (r result) called() string {
	name := "`" + r.key("tool") + "`"
	if of := r.key("of"); of != "" {
		name += " " + of
	}
	return name
}

// table shows what is compared: ours, bare and the ratio; and more of calls, and of clients
// over HTTP.
func table(all []result) string {
	var b strings.Builder
	compared(&b, all)
	toolsets(&b, all)
	calls(&b, all)
	http(&b, all)
	return b.String()
}

func compared(b *strings.Builder, all []result) {
	b.WriteString("| what | ours | bare | ratio |\n|---|--:|--:|--:|\n")
	row := func(r result, what, unit, of string, scale float64) {
		ours, bare := r.values["ours-"+of]*scale, r.values["bare-"+of]*scale
		fmt.Fprintf(b, "| %s | %s %s | %s %s | %.2f |\n", what, short(ours), unit, short(bare), unit, r.ratio(of))
	}
	for _, r := range all {
		if until := r.key("until"); until != "" && r.key("toolsets") == "" {
			what := map[string]string{"initialize": "`initialize`", "tools": "`initialize` and `tools/list`"}[until]
			row(r, "exec until "+what+" is answered", "ms", "ms", 1)
			row(r, "memory then, resident", "MiB", "rss-KiB", 1./1024)
			row(r, "memory then, without what files hold", "MiB", "own-KiB", 1./1024)
		}
	}
	for _, r := range all {
		if r.key("tool") != "" && r.values["bare-ms"] > 0 {
			row(r, fmt.Sprintf("%s, %s guests", r.called(), r.key("guests")), "ms", "ms", 1)
		}
	}
	for _, r := range all {
		if n := r.key("clients"); n != "" {
			what := fmt.Sprintf("HTTP, %s guests, clients: %s", r.key("guests"), n)
			row(r, what, "calls/s", "calls/s", 1)
			row(r, what+", p99", "ms", "p99-ms", 1)
		}
	}
}

// toolsets shows what the start costs with all toolsets, in proportion to the usual ones.
func toolsets(b *strings.Builder, all []result) {
	b.WriteString("\n| all toolsets, to `core` | until `initialize` | until `tools/list` |\n|---|--:|--:|\n")
	for _, what := range []string{"time", "memory"} {
		fmt.Fprintf(b, "| %s |", what)
		for _, until := range []string{"initialize", "list"} {
			i := slices.IndexFunc(all, func(r result) bool { return r.key("toolsets") != "" && r.key("until") == until })
			if i < 0 || all[i].values[what+"-ratio"] == 0 {
				b.WriteString(" not measured |")
				continue
			}
			v := all[i].values
			fmt.Fprintf(b, " %.3f (%.3f to %.3f) |", v[what+"-ratio"], v[what+"-low"], v[what+"-high"])
		}
		b.WriteString("\n")
	}
}

func calls(b *strings.Builder, all []result) {
	b.WriteString("\n| call | guests | requests | writes | own time | own allocations | own memory | list kept | answer |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		if r.key("tool") == "" {
			continue
		}
		of := func(unit, format string) string {
			value, measured := r.values[unit]
			if !measured {
				return ""
			}
			return strings.ReplaceAll(format, "#", short(value))
		}
		fmt.Fprintf(b, "| %s | %s | %.0f | %.0f | %s | %s | %s | %s | %.0f B |\n", r.called(), r.key("guests"), r.values["requests"], r.values["writes"],
			of("own-ms", "# ms"), of("own-allocs", "#"), of("own-KiB", "# KiB"), of("kept-ms", "# ms"), r.values["answer-B"])
	}
}

// http shows clients over HTTP, also in proportion to a single one.
func http(b *strings.Builder, all []result) {
	b.WriteString("\n| HTTP, guests | clients | p50 | p50, bare | p50, to one client's | p99, to one client's | requests to PVE for a call | bytes for a call | refused for a call | memory in use |\n" +
		"|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	single := map[string]result{}
	for _, r := range all {
		if n := r.key("clients"); n == "1" {
			single[r.key("guests")] = r
		}
	}
	for _, r := range all {
		n := r.key("clients")
		if n == "" {
			continue
		}
		one := single[r.key("guests")]
		times := func(unit string) string {
			if one.values[unit] == 0 {
				return ""
			}
			return short(r.values[unit] / one.values[unit])
		}
		fmt.Fprintf(b, "| %s | %s | %s ms | %s ms | %s | %s | %.2f | %.0f | %.2f | %.0f MiB |\n", r.key("guests"), n,
			short(r.values["ours-p50-ms"]), short(r.values["bare-p50-ms"]), times("ours-p50-ms"), times("ours-p99-ms"),
			r.values["pve/call"], r.values["B/call"], r.values["refused/call"], r.values["heap-MiB"])
	}
}

// short writes a number with three digits that say something.
func short(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func writeCSV(file string, all []result) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	rows := [][]string{{"benchmark", "unit", "value"}}
	for _, r := range all {
		for _, unit := range slices.Sorted(maps.Keys(r.values)) {
			if unit == "sec/op" { // of several things together
				continue
			}
			rows = append(rows, []string{r.name, unit, strconv.FormatFloat(r.values[unit], 'g', 6, 64)})
			if of, ok := strings.CutPrefix(unit, "ours-"); ok {
				rows = append(rows, []string{r.name, "ratio-" + of, strconv.FormatFloat(r.ratio(of), 'f', 2, 64)})
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.Close()
}
