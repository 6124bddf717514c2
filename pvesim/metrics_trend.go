package pvesim

import (
	"math"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/rrd"
)

// Trend is a figure of RRD data as a function of the time: a straight line, with a saw-tooth
// and noise on top. It goes on while the cluster lives.
type Trend struct {
	// Of is whose figure it is: node/pve1, qemu/100, lxc/200, storage/pve1/local, or
	// storage/nfs on all nodes.
	Of     string
	Figure string // the name of the field: cpu, mem, memused, used, netin, …
	// Now is the line's value when the model comes to life; 0 means what it has without this.
	Now    float64
	PerDay float64 // growth
	// Tooth is how high the saw-tooth climbs in each Period before it falls back to the line.
	Tooth  float64
	Period time.Duration
	Noise  float64 // the largest distance from the line
	Peak   float64 // how far a maximum is above what an average can be
}

// trendsOf are those of a thing, by any of its names.
func (s *state) trendsOf(names ...string) []Trend {
	var out []Trend
	for _, t := range s.model.Trends {
		for _, name := range names {
			if t.Of == name {
				out = append(out, t)
			}
		}
	}
	return out
}

// apply gives a row of a series the values of trends.
func (s *state) apply(trends []Trend, row map[string]any, step rrd.Span, largest bool) {
	for _, t := range trends {
		before, there := row[t.Figure]
		if !there {
			continue // nothing is known of that time
		}
		line := t.Now
		if line == 0 {
			line = float(before)
		}
		row[t.Figure] = max(t.over(s.model.Seed, line, s.born, step, largest), 0)
	}
}

// samples is how many moments of a step count for its value.
const samples = 8

// over is the average of a step, or its maximum.
func (t Trend) over(seed uint64, line float64, born time.Time, step rrd.Span, largest bool) float64 {
	sum, most := 0.0, math.Inf(-1)
	for i := range samples {
		at := step.From.Add(step.To.Sub(step.From) * time.Duration(2*i+1) / (2 * samples))
		days := at.Sub(born).Hours() / 24
		v := line + t.PerDay*days
		if t.Period > 0 {
			phase := days * 24 / t.Period.Hours()
			v += t.Tooth * (phase - math.Floor(phase))
		}
		v += t.Noise * (2*float64(hash(seed, t.Of, t.Figure, int(at.Unix()))>>11)/(1<<53) - 1)
		sum, most = sum+v, max(most, v)
	}
	if largest {
		return most + t.Peak
	}
	return sum / samples
}

func float(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}
