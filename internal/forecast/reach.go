package forecast

import (
	"math"
	"time"
)

// Reach is when a series reaches a limit, in days from now.
type Reach struct {
	// Soonest, Likely and Latest are in this order, none before now. Latest is infinite if
	// it may take for ever.
	Soonest, Likely, Latest float64
}

// Reaches says when a trend reaches a limit, in days from a time now. ok is false if it does
// not rise.
func (t Trend) Reaches(limit float64, now time.Time) (r Reach, ok bool) {
	if t.Direction != Rising {
		return Reach{}, false
	}
	passed := max(0, float64(now.Sub(t.At))/float64(day))
	days := func(slack, perDay float64) float64 {
		if perDay <= 0 {
			return math.Inf(1)
		}
		return max(0, slack/perDay-passed)
	}
	slack, least := limit-t.Level, limit-t.Level-t.Above
	r.Likely = days(slack, t.PerDay)
	if t.Teeth {
		r.Likely = days(least, t.PerDay)
	}
	r.Soonest = min(r.Likely, days(least, t.High))
	r.Latest = max(r.Likely, days(slack, t.Low))
	return r, true
}
