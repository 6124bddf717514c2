package pve

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Task is a line of a list of tasks.
type Task struct {
	UPID      UPID        `json:"upid"`
	Node      string      `json:"node"`
	Type      string      `json:"type"`
	ID        string      `json:"id"`
	User      string      `json:"user"`
	TokenID   Opt[string] `json:"tokenid,omitzero"`
	PID       Opt[int64]  `json:"pid,omitzero"`
	PStart    Opt[int64]  `json:"pstart,omitzero"`
	StartTime Opt[int64]  `json:"starttime,omitzero"` // seconds since 1970
	EndTime   Opt[int64]  `json:"endtime,omitzero"`   // absent while it runs
	Status    Opt[string] `json:"status,omitzero"`    // the exit status; RUNNING or absent while it runs
	Saved     Opt[bool]   `json:"saved,omitzero"`
	Extra     Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *Task) UnmarshalJSON(data []byte) error { return decodeObject(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t Task) MarshalJSON() ([]byte, error) { return encodeObject(t, t.Extra) }

// TaskStatus is the state of a task.
type TaskStatus struct {
	UPID       UPID        `json:"upid"`
	Node       string      `json:"node"`
	Type       string      `json:"type"`
	ID         string      `json:"id"`
	User       string      `json:"user"`
	TokenID    Opt[string] `json:"tokenid,omitzero"`
	PID        Opt[int64]  `json:"pid,omitzero"`
	PStart     Opt[int64]  `json:"pstart,omitzero"`
	StartTime  Opt[int64]  `json:"starttime,omitzero"`
	Status     string      `json:"status"`              // running or stopped
	ExitStatus Opt[string] `json:"exitstatus,omitzero"` // OK, WARNINGS: n, or what went wrong
	Extra      Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *TaskStatus) UnmarshalJSON(data []byte) error { return decodeObject(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t TaskStatus) MarshalJSON() ([]byte, error) { return encodeObject(t, t.Extra) }

// Running reports whether the task has not ended.
func (t TaskStatus) Running() bool { return t.Status == "running" }

// Succeeded reports whether the task has ended as PVE counts a success: OK, or
// with warnings.
func (t TaskStatus) Succeeded() bool {
	return !t.Running() && (t.ExitStatus.Value == "OK" || t.Warnings() > 0)
}

var warningsRE = regexp.MustCompile(`^WARNINGS: (\d+)$`)

// Warnings returns how many warnings a successful task gave.
func (t TaskStatus) Warnings() int {
	m := warningsRE.FindStringSubmatch(t.ExitStatus.Value)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits; out of range counts as the largest
	return n
}

// LogLine is a line of a task's log.
type LogLine struct {
	N     Opt[int64]  `json:"n"` // from 1
	Text  Opt[string] `json:"t"`
	Extra Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (l *LogLine) UnmarshalJSON(data []byte) error { return decodeObject(data, l, &l.Extra) }

// MarshalJSON writes what was read.
func (l LogLine) MarshalJSON() ([]byte, error) { return encodeObject(l, l.Extra) }

func taskPath(upid UPID, rest ...string) path {
	return join(append([]string{"nodes", upid.Node, "tasks", upid.String()}, rest...)...)
}

// TaskStatus asks the task's node for its state: of one's own task, or with
// Sys.Audit on the node.
func (c *Client) TaskStatus(ctx context.Context, upid UPID) (TaskStatus, error) {
	return get[TaskStatus](ctx, c, taskPath(upid, "status"), nil)
}

// TaskLog returns up to limit lines from line start (the first is 0) and how many
// lines there are. A task that has logged nothing yet has one line, which says
// "no content".
func (c *Client) TaskLog(ctx context.Context, upid UPID, start, limit int) ([]LogLine, int, error) {
	return list[[]LogLine](ctx, c, taskPath(upid, "log"), url.Values{
		"start": {strconv.Itoa(start)},
		"limit": {strconv.Itoa(limit)},
	})
}

// TaskLogTail returns the last n lines and how many lines there are, with one
// request where the log is short and two where it is not.
func (c *Client) TaskLogTail(ctx context.Context, upid UPID, n int) ([]LogLine, int, error) {
	lines, total, err := c.TaskLog(ctx, upid, 0, n)
	if err != nil || total <= n {
		return lines, total, err
	}
	return c.TaskLog(ctx, upid, total-n, n)
}

// NodeTasks lists the tasks of a node, newest first: one's own, or all with
// Sys.Audit. The parameters are PVE's: source, limit, since, until, vmid,
// typefilter, errors and others.
func (c *Client) NodeTasks(ctx context.Context, node string, params url.Values) ([]Task, int, error) {
	return list[[]Task](ctx, c, join("nodes", node, "tasks"), params)
}

// StopTask asks PVE to end a task. It returns when PVE has signalled it; the exit
// status tells how it ended.
func (c *Client) StopTask(ctx context.Context, upid UPID) error {
	_, err := c.do(ctx, http.MethodDelete, taskPath(upid), nil)
	return err
}

// TaskUpdate is what [Client.Wait] has seen of a running task.
type TaskUpdate struct {
	Status TaskStatus
	// Lines are the lines that its log has gained since the last update.
	Lines []LogLine
}

// The pauses between two looks at a task grow from the first to the last.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 3 * time.Second
)

// Wait follows a task until it has ended, and returns its last state. Where ctx
// ends first, the error is ctx's and the state is the last one seen, if any. each,
// if not nil, is told about every look at a running task. A look that fails for a
// passing reason, such as a node that does not answer, is repeated.
func (c *Client) Wait(ctx context.Context, upid UPID, each func(TaskUpdate)) (TaskStatus, error) {
	var seen TaskStatus
	next, pause := 0, firstPause
	for look := 1; ; look++ {
		status, err := c.TaskStatus(ctx, upid)
		switch {
		case err == nil:
			seen = status
		case ctx.Err() != nil:
			return seen, ctx.Err()
		case !passing(err, look <= looksForNewTask):
			return seen, err
		}
		if err == nil && !status.Running() {
			c.guests.drop()
			return status, nil
		}
		if err == nil && each != nil {
			update := TaskUpdate{Status: status}
			if lines, _, err := c.TaskLog(ctx, upid, next, 500); err == nil && !noContent(lines) {
				next += len(lines)
				update.Lines = lines
			}
			each(update)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return seen, ctx.Err()
		case <-timer.C:
		}
		pause = min(pause*3/2, lastPause)
	}
}

// A task that PVE has just announced may be unknown at the first looks.
const looksForNewTask = 4

// passing reports whether a look at a task that failed may succeed when it is
// repeated. A new task may not be known yet.
func passing(err error, isNew bool) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.NoAnswer() || isNew && refused.NoSuchTask()
	}
	return unanswered(err) && !distrusted(err)
}

func noContent(lines []LogLine) bool {
	return len(lines) == 1 && lines[0].Text.Value == "no content"
}

// endRE is the line that ends a task's log.
var endRE = regexp.MustCompile(`^TASK (OK|ERROR: .*|WARNINGS: \d+)$`)

// Says returns the text of the line, "" for one that only says that there is nothing
// yet, or that the task has ended.
func (l LogLine) Says() string {
	text := strings.TrimSpace(l.Text.Value)
	if text == "no content" || endRE.MatchString(text) {
		return ""
	}
	return text
}
