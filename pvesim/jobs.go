package pvesim

import (
	"strconv"
	"strings"
	"time"
)

// theJob returns the backup job that the call names.
func (c *call) theJob() (*BackupJob, error) {
	for i := range c.jobs {
		if c.jobs[i].ID == c.str("id") {
			return &c.jobs[i], nil
		}
	}
	return nil, badParam("id", "No such job '%s'", c.str("id"))
}

func (c *call) job(b *BackupJob) map[string]any {
	out := withNumbers(b.Options)
	out["id"], out["type"], out["schedule"], out["enabled"] = b.ID, "vzdump", b.Schedule, bit(!b.Disabled)
	if ids, ok := b.Options["vmid"]; ok {
		out["vmid"] = ids // a list, even of one
	}
	if keep, ok := b.Options["prune-backups"]; ok {
		out["prune-backups"] = parseRetention(keep)
	}
	if next, ok := nextRun(b.Schedule, c.now.UTC()); ok && !b.Disabled {
		out["next-run"] = next.Unix()
	}
	return out
}

func listJobs(c *call) (any, error) {
	out := []any{}
	for i := range c.jobs {
		out = append(out, c.job(&c.jobs[i]))
	}
	return out, nil
}

func getJob(c *call) (any, error) {
	b, err := c.theJob()
	if err != nil {
		return nil, err
	}
	out := c.job(b)
	delete(out, "next-run")
	return out, nil
}

// listNotBackedUp lists the guests that no job includes, whether or not a job is
// enabled.
func listNotBackedUp(c *call) (any, error) {
	covered := map[int]bool{}
	for _, b := range c.jobs {
		o := b.Options
		for _, id := range c.selected(o["vmid"], o["pool"], o["all"] == "1", o["exclude"]) {
			if g := c.guests[id]; g != nil && (o["node"] == "" || o["node"] == g.Node) {
				covered[id] = true
			}
		}
	}
	out := []any{}
	for _, id := range c.order {
		if g := c.guests[id]; !covered[id] && c.may(aclPath(id), "VM.Audit") {
			out = append(out, map[string]any{"vmid": id, "type": g.Kind, "name": g.name()})
		}
	}
	return out, nil
}

// nextRun is the next time that a calendar event names, of the simple kinds: a time
// of day, perhaps after days of the week such as mon..fri or sat,sun, or daily.
func nextRun(event string, after time.Time) (time.Time, bool) {
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
