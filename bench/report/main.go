// Command report makes a table, a CSV file and a plot of what the benchmarks print. It is a
// module of its own, so that what draws is no dependency of the program.
package main

import (
	"encoding/csv"
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

// result is what a benchmark printed: the median of each unit where it ran several times.
type result struct {
	name   string
	values map[string]float64 // by unit
}

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

// read returns the results of a file in the order in which they first appear.
func read(file string) (all []result, machine string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	several := map[string]map[string][]float64{}
	var order []string
	for r := benchfmt.NewReader(f, file); r.Scan(); {
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
				machine = fmt.Sprintf("%s, %s CPUs, %s/%s", res.GetConfig("cpu"), p[1:], res.GetConfig("goos"), res.GetConfig("goarch"))
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
			slices.Sort(values)
			one.values[unit] = values[len(values)/2]
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		err = fmt.Errorf("%s: no benchmark in it", file)
	}
	return all, machine, err
}

// table shows what is compared: ours, bare and the ratio; and what clients over HTTP get.
func table(all []result) string {
	var b strings.Builder
	b.WriteString("| what | ours | bare | ratio |\n|---|--:|--:|--:|\n")
	row := func(what, unit string, ours, bare float64) {
		fmt.Fprintf(&b, "| %s | %s %s | %s %s | %.2f |\n", what, short(ours), unit, short(bare), unit, ours/bare)
	}
	for _, r := range all {
		if until := r.key("until"); until != "" {
			what := map[string]string{"initialize": "`initialize`", "tools": "`initialize` and `tools/list`"}[until]
			row("exec until "+what+" is answered", "ms", r.values["ours-ms"], r.values["bare-ms"])
			row("memory then, resident", "MiB", r.values["ours-rss-KiB"]/1024, r.values["bare-rss-KiB"]/1024)
			row("memory then, without what files hold", "MiB", r.values["ours-own-KiB"]/1024, r.values["bare-own-KiB"]/1024)
		}
	}
	for _, r := range all {
		if tool := r.key("tool"); tool != "" {
			row(fmt.Sprintf("`%s`, %s guests", tool, r.key("guests")), "ms", r.values["ours-ms"], r.values["bare-ms"])
		}
	}
	b.WriteString("\n| call | guests | requests | own time | own allocations | list kept | answer |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		if tool := r.key("tool"); tool != "" {
			fmt.Fprintf(&b, "| `%s` | %s | %.0f | %s ms | %.0f | %s ms | %.0f B |\n", tool, r.key("guests"), r.values["requests"],
				short(r.values["own-ms"]), r.values["own-allocs"], short(r.values["kept-ms"]), r.values["answer-B"])
		}
	}
	b.WriteString("\n| clients over HTTP | guests | calls/s | p50 | p99 | requests to PVE for a call | memory in use |\n|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		if n := r.key("clients"); n != "" {
			fmt.Fprintf(&b, "| %s | %s | %.0f | %s ms | %s ms | %.2f | %.0f MiB |\n", n, r.key("guests"), r.values["calls/s"],
				short(r.values["p50-ms"]), short(r.values["p99-ms"]), r.values["pve/call"], r.values["heap-MiB"])
		}
	}
	return b.String()
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
			if unit != "sec/op" { // of several things together
				rows = append(rows, []string{r.name, unit, strconv.FormatFloat(r.values[unit], 'g', 6, 64)})
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.Close()
}
