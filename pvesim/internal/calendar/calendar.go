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
var named = map[string]string{
	"daily": "00:00", "hourly": "*:00", "minutely": "*:*", "weekly": "mon 00:00", "monthly": "*-*-1 00:00", "yearly": "*-1-1 00:00",
}

// Next returns the next time that an event names, and false if there is none, or if it is not
// of the simple kinds: times of day, which days of the week and a date may precede, such as
// mon..fri, sat,sun, 2026-12-24 or *-*-1..7, or a word for them. Hours and minutes may be
// lists, ranges and steps, such as 8..17:00/15.
func Next(event string, after time.Time) (time.Time, bool) {
	if times, ok := named[event]; ok {
		event = times
	}
	fields := strings.Fields(event)
	if len(fields) == 0 || len(fields) > 3 {
		return time.Time{}, false
	}
	days, fits := everyDay, func(time.Time) bool { return true }
	for _, field := range fields[:len(fields)-1] {
		var err error
		if !strings.Contains(field, "-") {
			days = weekdays(field)
		} else if fits, err = date(field); err != nil {
			return time.Time{}, false
		}
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
	for i := range mostDays {
		day := time.Date(after.Year(), after.Month(), after.Day()+i, 0, 0, 0, 0, time.UTC)
		if days&(1<<day.Weekday()) == 0 || !fits(day) {
			continue
		}
		for m := range 24 * 60 {
			at := day.Add(time.Duration(m) * time.Minute)
			if at.After(after) && atHours[at.Hour()] && atMinutes[at.Minute()] {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// mostDays is how far ahead the next time is looked for.
const mostDays = 3 * 366

// date reads a date, of which each part may be a list: year-month-day, or month-day.
func date(text string) (fits func(time.Time) bool, err error) {
	parts := strings.Split(text, "-")
	if len(parts) == 2 {
		parts = append([]string{"*"}, parts...)
	}
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is no date", text)
	}
	years, err1 := numbers(parts[0], 2100)
	months, err2 := numbers(parts[1], 13)
	monthDays, err3 := numbers(parts[2], 32)
	return func(day time.Time) bool { return years[day.Year()] && months[day.Month()] && monthDays[day.Day()] }, errors.Join(err1, err2, err3)
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
