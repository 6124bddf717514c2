package metrics

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const day = 24 * time.Hour

// period is the time before now that a question is about.
type period struct{ length time.Duration }

var (
	week  = period{7 * day}
	month = period{30 * day}
)

// longest is the longest period, of which PVE keeps a year.
const longest = 366 * day

// periodOf reads a period as people say it: 24h, 3 weeks, last month.
func periodOf(text string, otherwise period) (period, error) {
	said := strings.ToLower(strings.TrimSpace(text))
	said = strings.TrimPrefix(strings.TrimPrefix(said, "last "), "past ")
	if said == "" {
		return otherwise, nil
	}
	if strings.TrimLeft(said, "0123456789.") == said { // month
		said = "1" + said
	}
	length, err := tool.ParseAge("period", said)
	if err != nil || length < time.Hour || length > longest {
		return period{}, explain.Refusal("Say hour, day, week, month or year, or a number with h, d or w, such as 24h or 30d, from an hour on, of a year at most.",
			"The period %q is not understood.", render.Text(text, 40))
	}
	return period{length}, nil
}

// needsVersion reports whether the timeframe depends on PVE's version.
func (p period) needsVersion() bool { return p.length > time.Hour && p.length <= day }

// frame is the shortest timeframe with the period, at most 336 rows of it if that does. From
// PVE 9 on, the values of a week are as fine as those of a day were before, in fewer rows.
func (p period) frame(major int) pve.Timeframe {
	switch {
	case p.length <= time.Hour:
		return pve.Hour
	case p.length <= day && major < 9:
		return pve.Day
	case p.length <= 7*day:
		return pve.Week
	case p.length <= 30*day:
		return pve.Month
	}
	return pve.Year
}

// text says from when to when there are values, and how fine they are.
func (p period) text(series []measured) string {
	for _, m := range series {
		if n := len(m.averages); n > 0 {
			return fmt.Sprintf("%s to %s, values of %s", render.Time(m.averages[0].At.Add(-m.averages[0].Over)), render.Time(m.averages[n-1].At), render.Duration(m.averages[n-1].Over))
		}
	}
	return p.String()
}

// String writes the length of the period.
func (p period) String() string {
	if p.length > day && p.length%day == 0 {
		return strconv.Itoa(int(p.length/day)) + "d"
	}
	return strconv.Itoa(int(p.length/time.Hour)) + "h"
}
