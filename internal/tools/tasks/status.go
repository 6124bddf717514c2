package tasks

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
)

type statusIn struct {
	UPID pve.UPID `json:"upid"`
	Log  int      `json:"log,omitzero" min:"1" max:"200" jsonschema:"last lines to show"`
	tool.Waits
}

type statusOut struct {
	UPID       string   `json:"upid"`
	Type       string   `json:"type" jsonschema:"PVE's word, such as qmstart"`
	ID         string   `json:"id,omitzero" jsonschema:"what it works on"`
	Node       string   `json:"node"`
	User       string   `json:"user"`
	State      string   `json:"state" jsonschema:"running, ok, warnings or failed"`
	ExitStatus string   `json:"exit_status,omitzero"`
	Started    string   `json:"started"`
	Ended      string   `json:"ended,omitzero"`
	Duration   string   `json:"duration,omitzero"`
	Percent    *float64 `json:"percent,omitzero" jsonschema:"of its work, where the log says"`
	LastLine   string   `json:"last_line,omitzero"`
	Log        []string `json:"log,omitzero"`
	LogLines   int      `json:"log_lines,omitzero" jsonschema:"lines that the whole log has"`
	Next       string   `json:"next,omitzero"`
}

var taskStatus = tool.Read(tool.Spec[statusIn, statusOut]{
	Name:  "pve_task_status",
	Title: "Show a task, or wait for it",
	Doc:   "State of a task: running, ok, warnings, or failed with the reason. With wait its end is awaited.",
	Needs: []tool.Need{tool.On(tool.OnNode, "Sys.Audit").If("a task of another user or token")},
	Run:   runStatus,
})

// shownOfFailed is how many lines of the log of a failed task are shown.
const shownOfFailed = 10

func runStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	upid := in.UPID
	status, err := follow(ctx, c, in)
	if err != nil {
		return statusOut{}, unknownTask(err, upid)
	}
	out := statusOut{
		UPID: upid.String(), Type: upid.Type, ID: upid.ID, Node: upid.Node, User: upid.User,
		State: stateOf(status), Started: render.Time(upid.Start),
	}
	shown := in.Log
	if status.Running() {
		out.Duration = render.Duration(c.Now().Sub(upid.Start).Round(time.Second))
		out.Next = "Still running; call again with wait."
	} else {
		c.Ended(upid)
		out.ExitStatus = render.Text(status.ExitStatus.Value, 600)
		out.end(ctx, c, upid)
		if status.Succeeded() && upid.EndsEarly() {
			out.Next = "What it is for happens after it; look with pve_guest_status."
		}
		if out.State != "ok" {
			shown = max(shown, shownOfFailed)
		}
	}
	out.log(ctx, c, upid, status, shown)
	return out, nil
}

// follow looks once, or until the task has ended or the time is up.
func follow(ctx context.Context, c *tool.Call, in statusIn) (pve.TaskStatus, error) {
	if in.Wait == nil || *in.Wait == 0 {
		return c.PVE.TaskStatus(ctx, in.UPID)
	}
	patience, cancel := context.WithTimeout(ctx, c.Patience(in.Wait))
	defer cancel()
	status, err := c.PVE.Wait(patience, in.UPID, c.Watch(fmt.Sprintf("Task %s %s", in.UPID.Type, in.UPID.ID)))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return c.PVE.TaskStatus(ctx, in.UPID)
	}
	return status, err
}

func unknownTask(err error, upid pve.UPID) error {
	var said *pve.Error
	if errors.As(err, &said) && said.NoSuchTask() {
		return &explain.Explanation{
			What: fmt.Sprintf("Node %s knows no such task.", upid.Node),
			Next: "PVE keeps the last 1,000 to 2,000 tasks of a node; check the UPID.",
		}
	}
	return err
}

func stateOf(s pve.TaskStatus) string {
	switch {
	case s.Running():
		return "running"
	case s.Warnings() > 0:
		return "warnings"
	case s.Succeeded():
		return "ok"
	}
	return "failed"
}

// end finds out when the task ended, which only the list of tasks says.
func (out *statusOut) end(ctx context.Context, c *tool.Call, upid pve.UPID) {
	at := strconv.FormatInt(upid.Start.Unix(), 10)
	list, _, err := c.PVE.NodeTasks(ctx, upid.Node, url.Values{
		"since": {at}, "until": {at}, "typefilter": {upid.Type}, "limit": {"100"},
	})
	if err != nil {
		return // the state is known; this is an addition
	}
	for _, t := range list {
		if t.UPID.String() == upid.String() && t.EndTime.Set {
			end := time.Unix(t.EndTime.Value, 0)
			out.Ended, out.Duration = render.Time(end), render.Duration(end.Sub(upid.Start))
		}
	}
}

// log shows the end of the log, and what it says of the progress.
func (out *statusOut) log(ctx context.Context, c *tool.Call, upid pve.UPID, status pve.TaskStatus, shown int) {
	lines, total, err := c.PVE.TaskLogTail(ctx, upid, max(shown+1, 5))
	if err != nil {
		return
	}
	out.LogLines = total
	if status.Running() {
		out.LastLine = strings.Join(tool.LogText(lines, 1), "")
		if p, ok := tool.PercentIn(lines); ok {
			out.Percent = &p
		}
	}
	if shown > 0 {
		out.Log = tool.LogText(lines, shown)
	}
}
