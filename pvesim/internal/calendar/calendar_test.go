package calendar

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	saturday := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for event, want := range map[string]string{
		"21:00":              "Sat 28 21:00",
		"11:00":              "Sun 29 11:00",
		"12:00":              "Sun 29 12:00", // not now
		"daily":              "Sun 29 00:00",
		"mon..fri 03:30":     "Mon 30 03:30",
		"sat,sun 03:30":      "Sun 29 03:30",
		"sat 03:30":          "Sat 05 03:30",
		"fri..mon 03:30":     "Sun 29 03:30",
		"*/2":                "Sat 28 12:02",
		"*/7:00":             "Sat 28 14:00",
		"8..17:00/15":        "Sat 28 12:15",
		"hourly":             "Sat 28 13:00",
		"1,22:30":            "Sat 28 22:30",
		"25:00":              "",
		"*-*-01 02:00":       "Tue 01 02:00",
		"2026-12-24 18:00":   "Thu 24 18:00",
		"2026-11-01 18:00":   "", // over
		"sat *-*-1..7 15:00": "Sat 05 15:00",
		"weekly":             "Mon 30 00:00",
		"2026-13-01 02:00":   "",
		"":                   "",
	} {
		next, ok := Next(event, saturday)
		got := ""
		if ok {
			got = next.Format("Mon 02 15:04")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", event, got, want)
		}
	}
}
