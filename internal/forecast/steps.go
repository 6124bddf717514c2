package forecast

import (
	"math"
	"slices"
	"time"
)

// mostSteps is how many sudden changes of one direction a series may have that are no teeth,
// if they go on with what it does in between.
const mostSteps = 3

// leastPart is how many points there are between two steps.
const leastPart = 3

// betweenSteps cuts a series where it changes suddenly.
func betweenSteps(points []Point) (parts [][]Point, steps []Step) {
	changes, rates := make([]float64, len(points)-1), make([]float64, len(points)-1)
	low, high := points[0].Value, points[0].Value
	for i := range changes {
		p, next := points[i], points[i+1]
		changes[i] = next.Value - p.Value
		rates[i] = changes[i] / daysTo(p.At, next.At)
		low, high = min(low, next.Value), max(high, next.Value)
	}
	usual := median(rates)
	apart := make([]float64, len(changes))
	for i := range changes {
		changes[i] -= usual * daysTo(points[i].At, points[i+1].At)
		apart[i] = math.Abs(changes[i])
	}
	const (
		farOut   = 5    // times the deviation of changes
		notSmall = 0.15 // of all that the series did
	)
	least := max(farOut*1.48*median(slices.Clone(apart)), notSmall*(high-low))
	from := 0
	for i, c := range changes {
		if apart[i] > least && i+1-from >= leastPart && len(points)-i-1 >= leastPart && stays(points, i, c) {
			parts = append(parts, points[from:i+1])
			steps = append(steps, Step{points[i+1].At, c})
			from = i + 1
		}
	}
	return append(parts, points[from:]), steps
}

// toothOf returns how long a tooth is of a series that changes suddenly again and again, such
// as a storage whose old backups are deleted once a week: each change goes back on what the
// series does in between, by about the same. It returns 0 for one without teeth.
func toothOf(steps []Step, parts [][]Point) time.Duration {
	if len(steps) < 2 {
		return 0
	}
	between := median(slopesWithin(parts))
	least, most := math.Inf(1), 0.0
	for _, s := range steps {
		if len(steps) <= mostSteps && s.By*between > 0 || s.By*steps[0].By < 0 {
			return 0
		}
		least, most = min(least, math.Abs(s.By)), max(most, math.Abs(s.By))
	}
	if most > 2*least {
		return 0
	}
	return steps[len(steps)-1].At.Sub(steps[0].At) / time.Duration(len(steps)-1)
}

// withoutTeeth returns the averages of points over the time of a tooth around them, nothing if
// there are no teeth.
func withoutTeeth(points []Point, tooth time.Duration) []Point {
	if tooth == 0 {
		return nil
	}
	var out []Point
	last := points[len(points)-1].At
	for _, p := range points {
		from, to := p.At.Add(-tooth/2), p.At.Add(tooth/2)
		if from.Before(points[0].At) || to.After(last) {
			continue
		}
		var near []float64
		for _, q := range points {
			if q.At.After(from) && !q.At.After(to) {
				near = append(near, q.Value)
			}
		}
		out = append(out, Point{At: p.At, Value: Mean(near), Over: p.Over})
	}
	return out
}

// stays reports whether a change after a point is one of the level, and no single odd value.
func stays(points []Point, i int, change float64) bool {
	var before, after []float64
	for _, p := range points[max(0, i+1-leastPart) : i+1] {
		before = append(before, p.Value)
	}
	for _, p := range points[i+1 : min(len(points), i+1+leastPart)] {
		after = append(after, p.Value)
	}
	moved := median(after) - median(before)
	return moved*change > 0 && math.Abs(moved) > math.Abs(change)/2
}
