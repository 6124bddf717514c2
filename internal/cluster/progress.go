package cluster

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// maxLine is the length to which a line of a log is shown.
const maxLine = 400

// CountLogLines returns how many lines a log has, without those among the lines read that
// say nothing, such as that the task has ended.
func CountLogLines(read []proxmox.LogLine, total int) int {
	for _, l := range read {
		if l.Says() == "" {
			total--
		}
	}
	return max(total, 0)
}

// LastLogLines returns up to most of the last lines of a log that say something else than how
// far the task is.
func LastLogLines(lines []proxmox.LogLine, most int) []string {
	out := []string{}
	for _, l := range lines {
		if text := render.Said(l.Says(), maxLine); text != "" && !pve.Measures(l) {
			out = append(out, text)
		}
	}
	return out[max(0, len(out)-most):]
}

// TaskProgress is how far a running task is, according to its log.
type TaskProgress struct {
	Percent   *float64 `json:"percent,omitzero" jsonschema:"of all that it does, where the log says"`
	Bytes     string   `json:"bytes,omitzero" jsonschema:"done, and of how many"`
	Rate      string   `json:"rate,omitzero" jsonschema:"per second"`
	Remaining string   `json:"remaining,omitzero" jsonschema:"about"`
}

// TaskProgressOf writes progress for an answer.
func TaskProgressOf(p proxmox.Progress) TaskProgress {
	var f TaskProgress
	if p.Percent.Set {
		percent := math.Floor(10*p.Percent.Value) / 10
		f.Percent = &percent
	}
	switch {
	case p.Total > 0:
		f.Bytes = render.Bytes(p.Done) + " of " + render.Bytes(p.Total)
	case p.Done > 0:
		f.Bytes = render.Bytes(p.Done)
	}
	if p.Rate > 0 {
		f.Rate = render.Bytes(p.Rate) + "/s"
	}
	if p.Left > 0 {
		f.Remaining = render.Duration(p.Left)
	}
	return f
}

// String lists what is known: 42%, 1.2 GiB of 3 GiB, 120 MiB/s, about 15s left.
func (f TaskProgress) String() string {
	var parts []string
	if f.Percent != nil {
		parts = append(parts, fmt.Sprintf("%.0f%%", math.Floor(*f.Percent)))
	}
	for _, s := range []string{f.Bytes, f.Rate} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if f.Remaining != "" {
		parts = append(parts, "about "+f.Remaining+" left")
	}
	return strings.Join(parts, ", ")
}

// Progress is how far a call is.
type Progress struct {
	Done    float64
	Total   float64 // 0 if it is unknown
	Message string
}

// TaskWatch turns what [pve.Client.Wait] sees of a task into progress, which only increases,
// and remembers it.
type TaskWatch struct {
	report func(Progress)
	about  string
	now    func() time.Time
	since  time.Time

	done     float64 // what was reported
	Progress proxmox.Progress
	Line     string // the last line of the log, if it says something else than how far the task is
}

// WatchTask returns what follows a task, which about names, and reports its progress to the
// caller.
func (v *View) WatchTask(about string) *TaskWatch {
	return &TaskWatch{report: v.Report, about: about, now: v.Now, since: v.Now()}
}

// Update takes what one look at the task has shown, and reports progress.
func (w *TaskWatch) Update(u proxmox.TaskUpdate) {
	w.Progress = u.Progress
	for _, l := range u.Lines {
		if text := render.Said(l.Says(), maxLine); pve.Measures(l) {
			w.Line = ""
		} else if text != "" {
			w.Line = text
		}
	}
	// A little more each time, which shows that the task goes on, and less than a percent
	// as long as the log tells nothing new.
	done := w.done + (math.Floor(w.done)+1-w.done)/100
	p := Progress{Done: max(done, u.Progress.Percent.Value), Message: w.message()}
	if u.Progress.Percent.Set {
		p.Total = 100
	}
	if p.Done < 100 {
		w.done = p.Done
		w.report(p)
	}
}

// LogEnds is how many lines of the start of a log are read, and how many of its end, for
// what it says of the progress.
const LogEnds = 1000

// ReadLog takes the log of the running task, as far as it was read. It reports nothing.
func (w *TaskWatch) ReadLog(lines []proxmox.LogLine) {
	var meter pve.Meter
	w.Progress = meter.Read(lines)
	for _, l := range slices.Backward(lines) {
		if l.Says() != "" {
			w.Line = strings.Join(LastLogLines([]proxmox.LogLine{l}, 1), "")
			break
		}
	}
}

// Summary says how far the task is, in a few words: what is known, or the last line of its log.
func (w *TaskWatch) Summary() string {
	parts := []string{}
	if far := TaskProgressOf(w.Progress).String(); far != "" {
		parts = append(parts, far)
	}
	if w.Line != "" {
		parts = append(parts, w.Line)
	}
	return strings.Join(parts, ": ")
}

func (w *TaskWatch) message() string {
	running := w.now().Sub(w.since).Round(100 * time.Millisecond)
	switch {
	case w.Progress.Percent.Set || w.Progress.Done > 0:
		return w.about + ": " + w.Summary()
	case running <= 0 && w.Line == "":
		return w.about + ": begun"
	case w.Line == "":
		return fmt.Sprintf("%s: running for %s", w.about, render.Duration(running))
	}
	return fmt.Sprintf("%s: running for %s: %s", w.about, render.Duration(running), w.Line)
}
