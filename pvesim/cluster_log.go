package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

func listNothing(*call) (any, error) { return []any{}, nil }

// logLine is an entry of the cluster's log.
type logLine struct {
	at   time.Time
	t    *task
	pri  int // as syslog has it: 6 is a notice of success, 3 an error
	text string
}

// log is what is logged of tasks, oldest first: of all of them, or of the caller's.
func (c *call) log(all bool) []logLine {
	var lines []logLine
	for _, t := range slices.Concat(c.ended, c.active) {
		if !all && t.user != c.caller.User {
			continue
		}
		lines = append(lines, logLine{t.start, t, 6, "starting task " + t.upid})
		if t.over {
			pri := 6
			if t.statusKind() == "error" {
				pri = 3
			}
			lines = append(lines, logLine{t.end, t, pri, "end task " + t.upid + " " + t.outcome.exit})
		}
	}
	slices.SortStableFunc(lines, func(a, b logLine) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return lines
}

// getClusterLog tells of tasks, newest first: all of them to those who may see
// logs, and their own to others.
func getClusterLog(c *call) (any, error) {
	out := []any{}
	for i, l := range slices.Backward(c.log(c.may("/", "Sys.Syslog"))) {
		if len(out) == c.number("max", 500) {
			break
		}
		out = append(out, map[string]any{
			"id": fmt.Sprintf("%d:%s", i+1, l.t.node), "uid": strconv.Itoa(i + 1), "node": l.t.node, "time": l.at.Unix(), "pri": l.pri,
			"tag": "pvedaemon", "pid": l.t.pid, "user": l.t.user, "msg": l.text,
		})
	}
	return out, nil
}
