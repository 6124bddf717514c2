package forecast_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/forecast"
)

var end = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// series makes rows of a step, the last one now, of a function of the days before now.
func series(rows int, step time.Duration, value func(days float64) float64) []forecast.Point {
	out := make([]forecast.Point, rows)
	for i := range out {
		before := time.Duration(i-rows+1) * step
		out[i] = forecast.Point{At: end.Add(before), Value: value(before.Hours() / 24), Over: step}
	}
	return out
}

// resolutions are those of a month on PVE 8 and 9.
var resolutions = []struct {
	rows int
	step time.Duration
}{{70, 12 * time.Hour}, {1440, 30 * time.Minute}}

// curve is a growth that is known, and what it is hidden in.
type curve struct {
	name string
	// value is what is used, of a growth of 1 a day to a level of 100 now.
	value func(r *rand.Rand, days float64) float64
	// full says in how many days the level has risen by so much, if that is not the growth.
	full func(slack float64) float64
}

// firstDay is when a curve first reaches a level.
func firstDay(slack float64, value func(days float64) float64) float64 {
	days := 0.0
	for value(days) < slack {
		days += 0.01
	}
	return days
}

func sawtooth(days, period, height float64) float64 {
	return height * (math.Mod(days+1000*period, period)/period - 0.5)
}

var growing = []curve{
	{name: "line", value: func(_ *rand.Rand, d float64) float64 { return d }},
	{name: "noise", value: func(r *rand.Rand, d float64) float64 { return d + 2*r.NormFloat64() }},
	{name: "much noise", value: func(r *rand.Rand, d float64) float64 { return d + 5*r.NormFloat64() }},
	{name: "odd values", value: func(r *rand.Rand, d float64) float64 {
		if r.Float64() < 0.1 {
			return d - 40
		}
		return d + r.NormFloat64()
	}},
	{name: "day and night", value: func(r *rand.Rand, d float64) float64 { return d + 3*math.Sin(2*math.Pi*d) + r.NormFloat64() }},
	{name: "gaps", value: func(r *rand.Rand, d float64) float64 {
		if d > -20 && d < -12 || r.Float64() < 0.2 {
			return math.NaN()
		}
		return d + r.NormFloat64()
	}},
	{name: "teeth of a day", value: func(r *rand.Rand, d float64) float64 { return d + sawtooth(d, 1, 4) + 0.5*r.NormFloat64() }},
	{name: "teeth of a week", value: func(r *rand.Rand, d float64) float64 { return d + sawtooth(d, 7, 10) + 0.5*r.NormFloat64() },
		full: func(slack float64) float64 {
			return firstDay(slack, func(d float64) float64 { return d + sawtooth(d, 7, 10) })
		}},
	{name: "a step up", value: func(r *rand.Rand, d float64) float64 {
		if d < -12 {
			return d - 60 + r.NormFloat64()
		}
		return d + r.NormFloat64()
	}},
	{name: "a step down", value: func(r *rand.Rand, d float64) float64 {
		if d < -17 {
			return d + 45 + r.NormFloat64()
		}
		return d + r.NormFloat64()
	}},
	{name: "quiet before", value: func(r *rand.Rand, d float64) float64 { return max(d, -12) + 0.3*r.NormFloat64() }},
}

// Growth of each kind reaches its limit when it really does: the median error is under 10 %,
// and the interval has the true day as a rule.
func TestReaches(t *testing.T) {
	t.Parallel()
	for _, res := range resolutions {
		for _, c := range growing {
			var errs []float64
			within := 0
			const runs = 40
			for seed := range uint64(runs) {
				r := rand.New(rand.NewPCG(seed, 7))
				slack := 20 + 80*r.Float64()
				limit := slack // in days, since 1 is added a day
				if c.full != nil {
					limit = c.full(slack)
				}
				trend := forecast.TrendOf(series(res.rows, res.step, func(d float64) float64 { return 100 + c.value(r, d) }))
				got, ok := trend.Reaches(100+slack, end)
				off := 1.0
				if ok {
					off = math.Abs(got.Likely-limit) / limit
				}
				errs = append(errs, off)
				if ok && got.Soonest <= limit+0.01 && limit-0.01 <= got.Latest {
					within++
				}
			}
			slices.Sort(errs)
			t.Logf("%-16s %4d rows: median error %4.1f %%, worst %4.1f %%, %d of %d in the interval", c.name, res.rows, 100*errs[runs/2], 100*errs[runs-1], within, runs)
			if errs[runs/2] >= 0.1 {
				t.Errorf("%s, %d rows: median error %.0f %%", c.name, res.rows, 100*errs[runs/2])
			}
			if within < runs*8/10 {
				t.Errorf("%s, %d rows: the interval has only %d of %d", c.name, res.rows, within, runs)
			}
		}
	}
}

var flat = []curve{
	{name: "constant", value: func(*rand.Rand, float64) float64 { return 0 }},
	{name: "noise", value: func(r *rand.Rand, _ float64) float64 { return 3 * r.NormFloat64() }},
	{name: "day and night", value: func(r *rand.Rand, d float64) float64 { return 10*math.Sin(2*math.Pi*d) + r.NormFloat64() }},
	{name: "a week", value: func(r *rand.Rand, d float64) float64 {
		return 10*math.Sin(2*math.Pi*d/7) + r.NormFloat64()
	}},
	{name: "teeth of a week", value: func(r *rand.Rand, d float64) float64 { return sawtooth(d, 7, 20) + r.NormFloat64() }},
	{name: "teeth of a day", value: func(r *rand.Rand, d float64) float64 { return sawtooth(d, 1, 20) + r.NormFloat64() }},
	{name: "bursts", value: func(r *rand.Rand, _ float64) float64 { return 30 * math.Pow(r.Float64(), 20) }},
	{name: "one step", value: func(r *rand.Rand, d float64) float64 {
		if d < -10 {
			return -40 + r.NormFloat64()
		}
		return r.NormFloat64()
	}},
}

// Nothing that only wobbles has a trend.
func TestNoTrend(t *testing.T) {
	t.Parallel()
	for _, res := range resolutions {
		for _, c := range flat {
			wrong := 0
			const runs = 60
			for seed := range uint64(runs) {
				r := rand.New(rand.NewPCG(seed, 11))
				trend := forecast.TrendOf(series(res.rows, res.step, func(d float64) float64 { return 100 + c.value(r, d) }))
				if trend.Direction != forecast.Steady {
					wrong++
				}
			}
			t.Logf("%-16s %4d rows: %d of %d with a trend", c.name, res.rows, wrong, runs)
			if wrong > runs/10 {
				t.Errorf("%s, %d rows: %d of %d have a trend", c.name, res.rows, wrong, runs)
			}
		}
		// What resembles its neighbours more and more.
		for _, memory := range []float64{0.5, 0.9, 1} {
			wrong := 0
			const runs = 60
			for seed := range uint64(runs) {
				r := rand.New(rand.NewPCG(seed, 13))
				level := 0.0
				trend := forecast.TrendOf(series(res.rows, res.step, func(float64) float64 {
					level = memory*level + r.NormFloat64()
					return 100 + level
				}))
				if trend.Direction != forecast.Steady {
					wrong++
				}
			}
			t.Logf("memory %.1f %4d rows: %d of %d with a trend", memory, res.rows, wrong, runs)
			if wrong > runs/4 {
				t.Errorf("memory %.1f, %d rows: %d of %d have a trend", memory, res.rows, wrong, runs)
			}
		}
	}
}
