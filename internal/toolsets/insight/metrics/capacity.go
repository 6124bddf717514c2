package metrics

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// mostFillings is how many storages and disks are asked about in a call.
const mostFillings = 100

// filling is something that may become full.
type filling struct {
	label       string
	used, total string // the fields
	ask         func(context.Context) (pve.History, error)
	on          string  // the node that it is on
	percent     float64 // in use now, as far as that is known
	unusable    bool    // now, so that it is not asked about
}

// forecastRow is when something becomes full.
type forecastRow struct {
	What   string   `json:"what"`
	Used   string   `json:"used"`
	Growth string   `json:"growth,omitzero" jsonschema:"with an interval of 95 %"`
	Full   string   `json:"full" jsonschema:"when it is full if it goes on like this, or no trend"`
	Dates  string   `json:"dates,omitzero"`
	Seen   string   `json:"seen,omitzero" jsonschema:"how long the trend has been seen"`
	Notes  []string `json:"notes,omitzero"`

	days  float64 // until it is likely full, negative if there is no trend
	share float64 // in use
	drawn measured
}

// String says how full it is, and when it is full.
func (f forecastRow) String() string {
	when := f.Full
	if strings.HasPrefix(when, "in ") {
		when = "full " + when
	}
	return fmt.Sprintf("%s: %s, %s", f.What, f.Used, when)
}

// fillingsOf are stores. Those that cannot be used are not asked.
func fillingsOf(r *reading, stores []cluster.Store) []filling {
	var out []filling
	for _, s := range stores {
		f := filling{label: s.Name(), used: "used", total: "total", unusable: s.Ready == nil, ask: func(ctx context.Context) (pve.History, error) {
			return r.PVE.StorageHistory(ctx, askedOn(s), s.Storage.Value, pve.Month, pve.Averages)
		}}
		if !s.Shared.Value {
			f.on = s.Node.Value
		}
		if s.MaxDisk.Value > 0 {
			f.percent = float64(s.Disk.Value) / float64(s.MaxDisk.Value) * 100
		}
		out = append(out, f)
	}
	return out
}

// rootOf is the root file system of a node.
func rootOf(r *reading, node string) filling {
	return filling{label: "root disk of " + node, used: "rootused", total: "roottotal", on: node, ask: func(ctx context.Context) (pve.History, error) {
		return r.PVE.NodeHistory(ctx, node, pve.Month, pve.Averages)
	}}
}

// forecast adds to the report when things become full, the soonest first.
func (r *reading) forecast(all []filling) {
	for _, f := range all {
		if f.unusable {
			r.NotSeen("forecast", f.label, "it is not available, or its node is not")
		}
	}
	all = slices.DeleteFunc(all, func(f filling) bool { return f.unusable })
	if len(all) > mostFillings {
		slices.SortStableFunc(all, func(a, b filling) int { return cmp.Compare(b.percent, a.percent) })
		r.note(fmt.Sprintf("only the %d fullest of %d storages and disks were looked at", mostFillings, len(all)))
		all = all[:mostFillings]
	}
	got := survey.Ask(r.Survey, "forecast", all, func(f filling) string { return f.label },
		func(ctx context.Context, f filling) (pve.History, error) { return f.ask(ctx) })
	var rows []forecastRow
	for _, g := range withoutTwins(got) {
		if row, ok := g.From.row(g.Value); ok {
			rows = append(rows, row)
		} else {
			r.NotSeen("forecast", g.From.label, "PVE has recorded nothing of it, or not how large it is")
		}
	}
	slices.SortStableFunc(rows, func(a, b forecastRow) int {
		unlikely := func(f forecastRow) float64 {
			if f.days < 0 {
				return math.Inf(1)
			}
			return f.days
		}
		return cmp.Or(cmp.Compare(unlikely(a), unlikely(b)), cmp.Compare(b.share, a.share))
	})
	r.report.known = len(rows)
	r.report.Forecasts, r.report.Rest = tool.Page(rows, r.in.Limit, r.in.Offset)
	for _, f := range r.report.Forecasts {
		r.report.fillings = append(r.report.fillings, f.drawn)
	}
}

// withoutTwins leaves out the root file systems that are storages as well.
func withoutTwins(got []cluster.Response[filling, pve.History]) []cluster.Response[filling, pve.History] {
	sizes := map[string][]float64{} // of storages, by node
	for _, g := range got {
		if total, ok := g.Value.Latest(g.From.total); ok && g.From.used == "used" {
			sizes[g.From.on] = append(sizes[g.From.on], total)
		}
	}
	return slices.DeleteFunc(slices.Clone(got), func(g cluster.Response[filling, pve.History]) bool {
		total, _ := g.Value.Latest(g.From.total)
		return g.From.used == "rootused" && slices.Contains(sizes[g.From.on], total)
	})
}

// row is the forecast of a filling by its history.
func (f filling) row(h pve.History) (forecastRow, bool) {
	disk := figure{name: f.label, field: f.used, limit: f.total, unit: size}
	m, ok := disk.measuredIn(h, pve.History{}, period{366 * day})
	if !ok || m.most <= 0 {
		return forecastRow{}, false
	}
	s, _ := forecast.Summarize(m.averages, nil)
	now := h.Times[len(h.Times)-1]
	t := forecast.TrendOf(m.averages)
	out := forecastRow{What: f.label, Used: fmt.Sprintf("%s of %s (%s %%)", m.bare(s.Now), m.configured(), plain(s.Now/m.most*100)), days: -1, share: s.Now / m.most, drawn: m, Full: string(t.Direction)}
	if t.Direction == forecast.Unclear {
		out.Seen = render.Duration(s.Measured.Round(time.Minute))
		return out, true
	}
	out.Seen = render.Duration(now.Sub(t.Since).Round(time.Hour))
	out.Notes = notesOn(t, m)
	if t.Direction != forecast.Steady {
		out.Growth = m.growth(t, month)
	}
	if t.Direction == forecast.Falling {
		out.Growth = "-" + out.Growth
	}
	if s.Now >= m.most {
		out.Full, out.days = "is full", 0
		return out, true
	}
	if reach, ok := t.Reaches(m.most, now); ok {
		out.Full, out.Dates = when(reach, now)
		if reach.Likely <= farAway {
			out.days = reach.Likely
		}
	}
	return out, true
}

// farAway is how many days ahead nothing is said any more: a month of growth says nothing
// about a later time.
const farAway = 2 * 365

// when says when something is full: in 40 to 70 days.
func when(r forecast.Reach, now time.Time) (text, dates string) {
	first, last := math.Floor(r.Soonest), math.Ceil(r.Latest)
	on := func(days float64) string {
		return now.Add(time.Duration(days * float64(day))).Format(time.DateOnly)
	}
	switch {
	case r.Likely > farAway:
		return "not within two years", ""
	case last > farAway:
		return fmt.Sprintf("in %.0f days or more, likely %.0f", first, r.Likely), on(first) + " or later"
	case last-first <= 1:
		return fmt.Sprintf("in %.0f days", last), on(last)
	}
	return fmt.Sprintf("in %.0f to %.0f days", first, last), on(first) + " to " + on(last)
}

// notesOn say what the trend of a figure does not show.
func notesOn(t forecast.Trend, m measured) []string {
	var out []string
	for _, s := range t.Steps {
		word := "grew"
		if s.By < 0 {
			word = "shrank"
		}
		out = append(out, fmt.Sprintf("%s by %s at once on %s, which is no part of the trend", word, m.bare(math.Abs(s.By)), s.At.Format(time.DateOnly)))
	}
	if t.Teeth {
		out = append(out, "rises and falls back again and again: it counts as full when its peaks are")
	}
	return out
}
