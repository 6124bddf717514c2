// Package calendar reads calendar events, by which jobs run.
package calendar

import (
	"strconv"
	"strings"
	"time"
)

// Next returns the next time that an event names, and false if it is not of the simple
// kinds: a time of day, which days of the week may precede, such as mon..fri or sat,sun,
// or daily.
func Next(event string, after time.Time) (time.Time, bool) {
	if event == "daily" {
		event = "00:00"
	}
	fields := strings.Fields(event)
	if len(fields) == 0 || len(fields) > 2 {
		return time.Time{}, false
	}
	days := everyDay
	if len(fields) == 2 {
		days = weekdays(fields[0])
	}
	hours, minutes, ok := strings.Cut(fields[len(fields)-1], ":")
	h, err1 := strconv.Atoi(hours)
	m, err2 := strconv.Atoi(minutes)
	if !ok || err1 != nil || err2 != nil {
		return time.Time{}, false
	}
	for i := range 8 {
		at := time.Date(after.Year(), after.Month(), after.Day()+i, h, m, 0, 0, time.UTC)
		if days&(1<<at.Weekday()) != 0 && at.After(after) {
			return at, true
		}
	}
	return time.Time{}, false
}

// everyDay is the set of all days of the week, bit 0 for Sunday.
const everyDay = 1<<7 - 1

// weekdays reads a list of days and ranges of days.
func weekdays(list string) int {
	number := func(name string) int {
		return strings.Index("sun mon tue wed thu fri sat", name[:min(3, len(name))]) / 4
	}
	days := 0
	for part := range strings.SplitSeq(strings.ToLower(list), ",") {
		first, last, ok := strings.Cut(part, "..")
		if !ok {
			last = first
		}
		for d := number(first); ; d = (d + 1) % 7 {
			days |= 1 << d
			if d == number(last) {
				break
			}
		}
	}
	return days
}
