// Package schedule turns the words in which people say when something runs into PVE's calendar
// events, and back.
package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var (
	// calendarRE matches what is in PVE's calendar form already.
	calendarRE = lazyregexp.New(`^(?:(?:mon|tue|wed|thu|fri|sat|sun|\.\.|,)+ ?)?[0-9*/.,:\- ]*$|^(?:minutely|hourly|daily|weekly|monthly|quarterly|semiannually|yearly|annually)$`)
	// timeRE finds the time of day at the end of a sentence.
	timeRE = lazyregexp.New(`^(.*?)(?:\bat )?\b(?:(\d{1,2})(?:[:.h](\d\d))? ?(am|pm|a\.m\.|p\.m\.|o'clock|h)?|(noon|midnight))$`)
	// everyRE matches a time that comes again and again.
	everyRE = lazyregexp.New(`^every (?:(\d+) )?(minute|min|hour|h)s?$`)
	// onDayRE finds a day of the month.
	onDayRE = lazyregexp.New(`\b(?:the )?(\d{1,2})(?:st|nd|rd|th)\b`)
)

// Event turns words into PVE's calendar form: "every night at 2" is 02:00. What it does
// not understand it returns as it is, since PVE decides what a schedule is.
func Event(text string) string {
	text = strings.TrimSpace(text)
	said := Digits(text)
	if calendarRE.MatchString(said) {
		return said
	}
	if m := everyRE.FindStringSubmatch(said); m != nil {
		n := max(1, atoi(m[1]))
		switch isHours := strings.HasPrefix(m[2], "h"); {
		case isHours && n == 1:
			return "*:00"
		case isHours && n < 24:
			return fmt.Sprintf("*/%d:00", n)
		case !isHours && n == 60:
			return "*:00"
		case !isHours && n < 60:
			return fmt.Sprintf("*/%d", n)
		}
		return text
	}
	m := timeRE.FindStringSubmatch(said)
	if m == nil {
		return text
	}
	days, part, ok := calendarDays(strings.TrimSpace(m[1]))
	at := timeOfDay(m, part)
	if !ok || at == "" {
		return text
	}
	return strings.TrimSpace(days + " " + at)
}

// Digits writes the numbers of a sentence in digits.
func Digits(text string) string {
	numbers := []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
	words := strings.Fields(strings.ToLower(text))
	for i, word := range words {
		if n := slices.Index(numbers, word); n >= 0 {
			words[i] = strconv.Itoa(n)
		}
	}
	return strings.Join(words, " ")
}

func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// timeOfDay reads the time that timeRE has found. A bare hour is one of the part of the day that
// was named.
func timeOfDay(m []string, part string) string {
	hour, minute := atoi(m[2]), atoi(m[3])
	switch m[5] {
	case "noon":
		hour = 12
	case "midnight":
		hour = 0
	}
	half := strings.ReplaceAll(m[4], ".", "")
	switch bare := m[3] == "" && m[2] != "" && m[2][0] != '0'; {
	case half != "" && half != "o'clock" && half != "h" && (hour < 1 || hour > 12):
		return ""
	case half == "pm", half == "am":
		hour %= 12
		if half == "pm" {
			hour += 12
		}
	case bare && (part == "evening" && hour >= 4 || part == "night" && hour >= 7) && hour < 12, bare && part == "afternoon" && hour < 12:
		hour += 12
	case bare && part == "night" && hour == 12:
		hour = 0
	}
	if hour > 23 || minute > 59 {
		return ""
	}
	return fmt.Sprintf("%02d:%02d", hour, minute)
}

// weekdays are the days of the week in PVE's words.
func weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

// weekday reads a day of the week, "" for anything else.
func weekday(word string) string {
	word = strings.TrimSuffix(strings.TrimSuffix(word, "s"), ".")
	full := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	for i, name := range full {
		if len(word) >= 3 && strings.HasPrefix(name, word) {
			return weekdays()[i]
		}
	}
	return ""
}

// fillers are words that do not say which days.
func fillers() []string {
	return []string{"every", "each", "on", "the", "of", "in", "day", "days", "daily", "and", "all", "week", "run", "runs", "once", "a"}
}

// calendarDays reads which days are meant, and a part of the day. No words are every day.
func calendarDays(said string) (days, part string, ok bool) {
	var named []string
	nth, monthly, weekly := 0, false, false
	ordinals := []string{"first", "second", "third", "fourth"}
	date := ""
	if m := onDayRE.FindStringSubmatch(said); m != nil {
		date = m[1]
		said = strings.Replace(said, m[0], " ", 1)
	}
	for _, word := range strings.Fields(strings.NewReplacer(",", " ", "-", " .. ", "..", " .. ", "–", " .. ").Replace(said)) {
		day := weekday(word)
		switch {
		case day != "":
			named = append(named, day)
		case slices.Contains([]string{"to", "through", "until", ".."}, word):
			named = append(named, "..")
		case slices.Contains([]string{"weekdays", "weekday", "workdays", "workday", "working"}, word):
			named = append(named, "mon", "..", "fri")
		case word == "weekend", word == "weekends":
			named = append(named, "sat", "sun")
		case slices.Contains([]string{"night", "evening", "morning", "afternoon"}, strings.TrimSuffix(word, "s")):
			part = strings.TrimSuffix(word, "s")
		case word == "nightly":
			part = "night"
		case word == "month", word == "monthly":
			monthly = true
		case word == "weekly":
			weekly = true
		case slices.Contains(ordinals, word):
			nth = 1 + slices.Index(ordinals, word)
		case slices.Contains(fillers(), word):
		default:
			return "", "", false
		}
	}
	list := strings.ReplaceAll(strings.Join(named, ","), ",..,", "..")
	switch {
	case nth > 0 && len(named) == 1:
		return fmt.Sprintf("%s *-*-%d..%d", list, 7*nth-6, 7*nth), part, true
	case nth == 1 && monthly && named == nil: // the first of the month
		return "*-*-1", part, true
	case nth > 0, (monthly || date != "") && named != nil, strings.HasPrefix(list, ".."), strings.HasSuffix(list, ".."):
		return "", "", false
	case date != "":
		return "*-*-" + date, part, true
	case monthly:
		return "*-*-1", part, true
	case weekly && named == nil:
		return "mon", part, true
	}
	return list, part, true
}

var (
	// dailyRE matches a time on some or all days of the week.
	dailyRE = lazyregexp.New(`^(?:([a-z.,]+) )?(\d{1,2}):(\d{2})$`)
	// stepRE matches what comes again after some hours or minutes.
	stepRE = lazyregexp.New(`^(?:(?:\*|0)/(\d+):0?0|\*?/?(\*|\d+):0?0|(?:\*:)?(?:\*|0)/(\d+))$`)
	// dateRE matches a time that comes once.
	dateRE = lazyregexp.New(`^(\d{4}-\d{1,2}-\d{1,2}) (\d{1,2}:\d{2})$`)
)

// IsOnce reports whether a calendar event comes once: a date with a time.
func IsOnce(event string) bool { return dateRE.MatchString(event) }

// Words says in words when a job runs, by the calendar event; "" for one that has no
// short words.
func Words(event string) string {
	event = strings.ToLower(strings.TrimSpace(event))
	words := map[string]string{
		"minutely": "every minute", "hourly": "every hour", "*:00": "every hour", "daily": "every day at 00:00", "weekly": "every Monday at 00:00",
		"monthly": "on the 1st of each month at 00:00", "yearly": "on 1 January at 00:00",
	}
	if text := words[event]; text != "" {
		return text
	}
	if m := dateRE.FindStringSubmatch(event); m != nil {
		return "once, on " + m[1] + " at " + m[2]
	}
	if m := stepRE.FindStringSubmatch(event); m != nil {
		switch {
		case m[1] != "":
			return fmt.Sprintf("every %s hours", m[1])
		case m[3] != "":
			return fmt.Sprintf("every %s minutes", m[3])
		}
	}
	m := dailyRE.FindStringSubmatch(event)
	if m == nil {
		return ""
	}
	at := fmt.Sprintf(" at %02d:%s", atoi(m[2]), m[3])
	if m[1] == "" {
		return "every day" + at
	}
	days := strings.Split(strings.ReplaceAll(m[1], "..", ",..,"), ",")
	for i, day := range days {
		if day == ".." {
			days[i] = "to"
			continue
		}
		if day = weekday(day); day == "" {
			return ""
		}
		days[i] = strings.ToUpper(day[:1]) + day[1:]
	}
	return strings.ReplaceAll(strings.Join(days, ", "), ", to, ", " to ") + at
}
