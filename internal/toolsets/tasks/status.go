package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type statusIn struct {
	UPID   proxmox.UPID `json:"upid,omitzero" jsonschema:"the task"`
	Handle string       `json:"handle,omitzero" jsonschema:"instead of upid, from a change"`
	Log    int          `json:"log,omitzero" min:"1" max:"200" jsonschema:"last lines"`
	change.WaitArgument
}

type statusOut struct {
	UPID       string `json:"upid,omitzero" jsonschema:"none of a change of many guests"`
	Type       string `json:"type,omitzero" jsonschema:"PVE's word, such as qmstart"`
	ID         string `json:"id,omitzero" jsonschema:"what it works on"`
	Node       string `json:"node,omitzero"`
	User       string `json:"user,omitzero"`
	State      string `json:"state" jsonschema:"running, ok, warnings, failed or unknown"`
	Reason     string `json:"reason,omitzero" jsonschema:"why it failed, if the exit status does not say"`
	ExitStatus string `json:"exit_status,omitzero"`
	Started    string `json:"started"`
	Ended      string `json:"ended,omitzero"`
	Duration   string `json:"duration,omitzero"`
	cluster.TaskProgress
	LastLine string     `json:"last_line,omitzero"`
	Log      []string   `json:"log,omitzero" cut:"start" jsonschema:"what was asked for, or the lines that say why"`
	LogLines int        `json:"log_lines,omitzero" jsonschema:"lines that the whole log has"`
	Guests   *guestsOut `json:"guests,omitzero" jsonschema:"of a backup of several: what became of each"`
	Notes    []string   `json:"notes,omitzero"`
	Next     string     `json:"next,omitzero"`
	// Change is the answer of the change that the handle belongs to.
	Change map[string]any `json:"change,omitzero" jsonschema:"of a handle: what the change answers now"`
}

func taskStatus() tool.Tool {
	return tool.Read(tool.Spec[statusIn, statusOut]{
		Name:  "pve_task_status",
		Title: "Show a task, or wait for it",
		Doc:   "Is a task done: running, ok, warnings, or failed with the reason; its log. With wait it waits for the end.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"upid":"$UPID"}`, Given: []tool.Given{{Word: "$UPID", Tool: "pve_list_tasks", Arguments: `{"type":"vzdump"}`, Field: "tasks.0.upid"}}},
		},
		Needs: []tool.Need{tool.On(tool.OnNode, "Sys.Audit").If("a task of another user or token")},
		Run:   runStatus,
	})
}

// linesOfWhy is how many log lines are shown that say why a task failed.
const linesOfWhy = 10

func runStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	switch given := in.Handle != ""; {
	case given && !in.UPID.IsZero():
		return statusOut{}, tool.BadArgument("handle", "is used instead of upid; give one of them")
	case given:
		return changeStatus(ctx, c, in)
	case in.UPID.IsZero():
		return statusOut{}, tool.BadArgument("upid", "is missing")
	}
	upid := in.UPID
	watch := c.WatchTask(fmt.Sprintf("Task %s %s", upid.Type, upid.ID))
	status, err := follow(ctx, c, in, watch)
	if err != nil {
		return statusOut{}, unknownTask(err, upid)
	}
	out := statusOut{
		UPID: upid.String(), Type: upid.Type, ID: upid.ID, Node: upid.Node, User: upid.User,
		State: string(tool.OutcomeOf(status)), Started: render.Time(upid.Start),
	}
	j, err := jobOf(ctx, c, upid)
	switch {
	case err != nil:
		out.Notes = []string{"what became of each guest is not known: the log could not be read: " + c.Explain(err).What}
	case j != nil:
		out.Guests, out.Notes = j.results(status.Running())
	}
	if status.Running() {
		out.Duration = render.Duration(c.Ago(upid.Start).Round(time.Second))
		out.Next = strings.TrimSpace("Still running; call again with wait. " + c.CutWait(in.Wait))
		out.progress(ctx, c, in, watch)
		return out, nil
	}
	c.NoteTaskEnd(upid)
	out.ExitStatus = render.Said(status.ExitStatus.Value, 600)
	if end, ok := c.TaskEnd(ctx, upid); ok {
		out.Ended, out.Duration = render.Time(end), render.Duration(max(0, end.Sub(upid.Start)))
	}
	if status.Succeeded() && pve.EndsEarly(upid) {
		out.Next = "Its effect comes after the task ends; look with pve_guest_status."
	}
	if out.State != "ok" {
		if out.Reason, out.Log = reasonOf(ctx, c, upid, status, j, linesOfWhy); out.Reason == out.ExitStatus || out.State == "warnings" {
			out.Reason = ""
		}
	}
	if out.State == "ok" {
		if left := undone(ctx, c, upid, j); left != nil {
			out.State, out.Log = "warnings", left
		}
	}
	if out.State == "failed" {
		out.Next = explain.Hint(status.ExitStatus.Value)
	}
	if in.Log > 0 {
		if lines, total, err := c.PVE.TaskLogTail(ctx, upid, cluster.LogEnds); err == nil {
			out.Log, out.LogLines = lastLines(ctx, c, upid, lines, total, in.Log), cluster.CountLogLines(lines, total)
		}
	}
	return out, nil
}

// changeStatus answers for the change that a handle belongs to.
func changeStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	begun, err := change.Open(ctx, c.Host(), c.Request(), in.Handle)
	if err != nil {
		return statusOut{}, err
	}
	wait := time.Duration(0)
	if in.Wait != nil {
		wait = c.Patience(in.Wait)
	}
	res := begun.Result(ctx, wait)
	out := statusOut{State: string(res.Outcome), Started: render.Time(begun.Start())}
	if upid := begun.Task(); !upid.IsZero() {
		out.UPID, out.Type, out.ID, out.Node, out.User = upid.String(), upid.Type, upid.ID, upid.Node, upid.User
	}
	if err := json.Unmarshal(res.Structured, &out.Change); err != nil {
		return statusOut{}, err
	}
	delete(out.Change, "handle") // the caller has it
	if res.Outcome == tool.Running {
		out.Next = c.CutWait(in.Wait)
	}
	return out, nil
}

// follow asks once or, with a wait, until the task has ended or the time is up.
func follow(ctx context.Context, c *tool.Call, in statusIn, watch *cluster.TaskWatch) (proxmox.TaskStatus, error) {
	if in.Wait == nil || *in.Wait == 0 {
		return c.PVE.TaskStatus(ctx, in.UPID)
	}
	patience, cancel := context.WithTimeout(ctx, c.Patience(in.Wait))
	defer cancel()
	status, err := c.PVE.Wait(patience, in.UPID, watch.Update)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return status, err
	}
	if status.Running() {
		return status, nil
	}
	return c.PVE.TaskStatus(ctx, in.UPID) // the wait was too short for a first look
}

func unknownTask(err error, upid proxmox.UPID) error {
	var said *proxmox.Error
	if errors.As(err, &said) && said.NoSuchTask() {
		return &explain.Explanation{
			What: fmt.Sprintf("Node %s does not know this task.", upid.Node),
			Next: "PVE keeps the last 1,000 to 2,000 tasks of a node; check the UPID.",
		}
	}
	return err
}

// progress shows how far a running task is. It does not ask again for what the wait has seen.
func (out *statusOut) progress(ctx context.Context, c *tool.Call, in statusIn, watch *cluster.TaskWatch) {
	if in.Log > 0 || in.Wait == nil || *in.Wait == 0 {
		lines, total, err := c.PVE.TaskLogEnds(ctx, in.UPID, cluster.LogEnds)
		if err != nil {
			return
		}
		watch.ReadLog(lines)
		out.LogLines = cluster.CountLogLines(lines, total)
		if in.Log > 0 {
			end := lines[max(0, len(lines)-cluster.LogEnds):]
			out.Log = lastLines(ctx, c, in.UPID, end, total, in.Log)
		}
	}
	out.TaskProgress, out.LastLine = cluster.TaskProgressOf(watch.Progress), watch.Line
}

// lastLines returns the last lines of a log, at most most, without lines of progress. end is
// the end of the log; if it has too few lines, earlier ones are read.
func lastLines(ctx context.Context, c *tool.Call, upid proxmox.UPID, end []proxmox.LogLine, total, most int) []string {
	text := cluster.LastLogLines(end, most)
	before := total - len(end)
	for range logPages {
		if before <= 0 || len(text) >= most {
			break
		}
		first := max(0, before-logPage)
		lines, _, err := c.PVE.TaskLog(ctx, upid, first, before-first)
		if err != nil {
			break
		}
		text = append(cluster.LastLogLines(lines, most-len(text)), text...)
		before = first
	}
	return text
}
