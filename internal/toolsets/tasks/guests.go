package tasks

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// backup is the type of a backup's task. PVE's filter by guest does not find a backup of
// several guests, because only its log names them.
const backup = "vzdump"

// ofSeveral reports whether a task is a backup of several guests.
func ofSeveral(upid proxmox.UPID) bool { return upid.Type == backup && upid.ID == "" }

const (
	// logPage is how much of a log is read with a request.
	logPage = 5000
	// logPages bounds the requests: a guest has some 150 lines in the log of a backup job.
	logPages = 4
	// mostGuests is how many guests of a job are shown with their results.
	mostGuests = 20
	// mostIDs is how many more are shown by their ids.
	mostIDs = 500
)

// job is the log of a backup job, as far as it was read.
type job struct {
	lines []proxmox.LogLine
	total int
	pve.BackupLog
}

func readJob(ctx context.Context, c *tool.Call, upid proxmox.UPID) (*job, error) {
	lines, total, err := c.PVE.TaskLogPages(ctx, upid, logPage, logPages)
	if err != nil {
		return nil, err
	}
	return &job{lines, total, pve.Backups(lines)}, nil
}

// jobOf reads the log of a backup of several guests. It returns nil for another task.
func jobOf(ctx context.Context, c *tool.Call, upid proxmox.UPID) (*job, error) {
	if !ofSeveral(upid) {
		return nil, nil
	}
	return readJob(ctx, c, upid)
}

// reasonOf says why a task failed or warned and, for a backup of several guests, which of them
// failed. It reads the log unless j has all of it.
func reasonOf(ctx context.Context, c *tool.Call, upid proxmox.UPID, status proxmox.TaskStatus, j *job, most int) (reason string, log []string) {
	if j != nil && j.whole() {
		reason, log = cluster.ReasonInLog(j.lines, status, most)
	} else {
		reason, log = c.TaskReason(ctx, upid, status, most)
	}
	if j != nil {
		reason = cmp.Or(j.reason(), reason)
	}
	return reason, log
}

// undone returns the log lines of a task that ended OK but left something undone.
func undone(ctx context.Context, c *tool.Call, upid proxmox.UPID, j *job) []string {
	if j != nil && j.whole() {
		return cluster.UndoneLines(j.lines)
	}
	return c.LinesLeftUndone(ctx, upid)
}

// whole reports whether all of the log was read.
func (j *job) whole() bool { return len(j.lines) >= j.total }

// reason says which guests of a job of several failed, and why; "" if none is known.
func (j *job) reason() string {
	failed := j.With(pve.BackupFailed)
	if len(failed) == 0 || len(j.Guests) < 2 {
		return ""
	}
	var each []string
	for _, g := range failed {
		each = append(each, fmt.Sprintf("%v (%s)", g.VMID, render.Said(g.Reason, 120)))
	}
	count := fmt.Sprintf("%d of %d guests", len(failed), len(j.Guests))
	if !j.whole() {
		count = fmt.Sprintf("%d or more guests", len(failed))
	}
	return render.Text(count+" failed: "+strings.Join(each, ", "), 600)
}

// guestsOut has the results of the guests in a backup of several.
type guestsOut struct {
	OK       int           `json:"ok" jsonschema:"how many are backed up"`
	Failed   int           `json:"failed" jsonschema:"how many are not"`
	Each     []guestResult `json:"each,omitzero" jsonschema:"all, or of many the failed ones"`
	OKIDs    []pve.VMID    `json:"ok_ids,omitzero" jsonschema:"those that each leaves out"`
	NotBegun []pve.VMID    `json:"not_begun,omitzero"`
}

type guestResult struct {
	VMID     pve.VMID `json:"vmid"`
	State    string   `json:"state" jsonschema:"ok, failed, running, or unknown: its end is not in the log"`
	Reason   string   `json:"reason,omitzero"`
	Duration string   `json:"duration,omitzero"`
	Size     string   `json:"size,omitzero" jsonschema:"of the archive"`
}

// results returns what became of each guest, and notes on what is unknown or left out.
func (j *job) results(running bool) (*guestsOut, []string) {
	if len(j.Guests)+len(j.Waiting) == 0 && j.whole() {
		return nil, nil
	}
	done := j.With(pve.BackupDone)
	out := guestsOut{OK: len(done), Failed: len(j.With(pve.BackupFailed))}
	many := len(j.Guests) > mostGuests
	left := 0
	for _, g := range j.Guests {
		switch {
		case many && g.State == pve.BackupDone:
			out.OKIDs = append(out.OKIDs, g.VMID)
		case len(out.Each) == mostGuests:
			left++
		default:
			out.Each = append(out.Each, resultOf(g, running && j.whole()))
		}
	}
	if j.whole() {
		out.NotBegun = j.Waiting
	}
	left += max(0, len(out.OKIDs)-mostIDs) + max(0, len(out.NotBegun)-mostIDs)
	out.OKIDs = out.OKIDs[:min(len(out.OKIDs), mostIDs)]
	out.NotBegun = out.NotBegun[:min(len(out.NotBegun), mostIDs)]
	var notes []string
	if !j.whole() {
		notes = append(notes, fmt.Sprintf("the log is too long to be read whole: of %d lines the first %d were read, so guests may be missing", j.total, len(j.lines)))
	}
	if left > 0 {
		notes = append(notes, fmt.Sprintf("%d more guests of the backup are not shown", left))
	}
	return &out, notes
}

func resultOf(g pve.GuestBackup, running bool) guestResult {
	row := guestResult{VMID: g.VMID, State: "unknown", Reason: render.Said(g.Reason, 200), Size: render.Text(g.Size, 20)}
	switch {
	case g.State == pve.BackupFailed:
		row.State = "failed"
	case g.State == pve.BackupDone:
		row.State, row.Duration = "ok", render.Duration(g.Took)
	case running:
		row.State = "running"
	}
	return row
}
