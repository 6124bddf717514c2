// Package calendar reads calendar events, by which jobs run.
package calendar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// named are words for events.
var named = map[string]string{"daily": "00:00", "hourly": "*:00", "minutely": "*:*"}

// Next returns the next time that an event names, and false if it is not of the simple
// kinds: times of day, which days of the week may precede, such as mon..fri or sat,sun, or a
// word for them. Hours and minutes may be lists, ranges and steps, such as 8..17:00/15.
func Next(event string, after time.Time) (time.Time, bool) {
	if times, ok := named[event]; ok {
		event = times
	}
	fields := strings.Fields(event)
	if len(fields) == 0 || len(fields) > 2 || strings.Contains(event, "-") { // which a date has
		return time.Time{}, false
	}
	days := everyDay
	if len(fields) == 2 {
		days = weekdays(fields[0])
	}
	hours, minutes, ok := strings.Cut(fields[len(fields)-1], ":")
	if !ok {
		hours, minutes = "*", hours
	}
	atHours, err1 := numbers(hours, 24)
	atMinutes, err2 := numbers(minutes, 60)
	if err1 != nil || err2 != nil {
		return time.Time{}, false
	}
	for i := range 8 {
		day := time.Date(after.Year(), after.Month(), after.Day()+i, 0, 0, 0, 0, time.UTC)
		for m := range 24 * 60 {
			at := day.Add(time.Duration(m) * time.Minute)
			if days&(1<<at.Weekday()) != 0 && at.After(after) && atHours[at.Hour()] && atMinutes[at.Minute()] {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// numbers reads a list of numbers below an end, ranges of them, and steps.
func numbers(list string, end int) ([]bool, error) {
	out := make([]bool, end)
	for part := range strings.SplitSeq(list, ",") {
		span, by, steps := strings.Cut(part, "/")
		first, last, isRange := strings.Cut(span, "..")
		if span == "*" {
			first, last, isRange = "0", strconv.Itoa(end-1), true
		} else if steps && !isRange {
			last, isRange = strconv.Itoa(end-1), true
		}
		if !isRange {
			last = first
		}
		if !steps {
			by = "1"
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		step, err3 := strconv.Atoi(by)
		if err := errors.Join(err1, err2, err3); err != nil || from < 0 || to >= end || step < 1 {
			return nil, fmt.Errorf("%q is no list of numbers below %d", list, end)
		}
		for n := from; n <= to; n += step {
			out[n] = true
		}
	}
	return out, nil
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
