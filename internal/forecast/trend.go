package forecast

import (
	"math"
	"slices"
	"time"
)

const (
	// mostPoints is how many points a slope is made of: it looks at all pairs. A longer
	// series is cut into so many parts, whose medians count.
	mostPoints = 120
	// leastPoints is how many points a slope needs.
	leastPoints = 10
	// leastRecent and leastRecentTime are what the recent part of a series has at least, to
	// count alone: more than a week, since weeks repeat themselves.
	leastRecent     = 16
	leastRecentTime = 8 * day
	// sure is the quantile of the normal distribution for an interval of 95 %.
	sure = 1.96
	// verySure is that of an interval in which nearly all slopes are.
	verySure = 3.3
	// leastChange is the share of the level by which a trend changes it in the time that
	// was seen: less than that is of no use to anyone.
	leastChange = 0.005
	// day is the unit of a slope.
	day = 24 * time.Hour
)

// Direction is where a series goes.
type Direction string

// The directions. Unclear is a series that is too short.
const (
	Rising  Direction = "rising"
	Falling Direction = "falling"
	Steady  Direction = "no trend"
	Unclear Direction = "too little data"
)

// Step is a sudden change of a series that stayed.
type Step struct {
	At time.Time
	By float64
}

// Trend is how a series goes on if it goes on as it did.
type Trend struct {
	Direction Direction
	// PerDay is the slope, between Low and High with 95 %.
	PerDay, Low, High float64
	// Level is where the line ends, at At; the values are above it by up to Above. Both
	// count where the series has teeth.
	Level, Above float64
	At           time.Time
	// Since is from when on the series has gone like this, and Steps are the sudden changes
	// that were left out of the slope.
	Since time.Time
	Steps []Step
	// Teeth says that the series rises and drops again and again.
	Teeth bool

	veryLow, veryHigh float64 // between which the slope is almost surely
}

// TrendOf finds the trend of a series. The slope is that of Theil and Sen, the median of the
// slopes of all pairs of points, which a few odd values do not change. Its interval is wider
// than theirs where neighbouring values resemble each other.
func TrendOf(series []Point) Trend {
	points := condensed(series)
	if len(points) < leastPoints {
		return Trend{Direction: Unclear}
	}
	t := fit(points)
	for !t.Teeth { // the recent half alone, if it goes another way
		points = points[len(points)/2:]
		if len(points) < leastRecent || points[len(points)-1].At.Sub(points[0].At) < leastRecentTime {
			break
		}
		recent := fit(points)
		if recent.Direction != Steady && (t.PerDay < recent.veryLow || t.PerDay > recent.veryHigh) {
			t = recent
		}
	}
	return t
}

// condensed returns the known points of a series, one for a time, and at most [mostPoints]: of
// more, the medians of parts.
func condensed(series []Point) []Point {
	seen := slices.CompactFunc(known(series), func(p, before Point) bool { return !p.At.After(before.At) })
	if len(seen) <= mostPoints {
		return seen
	}
	var out []Point
	for _, part := range partition(seen, mostPoints) {
		if len(part) == 0 {
			continue
		}
		var values []float64
		for _, p := range part {
			values = append(values, p.Value)
		}
		first, last := part[0], part[len(part)-1]
		out = append(out, Point{At: first.At.Add(last.At.Sub(first.At) / 2), Value: median(values), Over: first.Over})
	}
	return out
}

// fit finds the trend of points that go one way.
func fit(points []Point) Trend {
	last := points[len(points)-1]
	t := Trend{At: last.At, Since: points[0].At}
	parts, steps := betweenSteps(points)
	if even := withoutTeeth(points, toothOf(steps, parts)); len(even) >= leastPoints {
		t.Teeth = true
		parts = [][]Point{even}
	} else {
		t.Steps = steps
	}
	slopes := slopesWithin(parts)
	t.PerDay = median(slopes)

	var rest []float64 // what the line leaves over, in each part around its own level
	var deviation float64
	for _, part := range parts {
		over := leftOver(part, last.At, t.PerDay)
		t.Level = median(slices.Clone(over))
		for i := range over {
			over[i] -= t.Level
		}
		rest = append(rest, over...)
		n := float64(len(part))
		deviation += n * (n - 1) * (2*n + 5) / 18
	}
	deviation = math.Sqrt(deviation * resemblance(rest))
	t.Low, t.High = interval(slopes, sure*deviation)
	t.veryLow, t.veryHigh = interval(slopes, verySure*deviation)
	t.Direction = t.directionOf(slices.Concat(parts...), rest)

	const top = 0.95 // of the values count as ones that come again
	slices.Sort(rest)
	t.Above = max(0, rest[int(top*float64(len(rest)-1))])
	if t.Teeth { // the highest tooth is what reaches a limit
		t.Above = max(0, slices.Max(leftOver(points, last.At, t.PerDay))-t.Level)
	}
	return t
}

// directionOf says whether points change by a trend, of which they have a rest.
func (t Trend) directionOf(points []Point, rest []float64) Direction {
	change := math.Abs(t.PerDay * daysTo(t.At, t.Since))
	switch {
	case change < leastChange*math.Abs(t.Level), !isLasting(rest, points, t.PerDay):
		return Steady
	case t.Low > 0:
		return Rising
	case t.High < 0:
		return Falling
	}
	return Steady
}

// leftOver are the values of points without a slope.
func leftOver(points []Point, end time.Time, perDay float64) []float64 {
	out := make([]float64, len(points))
	for i, p := range points {
		out[i] = p.Value - perDay*daysTo(end, p.At)
	}
	return out
}

// daysTo is when a time is, in days from an end.
func daysTo(end, at time.Time) float64 { return float64(at.Sub(end)) / float64(day) }

// slopesWithin returns the slopes of all pairs of points of the same part, sorted.
func slopesWithin(parts [][]Point) []float64 {
	var out []float64
	for _, part := range parts {
		for i, p := range part {
			for _, q := range part[:i] {
				if days := daysTo(q.At, p.At); days > 0 {
					out = append(out, (p.Value-q.Value)/days)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// isLasting reports whether the change is one of the whole time: of its eighths each differs
// from the one before it by about the same. What wanders without an aim does not.
func isLasting(rest []float64, points []Point, perDay float64) bool {
	const parts = 8
	var levels []float64
	for i := range parts {
		from, to := i*len(points)/parts, (i+1)*len(points)/parts
		var values []float64
		for j := from; j < to; j++ {
			values = append(values, rest[j]+perDay*daysTo(points[0].At, points[j].At))
		}
		levels = append(levels, median(values))
	}
	changes := make([]float64, parts-1)
	for i := range changes {
		changes[i] = levels[i+1] - levels[i]
	}
	usual := Mean(changes)
	var spread float64
	for _, c := range changes {
		spread += (c - usual) * (c - usual)
	}
	const n = parts - 1
	return math.Abs(usual) > 2*math.Sqrt(spread/(n-1)/n)
}

// interval is that of Sen for a slope, of the sorted slopes of all pairs, some deviations of
// their rank wide.
func interval(slopes []float64, deviations float64) (low, high float64) {
	pairs := float64(len(slopes))
	first := math.Floor((pairs - deviations) / 2)
	last := math.Ceil((pairs + deviations) / 2)
	if first < 0 || last > pairs-1 {
		return math.Inf(-1), math.Inf(1)
	}
	return slopes[int(first)], slopes[int(last)]
}

// resemblance says how much neighbouring values around 0 resemble each other: 1 if they do
// not. It is the sum of the autocorrelation up to where that is lost in noise.
func resemblance(values []float64) float64 {
	at := func(lag int) float64 {
		sum := 0.0
		for i := lag; i < len(values); i++ {
			sum += values[i] * values[i-lag]
		}
		return sum
	}
	all := at(0)
	if all == 0 {
		return 1
	}
	sum := 1.0
	for lag := 1; lag+1 < len(values)/2; lag += 2 {
		pair := (at(lag) + at(lag+1)) / all
		if pair <= 0 {
			break
		}
		sum += 2 * pair
	}
	return sum
}
