// Package forecast describes a series of measurements, and when it reaches a limit if it goes
// on as it did. Gaps, noise, steps and saw-teeth are no trend: where a change cannot be
// distinguished from these, there is none.
package forecast

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Point is a measurement of a stretch of time that ends at a time. Its value is NaN where
// nothing was measured.
type Point struct {
	At    time.Time
	Value float64
	// Over is how long the stretch is. A series may have stretches of different lengths.
	Over time.Duration
}

// known returns the points of a series that were measured.
func known(series []Point) []Point {
	out := make([]Point, 0, len(series))
	for _, p := range series {
		if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			p.Over = max(p.Over, 1)
			out = append(out, p)
		}
	}
	return out
}

// Summary is what a series was like.
type Summary struct {
	Now          float64   // the newest value
	At           time.Time // of the newest value
	Average, P95 float64   // P95 is what 95 % of the time did not exceed
	Min, Max     float64
	MaxAt        time.Time
	Measured     time.Duration // how much of the time has values
}

// Summarize describes a series; peaks are the highest values in the same stretches, nil for
// none. ok is false if nothing was measured.
func Summarize(series, peaks []Point) (s Summary, ok bool) {
	seen := known(series)
	if len(seen) == 0 {
		return Summary{}, false
	}
	newest := seen[len(seen)-1]
	s = Summary{Now: newest.Value, At: newest.At, Min: math.Inf(1), Max: math.Inf(-1)}
	var sum float64
	for _, p := range seen {
		sum += p.Value * p.Over.Seconds()
		s.Measured += p.Over
		s.Min = min(s.Min, p.Value)
	}
	s.Average = sum / s.Measured.Seconds()
	for _, p := range slices.Concat(seen, known(peaks)) {
		if p.Value > s.Max {
			s.Max, s.MaxAt = p.Value, p.At
		}
	}
	// The mean of a constant series is not to differ from it in the last digit.
	s.Average = min(max(s.Average, s.Min), s.Max)
	s.P95 = percentile(seen, s.Measured)
	return s, true
}

// percentile returns the value that 95 % of the time did not exceed.
func percentile(seen []Point, measured time.Duration) float64 {
	const share = 0.95
	sorted := slices.SortedFunc(slices.Values(seen), func(a, b Point) int { return cmp.Compare(a.Value, b.Value) })
	var upTo time.Duration
	for _, p := range sorted {
		if upTo += p.Over; float64(upTo) >= share*float64(measured) {
			return p.Value
		}
	}
	return sorted[len(sorted)-1].Value
}

// Line draws a series in a line of block characters, one for each of so many equal parts of
// its time; a part without values is a space. The lowest block is the least value, the highest
// the greatest, unless they differ by less than a tenth.
func Line(series []Point, width int) string {
	seen := known(series)
	if len(seen) == 0 || width < 1 {
		return ""
	}
	parts := Fewer(series, width, Mean)
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range known(parts) {
		low, high = min(low, p.Value), max(high, p.Value)
	}
	high = max(high, low+0.1*math.Abs(high))
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, p := range parts {
		switch v := p.Value; {
		case math.IsNaN(v), math.IsInf(v, 0):
			b.WriteRune(' ')
		case high == low:
			b.WriteRune(blocks[0])
		default:
			b.WriteRune(blocks[int(math.Round((v-low)/(high-low)*float64(len(blocks)-1)))])
		}
	}
	return b.String()
}

// Mean is the mean of some values, NaN of nothing.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Most is the greatest of some values, NaN of nothing.
func Most(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Max(values)
}

// Fewer returns a series of at most so many points, one for each of as many equal parts of its
// time. Its values are what remains of those of a part, NaN of none.
func Fewer(series []Point, parts int, remains func([]float64) float64) []Point {
	if len(series) <= parts {
		return series
	}
	var out []Point
	length := series[len(series)-1].At.Sub(series[0].At) / time.Duration(parts)
	for i, p := range partition(series, parts) {
		var values []float64
		for _, point := range known(p) {
			values = append(values, point.Value)
		}
		out = append(out, Point{At: series[0].At.Add(time.Duration(i+1) * length), Value: remains(values), Over: length})
	}
	return out
}

// partition cuts a series into so many parts of equal time, some of which may have no points.
func partition(series []Point, parts int) [][]Point {
	first, last := series[0].At, series[len(series)-1].At
	out := make([][]Point, parts)
	for _, p := range series {
		i := 0
		if last.After(first) {
			i = int(float64(p.At.Sub(first)) / float64(last.Sub(first)) * float64(parts))
		}
		i = min(max(i, 0), parts-1)
		out[i] = append(out[i], p)
	}
	return out
}

// median is that of some values, which it sorts; NaN of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}
