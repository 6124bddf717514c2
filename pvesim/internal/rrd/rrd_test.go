package rrd

import (
	"testing"
	"time"
)

func TestSteps(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 34, 56, 0, time.UTC)
	for _, tt := range []struct {
		major     int
		timeframe string
		count     int
		last      string
	}{
		{9, "hour", 60, "12:33-12:34"},
		{8, "hour", 70, "12:33-12:34"},
		{9, "week", 336, "12:00-12:30"},
		{8, "week", 70, "09:00-12:00"},
		{8, "decade", 0, ""},
	} {
		steps, last := Steps(tt.major, tt.timeframe, now), ""
		if n := len(steps); n > 0 {
			last = steps[n-1].From.UTC().Format("15:04") + "-" + steps[n-1].To.UTC().Format("15:04")
		}
		if len(steps) != tt.count || last != tt.last {
			t.Errorf("PVE %d, %s: %d steps, the last %s; want %d, %s", tt.major, tt.timeframe, len(steps), last, tt.count, tt.last)
		}
		for i := 1; i < len(steps); i++ {
			if !steps[i].From.Equal(steps[i-1].To) {
				t.Fatalf("PVE %d, %s: step %d begins at %v, not where the one before it ends", tt.major, tt.timeframe, i, steps[i].From)
			}
		}
	}
}

func TestIntersect(t *testing.T) {
	at := func(minute int) time.Time { return time.Unix(int64(minute)*60, 0) }
	whole := Span{at(10), at(20)}
	for _, tt := range []struct {
		other, want Span
		ok          bool
	}{
		{Span{at(0), at(15)}, Span{at(10), at(15)}, true},
		{Span{at(12), at(30)}, Span{at(12), at(20)}, true},
		{Span{at(0), at(30)}, whole, true},
		{Span{at(20), at(30)}, Span{}, false},
	} {
		if got, ok := whole.Intersect(tt.other); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%v: %v, %v", tt.other, got, ok)
		}
	}
}
