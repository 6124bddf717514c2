package forecast_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/pve-mcp/pve-mcp/internal/forecast"
)

// An average and a p95 are those of the time, not of the rows, which may be of different
// lengths; the newest row may be empty, and a peak is in no average.
func TestSummarize(t *testing.T) {
	t.Parallel()
	hours := func(before, over time.Duration, v float64) forecast.Point {
		return forecast.Point{At: end.Add(-before * time.Hour), Value: v, Over: over * time.Hour}
	}
	got, ok := forecast.Summarize(
		[]forecast.Point{hours(9, 18, 1), hours(3, 6, math.NaN()), hours(2, 1, 7), hours(1, 1, 5), hours(0, 1, math.NaN())},
		[]forecast.Point{hours(9, 18, 9), hours(2, 1, 8), hours(1, 1, math.NaN())})
	want := forecast.Summary{
		Now: 5, At: end.Add(-time.Hour), Average: 1.5, P95: 5, Min: 1, Max: 9, MaxAt: end.Add(-9 * time.Hour), Measured: 20 * time.Hour,
	}
	if !ok || got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if s, ok := forecast.Summarize([]forecast.Point{hours(0, 1, math.NaN())}, nil); ok {
		t.Errorf("nothing was measured, but %+v", s)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, tt := range []struct {
		values []float64
		width  int
		want   string
	}{
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, 8, "▁▂▃▄▅▆▇█"},
		{[]float64{0, 0, 7, 7}, 2, "▁█"},
		{[]float64{0, nan, 7, nan}, 4, "▁ █ "},
		{[]float64{100, 101, 100, 101}, 4, "▁▂▁▂"}, // as flat as it is
		{[]float64{0, 0, 0}, 3, "▁▁▁"},
		{[]float64{nan, nan}, 5, ""},
		{nil, 5, ""},
	} {
		series := series(len(tt.values), time.Hour, func(d float64) float64 { return tt.values[len(tt.values)-1+int(math.Round(d*24))] })
		if got := forecast.Line(series, tt.width); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.values, got, tt.want)
		}
	}
}

// anySeries is one that PVE could send, or that only looks like one.
func anySeries(t *rapid.T) []forecast.Point {
	values := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-1e15, 1e15), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)), rapid.Just(0.0)), 0, 200).Draw(t, "values")
	slope := rapid.Float64Range(-1e9, 1e9).Draw(t, "slope")
	at := end.Add(-1000 * time.Hour)
	var out []forecast.Point
	for i, v := range values {
		step := time.Duration(rapid.SampledFrom([]int{0, 1, 30, 180, 720}).Draw(t, "step")) * time.Minute
		at = at.Add(step)
		out = append(out, forecast.Point{At: at, Value: v + slope*float64(i), Over: step})
	}
	return out
}

// Whatever the series: figures are in their order, a date is never in the past, and more room
// never is full sooner.
func TestAnySeries(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		series := anySeries(t)
		if s, ok := forecast.Summarize(series, nil); ok && (s.Min > s.Average || s.Average > s.Max || s.P95 < s.Min || s.P95 > s.Max) {
			t.Fatalf("%+v", s)
		}
		if line := forecast.Line(series, 24); utf8.RuneCountInString(line) > 24 || strings.ContainsFunc(line, func(r rune) bool { return r != ' ' && (r < '▁' || r > '█') }) {
			t.Fatalf("%q", line)
		}
		trend := forecast.TrendOf(series)
		limit, more := rapid.Float64Range(-1e15, 1e16).Draw(t, "limit"), rapid.Float64Range(0, 1e15).Draw(t, "more")
		now := end.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "later")) * time.Hour)
		first, ok := trend.Reaches(limit, now)
		if !ok {
			return
		}
		if !(first.Soonest >= 0 && first.Soonest <= first.Likely && first.Likely <= first.Latest) {
			t.Fatalf("%+v", first)
		}
		if second, _ := trend.Reaches(limit+more, now); second.Soonest < first.Soonest || second.Likely < first.Likely || second.Latest < first.Latest {
			t.Fatalf("%g is reached in %+v, %g in %+v", limit, first, limit+more, second)
		}
	})
}

// A series that falls, or is too short, reaches nothing.
func TestReachesNothing(t *testing.T) {
	t.Parallel()
	falling := forecast.TrendOf(series(70, 12*time.Hour, func(d float64) float64 { return 100 - d }))
	if _, ok := falling.Reaches(200, end); ok || falling.Direction != forecast.Falling {
		t.Errorf("%+v", falling)
	}
	short := forecast.TrendOf(series(9, time.Hour, func(d float64) float64 { return d }))
	if _, ok := short.Reaches(200, end); ok || short.Direction != forecast.Unclear {
		t.Errorf("%+v", short)
	}
}
