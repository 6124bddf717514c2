package proxmox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// TaskStatus is the state of a task.
type TaskStatus struct {
	UPID       UPID                `json:"upid"`
	Node       string              `json:"node"`
	Type       string              `json:"type"`
	ID         string              `json:"id"`
	User       string              `json:"user"`
	TokenID    lenient.Opt[string] `json:"tokenid,omitzero"`
	PID        lenient.Opt[int64]  `json:"pid,omitzero"`
	PStart     lenient.Opt[int64]  `json:"pstart,omitzero"`
	StartTime  lenient.Opt[int64]  `json:"starttime,omitzero"`
	Status     string              `json:"status"`              // running or stopped
	ExitStatus lenient.Opt[string] `json:"exitstatus,omitzero"` // OK, WARNINGS: n, or what went wrong
	Extra      lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *TaskStatus) UnmarshalJSON(data []byte) error { return lenient.Decode(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t TaskStatus) MarshalJSON() ([]byte, error) { return lenient.Encode(t, t.Extra) }

// whole reports whether the state says what it is there to say.
func (t TaskStatus) whole() bool {
	return t.Running() || t.Status == "stopped" && t.ExitStatus.Value != ""
}

// Running reports whether the task has not ended.
func (t TaskStatus) Running() bool { return t.Status == "running" }

// Succeeded reports whether the task has ended as PVE counts a success: OK, or
// with warnings.
func (t TaskStatus) Succeeded() bool {
	return !t.Running() && (t.ExitStatus.Value == "OK" || t.Warnings() > 0)
}

var warningsRE = lazyregexp.New(`^WARNINGS: (\d+)$`)

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
	N     lenient.Opt[int64]  `json:"n"` // from 1
	Text  lenient.Opt[string] `json:"t"`
	Extra lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (l *LogLine) UnmarshalJSON(data []byte) error { return lenient.Decode(data, l, &l.Extra) }

// MarshalJSON writes what was read.
func (l LogLine) MarshalJSON() ([]byte, error) { return lenient.Encode(l, l.Extra) }

func taskPath(upid UPID, rest ...string) Path {
	return Join(append([]string{"nodes", upid.Node, "tasks", upid.String()}, rest...)...)
}

// TaskStatus asks the task's node for its state. The token has to have started the task, or
// to have Sys.Audit on the node. An answer that does not say whether the task runs is an
// error.
func (c *Client) TaskStatus(ctx context.Context, upid UPID) (TaskStatus, error) {
	status, err := Get[TaskStatus](ReadAgain(ctx), c, taskPath(upid, "status"), nil)
	if err == nil && !status.whole() {
		err = &LostError{Method: http.MethodGet, Path: taskPath(upid, "status").text, Err: errors.New("the answer does not say whether the task runs, or how it ended")}
		return TaskStatus{}, err
	}
	status.ExitStatus.Value = WithoutSource(status.ExitStatus.Value)
	if err == nil && !status.Running() {
		c.shared.drop() // a caller that knows that it has ended wants to see what it did
		memoOf(ctx).forget()
	}
	return status, err
}

// TaskLog returns up to limit lines from line start (the first is 0) and how many
// lines there are. A task that has logged nothing yet has one line, which says
// "no content".
func (c *Client) TaskLog(ctx context.Context, upid UPID, start, limit int) ([]LogLine, int, error) {
	return List[[]LogLine](ReadAgain(ctx), c, taskPath(upid, "log"), url.Values{
		"start": {strconv.Itoa(start)},
		"limit": {strconv.Itoa(limit)},
	})
}

// TaskLogTail returns the last n lines and how many lines there are, with one
// request if the log is short and two if it is not.
func (c *Client) TaskLogTail(ctx context.Context, upid UPID, n int) ([]LogLine, int, error) {
	lines, total, err := c.TaskLog(ctx, upid, 0, n)
	if err != nil || total <= n {
		return lines, total, err
	}
	return c.TaskLog(ctx, upid, total-n, n)
}

// TaskLogEnds returns the first and the last n lines, or all if there are at most 2n, and
// how many lines there are. It sends one request if the log is short, and otherwise two.
func (c *Client) TaskLogEnds(ctx context.Context, upid UPID, n int) ([]LogLine, int, error) {
	lines, total, err := c.TaskLog(ctx, upid, 0, n)
	if err != nil || total <= n {
		return lines, total, err
	}
	rest, total, err := c.TaskLog(ctx, upid, max(n, total-n), n)
	return append(lines, rest...), total, err
}

// TaskLogPages returns the log from its begin, up to so many pages of n lines, and how many
// lines there are. It sends one request for each page.
func (c *Client) TaskLogPages(ctx context.Context, upid UPID, n, pages int) ([]LogLine, int, error) {
	var lines []LogLine
	for {
		page, total, err := c.TaskLog(ctx, upid, len(lines), n)
		lines = append(lines, page...)
		if pages--; err != nil || pages <= 0 || len(page) == 0 || len(lines) >= total {
			return lines, total, err
		}
	}
}

// StopTask asks PVE to end a task. It returns when PVE has signalled it; the exit
// status tells how it ended.
func (c *Client) StopTask(ctx context.Context, upid UPID) error {
	_, err := c.Do(ctx, http.MethodDelete, taskPath(upid), nil)
	return err
}

func noContent(lines []LogLine) bool {
	return len(lines) == 1 && lines[0].Text.Value == "no content"
}

// endRE is the line that ends a task's log.
var endRE = lazyregexp.New(`^TASK (OK|ERROR: .*|WARNINGS: \d+)$`)

// End is the exit status of the task, if the line is the one that ends its log.
func (l LogLine) End() (status string, ok bool) {
	m := endRE.FindStringSubmatch(strings.TrimSpace(l.Text.Value))
	if m == nil {
		return "", false
	}
	return m[1], true
}

// Says returns the text of the line, "" for one that only says that there is nothing
// yet, or that the task has ended.
func (l LogLine) Says() string {
	text := strings.TrimSpace(WithoutSource(l.Text.Value))
	if text == "no content" || endRE.MatchString(text) {
		return ""
	}
	return text
}
