// Package rrd knows the times of the series that PVE keeps in RRD files.
package rrd

import "time"

const day = 24 * time.Hour

// resolution is how fine the values of a timeframe are, and how many of them PVE keeps.
type resolution struct {
	step time.Duration
	rows int
}

var since9 = map[string]resolution{
	"hour": {time.Minute, 60}, "day": {time.Minute, 1440}, "week": {30 * time.Minute, 336},
	"month": {30 * time.Minute, 1440}, "year": {6 * time.Hour, 1440}, "decade": {7 * day, 570},
}

var before9 = map[string]resolution{
	"hour": {time.Minute, 70}, "day": {30 * time.Minute, 70}, "week": {3 * time.Hour, 70},
	"month": {12 * time.Hour, 70}, "year": {7 * day, 70},
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// Middle is the time that represents the span.
func (s Span) Middle() time.Time { return s.From.Add(s.To.Sub(s.From) / 2) }

// Intersect returns what two spans have in common, and false if that is nothing.
func (s Span) Intersect(o Span) (Span, bool) {
	if o.From.After(s.From) {
		s.From = o.From
	}
	if o.To.Before(s.To) {
		s.To = o.To
	}
	return s, s.From.Before(s.To)
}

// Steps are the spans of the values of a timeframe, such as "hour", up to a time and
// oldest first. A value has the time of its span's end. The major version is PVE's.
func Steps(major int, timeframe string, now time.Time) []Span {
	r := since9[timeframe]
	if major < 9 {
		r = before9[timeframe]
	}
	if r.rows == 0 {
		return nil
	}
	last := time.Unix(now.Unix()/int64(r.step/time.Second)*int64(r.step/time.Second), 0)
	steps := make([]Span, r.rows)
	for i := range steps {
		end := last.Add(-time.Duration(r.rows-1-i) * r.step)
		steps[i] = Span{end.Add(-r.step), end}
	}
	return steps
}
