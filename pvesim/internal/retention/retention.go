// Package retention decides which backups of a guest are kept, as PVE does.
package retention

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy says how many backups of a guest are kept, by PVE's names: keep-last,
// keep-daily, … Nothing, or keep-all, keeps all.
type Policy map[string]int

// Parse reads a property string such as keep-last=3,keep-weekly=2.
func Parse(s string) Policy {
	p := Policy{}
	for part := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(part, "=")
		if n, err := strconv.Atoi(value); err == nil {
			p[key] = n
		}
	}
	return p
}

// Limit is how many backups of a guest are kept at most; 0 means all.
func (p Policy) Limit() int {
	if p["keep-all"] > 0 {
		return 0
	}
	sum := 0
	for _, n := range p {
		sum += n
	}
	return sum
}

func (p Policy) String() string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(p)) {
		parts = append(parts, fmt.Sprintf("%s=%d", key, p[key]))
	}
	return strings.Join(parts, ", ")
}

// Backup is what the decision depends on.
type Backup struct {
	Made      time.Time
	Protected bool
}

// The marks of backups, as PVE shows them.
const (
	Keep      = "keep"
	Remove    = "remove"
	Protected = "protected" // it is kept, and does not count
)

// periods are the kinds of retention in PVE's order, with what two backups of the same
// period have in common.
var periods = []struct {
	key  string
	name func(time.Time) string
}{
	{"keep-last", func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }},
	{"keep-hourly", func(t time.Time) string { return t.Format("2006-01-02 15") }},
	{"keep-daily", func(t time.Time) string { return t.Format("2006-01-02") }},
	{"keep-weekly", func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }},
	{"keep-monthly", func(t time.Time) string { return t.Format("2006-01") }},
	{"keep-yearly", func(t time.Time) string { return t.Format("2006") }},
}

// Mark returns the mark of each backup of one guest, in the order of the backups.
func (p Policy) Mark(backups []Backup) []string {
	marks, open := make([]string, len(backups)), []int{}
	for i, b := range backups {
		switch {
		case b.Protected:
			marks[i] = Protected
		case p.Limit() == 0:
			marks[i] = Keep
		default:
			open = append(open, i)
		}
	}
	slices.SortFunc(open, func(i, j int) int { return cmp.Compare(backups[j].Made.Unix(), backups[i].Made.Unix()) })
	for _, period := range periods {
		if p[period.key] > 0 {
			keepNewest(marks, open, p[period.key], func(i int) string { return period.name(backups[i].Made.UTC()) })
		}
	}
	for _, i := range open {
		if marks[i] == "" {
			marks[i] = Remove
		}
	}
	return marks
}

// keepNewest marks the newest backup of each of the last periods that have one.
func keepNewest(marks []string, newestFirst []int, count int, period func(int) string) {
	kept, taken := map[string]bool{}, map[string]bool{}
	for _, i := range newestFirst {
		if marks[i] == Keep {
			kept[period(i)] = true
		}
	}
	for _, i := range newestFirst {
		name := period(i)
		switch {
		case marks[i] != "" || kept[name]:
		case taken[name]:
			marks[i] = Remove
		case len(taken) == count:
			return
		default:
			taken[name], marks[i] = true, Keep
		}
	}
}
