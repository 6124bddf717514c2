package metrics

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

func (r *reading) cluster() error {
	var nodes []string
	for row := range r.all.Rows() {
		if row.Type() == "node" {
			nodes = append(nodes, row.Node())
		}
	}
	slices.SortFunc(nodes, pve.CompareNames)
	frame := r.period.frame(r.major)
	got := survey.Ask(r.Survey, "history of nodes", nodes, func(n string) string { return n }, func(ctx context.Context, n string) (pve.History, error) {
		return r.PVE.NodeHistory(ctx, n, frame, pve.Averages)
	})
	r.sum(got)
	r.report.Message = "Nothing of the nodes can be seen."
	if r.report.panels != nil {
		r.report.Message = r.summary()
		r.note("peaks of the cluster are those of averages, since its nodes do not peak together")
	}
	if len(got) > 0 && len(got) < len(nodes) {
		r.note(fmt.Sprintf("the figures are those of %d of %d nodes", len(got), len(nodes)))
	}
	if r.in.wants("disk") {
		r.seesAll("other storages", "Datastore.Audit", "/storage")
		fillings := fillingsOf(r, r.stores())
		for _, g := range got {
			fillings = append(fillings, rootOf(r, g.From))
		}
		r.forecast(fillings)
		r.report.Message += r.nextFull()
	}
	return nil
}

// summed are the figures that are added up; those with true are shares of the CPUs.
var summed = map[string]bool{"cpu": true, "iowait": true, "memused": false, "swapused": false, "netin": false, "netout": false}

// sum adds up the figures of nodes.
func (r *reading) sum(nodes []cluster.Response[string, pve.History]) {
	for _, f := range r.in.wanted(nodeFigures) {
		ofCPU, isSum := summed[f.field]
		if !isSum {
			continue
		}
		m := measured{figure: f}
		sums, weights, heard := map[time.Time]float64{}, map[time.Time]float64{}, map[time.Time]int{}
		lengths := map[time.Time]time.Duration{}
		for _, n := range nodes {
			limit, _ := n.Value.Latest(f.limit)
			cpus, _ := n.Value.Latest("maxcpu")
			weight := 1.0
			if ofCPU {
				weight = cpus
			}
			m.most += limit
			for _, p := range f.points(n.Value, r.period) {
				lengths[p.At] = p.Over
				if !math.IsNaN(p.Value) {
					sums[p.At] += p.Value * weight
					weights[p.At] += weight
					heard[p.At]++
				}
			}
		}
		m.averages = seriesOf(sums, lengths, func(at time.Time, sum float64) float64 {
			if ofCPU && weights[at] > 0 {
				return sum / weights[at]
			}
			return sum
		})
		for n := len(m.averages); n > 1 && heard[m.averages[n-1].At] < heard[m.averages[n-2].At]; n = len(m.averages) {
			m.averages = m.averages[:n-1] // not all nodes have told yet
		}
		if s, ok := forecast.Summarize(m.averages, nil); ok && (f.unit != size || m.most > 0) && s.At.After(time.Time{}) {
			r.report.panels = append(r.report.panels, m)
		}
	}
}

// seriesOf makes a series of sums.
func seriesOf(sums map[time.Time]float64, lengths map[time.Time]time.Duration, value func(time.Time, float64) float64) []forecast.Point {
	var out []forecast.Point
	for at, length := range lengths {
		v := math.NaN()
		if sum, ok := sums[at]; ok {
			v = value(at, sum)
		}
		out = append(out, forecast.Point{At: at, Value: v, Over: length})
	}
	slices.SortFunc(out, func(a, b forecast.Point) int { return a.At.Compare(b.At) })
	return out
}

// nextFull says which of the forecasts comes first.
func (r *reading) nextFull() string {
	switch rows := r.report.Forecasts; {
	case len(rows) == 0, r.in.Offset > 0:
		return ""
	case len(rows) == 1:
		return " " + capital(rows[0].String()) + "."
	case rows[0].days >= 0:
		return " Full first: " + rows[0].String() + "."
	}
	return fmt.Sprintf(" None of %d storages and disks has a trend to fill up.", r.report.known)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
